"""`check`: what a training config says of itself, with and without an [ablation] section."""

from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import spacy
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli.check import check

CONFIGS = Path(__file__).parents[2] / "configs"
TRAINED = sorted(path for path in CONFIGS.rglob("*.cfg") if "[components]" in path.read_text(encoding="utf8"))

CONFIG = """
[paths]
elmo = null
train = null
vectors = null

[nlp]
lang = "xx"
pipeline = ["sentencizer", "tok2vec", "tagger"]

[components]

[components.sentencizer]
factory = "sentencizer"

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "glomo_spacy.Elmo.v1"
pretrained = ${paths.elmo}

[components.tagger]
factory = "tagger"

[components.tagger.model]
@architectures = "spacy.Tagger.v2"

[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 8

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.train}

[training]
seed = 0
annotating_components = ["sentencizer"]
frozen_components = []
max_steps = 1

[initialize]
vectors = ${paths.vectors}
"""

ABLATION = """
[ablation]
sizes = [1.0]
seeds = [1]
target = "components.tok2vec.model"
scores = ["tag_acc"]
test = "corpora.dev"
max_steps = 1

[ablation.features]

[ablation.features.elmo]

[ablation.features.frozen]

[ablation.features.frozen.overrides]
training.frozen_components = ["tok2vec"]

[ablation.features.vectors]

[ablation.features.vectors.model]
@architectures = "glomo_spacy.Concat.v1"

[ablation.features.vectors.model.tok2vecs]

[ablation.features.vectors.model.tok2vecs.elmo]
@architectures = "glomo_spacy.Elmo.v1"
pretrained = ${paths.elmo}

[ablation.features.vectors.model.tok2vecs.words]
@architectures = "glomo_spacy.WordVectors.v1"

[ablation.features.vectors.overrides]
components.tagger.model.tok2vec.width = 8
"""


@pytest.fixture
def config(tmp_path: Path, elmo_checkpoint: str) -> Path:
    path = tmp_path / "config.cfg"
    path.write_text(CONFIG.replace("elmo = null", f'elmo = "{elmo_checkpoint}"'), encoding="utf8")
    return path


def run(*arguments: Any) -> Tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_right_config_draws_one_line(config: Path) -> None:
    assert run(config) == (0, "✔ No mistake found.\n")


def test_every_mistake_is_shown_with_the_lines_to_add(config: Path) -> None:
    overrides = {"training.frozen_components": '["tok2vec"]', "training.annotating_components": "[]"}
    options = [text for name, value in overrides.items() for text in (f"--{name}", value)]
    code, output = run(config, *options, "--components.tagger.model.tok2vec.width", 6)
    assert code == 1
    assert output == (
        "✘ [G194] 'tagger' listens to rows of width 6, but 'tok2vec' gives rows of width 8. Set:\n\n"
        "  [components.tagger.model.tok2vec]\n  width = 8\n\n"
        "✘ [G193] 'tagger' reads the vectors of 'tok2vec' from the Doc, since 'tok2vec' is frozen, but 'tok2vec' does "
        "not set them in training: it would read nothing, or what another encoder left there. Add:\n\n"
        '  [training]\n  annotating_components = ["sentencizer", "tok2vec"]\n\n'
        "⚠ [G169] 'tok2vec' reads by sentence, which 'sentencizer' sets when the pipeline is used but not in training: "
        'its vectors would differ between the two. Set sentences = "ignore" in its model, or add:\n\n'
        '  [training]\n  annotating_components = ["sentencizer", "tok2vec"]\n\n'
    )


def test_warnings_alone_are_no_failure(config: Path) -> None:
    code, output = run(config, "--training.annotating_components", "[]")
    assert code == 0
    assert output.startswith("⚠ [G169]")


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"nlp.pipeline": ["sentencizer", "tagger"]}, "[G189] 'tagger' listens to '*'"),
        ({"components.tagger.factory": "taggger"}, "cannot be read as a config: [E002]"),
        ({"training.max_steps": "many"}, "cannot be read as a config: Config validation error"),
        ({"paths.vectors": "no such vectors"}, "cannot be read as a config: [E050]"),
        ({"paths.elmo": "no such biLM"}, "tok2vec: [G120] There are no weights: [G122]"),
    ],
)
def test_whatever_keeps_a_pipeline_from_being_made_is_a_finding(
    overrides: Dict[str, Any], message: str, config: Path
) -> None:
    (finding,) = check(config, overrides=overrides)
    assert finding.is_error
    assert message in finding.message


@pytest.mark.parametrize(
    "written, read, message",
    [
        (
            "annotating_components",
            "anotating_components",
            "training.anotating_components is not a setting. Nearest: annot",
        ),
        ("[initialize]\nvectors", "[initialize]\nvector", "initialize.vector is not a setting. Nearest: vectors"),
        ("[training]", "[trainig]", "trainig is not a setting. Nearest: training"),
    ],
)
def test_names_that_spacy_passes_over_in_silence_are_findings(
    written: str, read: str, message: str, config: Path
) -> None:
    text = config.read_text(encoding="utf8").replace(written, read)
    spacy.util.load_model_from_config(spacy.util.Config().from_str(text), auto_fill=True)
    config.write_text(text, encoding="utf8")
    assert f"[G140] {message}" in check(config)[0].message


def test_an_encoder_that_would_overwrite_elmo_is_a_finding(config: Path) -> None:
    text = config.read_text(encoding="utf8").replace('factory = "tok2vec"', 'factory = "elmo"')
    two = text.replace('"tok2vec", "tagger"]', '"tok2vec", "later", "tagger"]')
    config.write_text(f'{two}\n[components.later]\nfactory = "tok2vec"\n', encoding="utf8")
    (finding,) = check(config)
    assert finding.message.startswith("[G160] 'later' stands after 'tok2vec'")
    assert '[nlp] pipeline = [..., "later", "tok2vec"]' in finding.message


def test_functions_of_ones_own_are_imported(config: Path, tmp_path: Path) -> None:
    code = tmp_path / "functions.py"
    code.write_text(
        "from spacy.language import Language\n\n@Language.component('checked_splitter')\n"
        "def split(doc):\n    return doc\n",
        encoding="utf8",
    )
    text = config.read_text(encoding="utf8").replace('factory = "sentencizer"', 'factory = "checked_splitter"')
    config.write_text(text, encoding="utf8")
    assert run(config, "--code", code)[0] == 0


def test_each_feature_of_an_ablation_is_looked_at(config: Path) -> None:
    config.write_text(config.read_text(encoding="utf8") + ABLATION, encoding="utf8")
    findings = [finding.message for finding in check(config)]
    assert len(findings) == 2
    assert findings[0].startswith("frozen: [G193] 'tagger' reads the vectors of 'tok2vec'")
    assert findings[1].startswith("vectors: [G130] The vocabulary has no word vectors")
    first, *_ = check(config, overrides={"training.annotating_components": []})
    assert first.message.startswith("elmo, vectors: [G169]")


def test_widths_that_depend_on_word_vectors_are_known(config: Path, tmp_path: Path) -> None:
    words = spacy.blank("xx")
    words.vocab.set_vector("dog", np.ones(4, dtype="f"))
    words.to_disk(tmp_path / "vectors")
    config.write_text(config.read_text(encoding="utf8") + ABLATION, encoding="utf8")
    findings = [finding.message for finding in check(config, overrides={"paths.vectors": str(tmp_path / "vectors")})]
    assert findings[1].startswith(
        "vectors: [G194] 'tagger' listens to rows of width 8, but 'tok2vec' gives rows of width 12"
    )


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_shipped_training_config_has_itself_checked(path: Path) -> None:
    assert '[initialize.before_init]\n@callbacks = "glomo_spacy.check_pipeline.v1"\n' in path.read_text(encoding="utf8")
