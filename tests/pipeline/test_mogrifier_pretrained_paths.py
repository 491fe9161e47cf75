"""Every way weights reach mogrifier_lm, each before its first call."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, List

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example

TEXT = "The small dog sees a Skłodowska."


def blank(pretrained: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm", config={"model": {"pretrained": pretrained}})
    return nlp


def bits_of(nlp: Language) -> List[float]:
    return [token._.surprisal for token in nlp(TEXT)]


@pytest.fixture
def expected(mogrifier_checkpoint: str) -> List[float]:
    """The surprisal of TEXT by a pipeline that was simply built and called."""
    return bits_of(blank(mogrifier_checkpoint))


@pytest.fixture
def moved(mogrifier_checkpoint: str, tmp_path: Path) -> str:
    """A copy of the checkpoint that a test may remove."""
    return str(shutil.copytree(mogrifier_checkpoint, tmp_path / "moved"))


# --- Built, then stored, copied or trained before the first call ------------------------------------------------------


def through_disk(nlp: Language, folder: Path) -> Language:
    nlp.to_disk(folder / "saved")
    return spacy.load(folder / "saved")


def through_bytes(nlp: Language, folder: Path) -> Language:
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


def through_pickle(nlp: Language, folder: Path) -> Language:
    return pickle.loads(pickle.dumps(nlp))


def through_deepcopy(nlp: Language, folder: Path) -> Language:
    nlp.get_pipe("mogrifier_lm").model = copy.deepcopy(nlp.get_pipe("mogrifier_lm").model)
    return nlp


def through_model_copy(nlp: Language, folder: Path) -> Language:
    nlp.get_pipe("mogrifier_lm").model = nlp.get_pipe("mogrifier_lm").model.copy()
    return nlp


def through_initialize(nlp: Language, folder: Path) -> Language:
    nlp.initialize()
    return nlp


def through_update(nlp: Language, folder: Path) -> Language:
    nlp.add_pipe("tagger").add_label("X")
    example = Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "X"]})
    optimizer = nlp.initialize(lambda: [example])
    nlp.update([example], sgd=optimizer, annotates=["mogrifier_lm"])
    nlp.remove_pipe("tagger")
    return nlp


def through_sourcing(nlp: Language, folder: Path) -> Language:
    other = spacy.blank("en", vocab=nlp.vocab)
    other.add_pipe("mogrifier_lm", source=nlp)
    return other


WAYS = (
    through_disk,
    through_bytes,
    through_pickle,
    through_deepcopy,
    through_model_copy,
    through_initialize,
    through_update,
    through_sourcing,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_weights_are_there_before_the_first_call(
    way: Callable[[Language, Path], Language],
    moved: str,
    expected: List[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "load", _refuse)
    nlp = blank(moved)
    shutil.rmtree(moved)  # read when built: the source is never needed again
    found = way(nlp, tmp_path)
    assert bits_of(found) == expected
    assert len(found.get_pipe("mogrifier_lm").candidates("The small")) == 10


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("torch.load unpickles")


def test_a_saved_pipeline_needs_no_checkpoint_in_another_process(moved: str, tmp_path: Path) -> None:
    nlp = blank(moved)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(moved)
    code = (
        "import json, sys, spacy\n"
        f"print(json.dumps([token._.surprisal for token in spacy.load(sys.argv[1])({TEXT!r})]))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "saved")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(json.loads(result.stdout), bits_of(nlp), rtol=1e-6)


def test_a_pipeline_is_stored_as_the_same_bytes_each_time(mogrifier_checkpoint: str) -> None:
    assert len({blank(mogrifier_checkpoint).to_bytes() for _ in range(3)}) == 1


def test_half_precision_weights_are_stored_as_half_precision(mogrifier_checkpoint: str) -> None:
    stored = len(blank(mogrifier_checkpoint).get_pipe("mogrifier_lm").to_bytes())
    assert stored < 1.5 * sum(path.stat().st_size for path in Path(mogrifier_checkpoint).iterdir())


def test_the_short_form_and_the_model_section_mean_the_same(mogrifier_checkpoint: str, expected: List[float]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm", config={"pretrained": mogrifier_checkpoint})
    assert bits_of(nlp) == expected


def test_excluding_the_model_leaves_it_out(mogrifier_checkpoint: str, tmp_path: Path) -> None:
    component = blank(mogrifier_checkpoint).get_pipe("mogrifier_lm")
    assert len(component.to_bytes(exclude=["model"])) < 10
    component.to_disk(tmp_path / "component", exclude=["model"])
    assert list((tmp_path / "component").iterdir()) == []


# --- Sources that are missing or do not fit ---------------------------------------------------------------------------


def damaged(checkpoint: str, folder: Path, *, name: str, change: Callable[[bytes], bytes]) -> str:
    directory = Path(shutil.copytree(checkpoint, folder / "damaged"))
    (directory / name).write_bytes(change((directory / name).read_bytes()))
    return str(directory)


def truncated_weights(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="model.safetensors", change=lambda data: data[: len(data) // 2])


def another_size(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="config.cfg", change=lambda data: data.replace(b"rank = 3", b"rank = 4"))


def short_vocabulary(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="vocab.txt", change=lambda data: data.replace(b"dog\n", b""))


def no_vocabulary(checkpoint: str, folder: Path) -> str:
    directory = Path(shutil.copytree(checkpoint, folder / "damaged"))
    (directory / "vocab.txt").unlink()
    return str(directory)


BAD_SOURCES = [
    (lambda *_: "mogrifier_en_xl", r"pretrained = 'mogrifier_en_xl' is neither a packaged name nor a directory"),
    (lambda *_: "glomo_en_sm", r"G203.*kind 'glomo', but 'mogrifier' is needed"),
    (lambda *_: None, r"`pretrained` is null"),
    (lambda _, folder: str(folder), r"G200.*config.cfg"),
    (truncated_weights, r"G201.*truncated"),
    (another_size, r"G202.*Wrong shape"),
    (short_vocabulary, r"G205.*13 words.*14"),
    (no_vocabulary, r"G016"),
]


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_a_source_that_cannot_be_read_is_an_error_at_first_use_with_cause_and_fix(
    make: Callable[..., Any], cause: str, mogrifier_checkpoint: str, tmp_path: Path
) -> None:
    nlp = blank(make(mogrifier_checkpoint, tmp_path))  # building works
    nlp = pickle.loads(pickle.dumps(nlp))  # and the reason is kept on the way
    nlp.initialize()
    component = nlp.get_pipe("mogrifier_lm")
    for use in (nlp, component.candidates, lambda text: component.rescore([text])):
        with pytest.raises(ValueError, match=rf"(?s)G120.*{cause}.*Set `pretrained`.*load a saved pipeline"):
            use(TEXT)


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_stored_weights_silence_the_error_of_the_source(
    make: Callable[..., Any], cause: str, mogrifier_checkpoint: str, expected: List[float], tmp_path: Path
) -> None:
    nlp = blank(make(mogrifier_checkpoint, tmp_path))
    nlp.get_pipe("mogrifier_lm").from_bytes(blank(mogrifier_checkpoint).get_pipe("mogrifier_lm").to_bytes())
    assert bits_of(nlp) == expected


def test_a_pipeline_stored_without_weights_keeps_what_its_source_gives(
    mogrifier_checkpoint: str, expected: List[float], tmp_path: Path
) -> None:
    blank(None).get_pipe("mogrifier_lm").to_disk(tmp_path / "empty")
    nlp = blank(mogrifier_checkpoint)
    nlp.get_pipe("mogrifier_lm").from_disk(tmp_path / "empty")
    assert bits_of(nlp) == expected


def test_damaged_stored_weights_are_an_error_and_replace_nothing(
    mogrifier_checkpoint: str, expected: List[float]
) -> None:
    nlp = blank(mogrifier_checkpoint)
    component = nlp.get_pipe("mogrifier_lm")
    data = component.to_bytes()
    place = data.index(b"__metadata__")
    with pytest.raises(ValueError, match=r"G201.*stored weights"):
        component.from_bytes(data[:place] + b"\x00" + data[place + 1 :])
    assert bits_of(nlp) == expected
