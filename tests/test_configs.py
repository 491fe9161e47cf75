"""The ready configs: what they say fits together, each trains, and spaCy's own tools take them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import spacy
from config_corpora import CONFIGS, READY, TAGGERS, TEXTS, TRAINING_CONFIGS, make_docs, overrides_for
from running import Run, captured, run_python
from spacy.cli.init_config import fill_config
from spacy.cli.package import package
from spacy.cli.train import train
from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Config

# What each ready config learns, read off a Doc.
LEARNED: Dict[str, Callable[[Doc], Any]] = {
    "tagger_parser": lambda doc: [(token.tag_, token.dep_, token.head.i) for token in doc],
    "ner": lambda doc: [(ent.text, ent.label_) for ent in doc.ents],
    "textcat": lambda doc: max(doc.cats, key=lambda label: doc.cats[label]),
    "spancat": lambda doc: sorted((span.text, span.label_) for span in doc.spans["sc"]),
}

# spaCy's `package` writes files without closing them.
leaves_files_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def spacy_command(*arguments: str) -> Run:
    """What a user sees of `python -m spacy …`."""
    return captured(lambda: run_python(["-m", "spacy", *arguments]))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """Every config, written out by `init fill-config`."""
    folder = tmp_path_factory.mktemp("filled")
    paths = {name: folder / f"{name}.cfg" for name in TRAINING_CONFIGS}
    for name, path in paths.items():
        fill_config(path, CONFIGS / f"{name}.cfg", silent=True)
    return paths


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """Each ready config in small, trained by stock `spacy train`."""
    folder = tmp_path_factory.mktemp("trained")
    for name in READY:
        n_steps = 100 if name == "spancat" else 40
        steps = {"training.max_steps": n_steps, "training.eval_frequency": n_steps, "training.dropout": 0.0}
        overrides = {**overrides_for(name, folder), **steps}
        train(CONFIGS / "tiny" / f"{name}.cfg", folder / name, overrides=overrides)
    return {name: folder / name / "model-last" for name in READY}


# --- What they say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [".", "tiny"])
@pytest.mark.parametrize("name", [*READY, *TAGGERS])
def test_listeners_are_as_wide_as_what_they_listen_to(name: str, folder: str) -> None:
    config = spacy.util.load_config(CONFIGS / folder / f"{name}.cfg", interpolate=True)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    listeners = [
        node
        for _, component in nlp.pipeline
        for node in (component.model.walk() if hasattr(component, "model") else ())
        if isinstance(node, Tok2VecListener)
    ]
    assert len(listeners) == {"tagger_parser": 2, "textcat": 0}.get(name, 1)
    for listener in listeners:
        assert listener.get_dim("nO") == nlp.get_pipe(listener.upstream_name).model.get_dim("nO")


@pytest.mark.parametrize("name", TRAINING_CONFIGS)
def test_every_training_config_is_known_to_the_tests(name: str) -> None:
    ours = {path.stem for path in CONFIGS.glob("*.cfg") if "[components]" in path.read_text(encoding="utf8")}
    assert name in ours
    assert ours == {*TRAINING_CONFIGS}


# --- Training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READY)
def test_stock_spacy_train_learns_what_it_is_shown(name: str, trained: Dict[str, Path]) -> None:
    nlp = spacy.load(trained[name])
    found = [LEARNED[name](nlp(text)) for text in TEXTS]
    assert found == [LEARNED[name](doc) for doc in make_docs()]


@pytest.mark.parametrize("name", READY)
def test_a_trained_pipeline_says_nothing_of_the_cache(name: str, trained: Dict[str, Path]) -> None:
    files = {path.name for path in trained[name].rglob("*")}
    assert not {file for file in files if "cache" in file.lower()}


@pytest.mark.parametrize("name", ["tagger_parser", "textcat"])
def test_the_bilm_is_fine_tuned_as_the_comment_says(name: str, tmp_path: Path) -> None:
    """The block of Elmo.v1 in the place of Cached.v1, with trainable and learn_rate_scale."""
    config = Config().from_disk(CONFIGS / "tiny" / f"{name}.cfg", interpolate=False)
    component = "textcat" if name == "textcat" else "tok2vec"
    model = config["components"][component]["model"]
    features = model["tok2vec"] if name == "textcat" else model["embed"]["*"]["features"]
    mixture = features["tok2vecs"]["context"]
    mixture["tok2vec"] = {**mixture["tok2vec"]["tok2vec"], "trainable": True, "learn_rate_scale": 0.1}
    config.to_disk(tmp_path / "config.cfg")
    steps = {"training.max_steps": 2, "training.eval_frequency": 2}
    train(tmp_path / "config.cfg", tmp_path / "output", overrides={**overrides_for(name, tmp_path), **steps})
    before = spacy.util.load_model_from_config(config.interpolate(), auto_fill=True)
    assert elmo_bytes(spacy.load(tmp_path / "output" / "model-last"), component) != elmo_bytes(before, component)


def elmo_bytes(nlp: Language, component: str) -> bytes:
    nodes: List[Any] = [node for node in nlp.get_pipe(component).model.walk() if node.name == "elmo"]
    return nodes[0].to_bytes()


# --- spaCy's tools ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINING_CONFIGS)
def test_fill_config_adds_and_changes_nothing(name: str, filled: Dict[str, Path], tmp_path: Path) -> None:
    given = Config().from_disk(CONFIGS / f"{name}.cfg", interpolate=False)
    complete = Config().from_disk(filled[name], interpolate=False)
    assert contained(given, complete) == []
    fill_config(tmp_path / "again.cfg", filled[name], silent=True)
    assert (tmp_path / "again.cfg").read_text() == filled[name].read_text()


def contained(part: Dict[str, Any], whole: Dict[str, Any], *, prefix: str = "") -> List[str]:
    """Settings of `part` that `whole` lacks or has otherwise."""
    differing: List[str] = []
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            differing += contained(value, whole[name], prefix=f"{prefix}{name}.")
        elif name not in whole or whole[name] != value:
            differing.append(prefix + name)
    return differing


@pytest.mark.parametrize("name", TRAINING_CONFIGS)
def test_debug_config_finds_the_filled_config_valid(name: str, filled: Dict[str, Path], tmp_path: Path) -> None:
    paths = {key: value for key, value in overrides_for(name, tmp_path).items() if key.startswith("paths.")}
    options = [part for key, value in paths.items() for part in (f"--{key}", value)]
    run = spacy_command("debug", "config", str(filled[name]), *options)
    assert run.code == 0, run.output
    assert "Config is valid" in run.output


@pytest.mark.parametrize("name", READY)
def test_assemble_makes_a_pipeline_of_labels(name: str, filled: Dict[str, Path], tmp_path: Path) -> None:
    """The labels of a corpus, read from files, are all that the filled config needs."""
    overrides = overrides_for(name, tmp_path)
    options = [part for key, value in overrides.items() for part in (f"--{key}", str(value))]
    assert spacy_command("init", "labels", str(filled[name]), str(tmp_path / "labels"), *options).code == 0
    config = Config().from_disk(filled[name], interpolate=False)
    for path in (tmp_path / "labels").glob("*.json"):
        labels = {"@readers": "spacy.read_labels.v1", "path": str(path), "require": True}
        config["initialize"]["components"][path.stem] = {"labels": labels}
    config.to_disk(tmp_path / "config.cfg")
    run = spacy_command("assemble", str(tmp_path / "config.cfg"), str(tmp_path / "assembled"))
    assert run.code == 0, run.output
    nlp = spacy.load(tmp_path / "assembled")
    assert nlp(TEXTS[0]).text == TEXTS[0]
    assert nlp.pipe_labels[nlp.pipe_names[-1]]


@leaves_files_open
@pytest.mark.parametrize("name", READY)
def test_package_names_what_the_pipeline_needs(name: str, trained: Dict[str, Path], tmp_path: Path) -> None:
    package(trained[name], tmp_path, name=name, version="1.0.0", create_sdist=False, silent=True)
    (meta,) = tmp_path.glob("*/meta.json")
    assert [line for line in json.loads(meta.read_text())["requirements"] if line.startswith("glomo-spacy>=")]
    (folder,) = (path.parent for path in tmp_path.glob("*/*/*/config.cfg"))
    assert LEARNED[name](spacy.load(folder)(TEXTS[0])) == LEARNED[name](spacy.load(trained[name])(TEXTS[0]))


@leaves_files_open
@pytest.mark.slow
def test_the_wheel_of_a_package_loads_in_a_fresh_environment(trained: Dict[str, Path], tmp_path: Path) -> None:
    """Built by `spacy package`, installed by pip without network, imported by another process."""
    pytest.importorskip("wheel")
    name = "tagger_parser"
    package(trained[name], tmp_path, name=name, version="1.0.0", create_sdist=False, create_wheel=True, silent=True)
    (wheel,) = tmp_path.glob("*/dist/*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
import en_{name}
doc = en_{name}.load()({TEXTS[0]!r})
print([(token.tag_, token.dep_, token.head.i) for token in doc])
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(LEARNED[name](make_docs()[0]))
