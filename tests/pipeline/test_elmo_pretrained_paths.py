"""Every way weights reach elmo, each before its first call, fine-tuned ones included."""

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example

TEXT = "The small dog sees a big red cat."
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "elmo"}


def blank(pretrained: Any, **settings: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"model": {"pretrained": pretrained, **settings}})
    return nlp


def rows_of(nlp: Language) -> np.ndarray:
    return nlp(TEXT).tensor


@pytest.fixture
def expected(elmo_checkpoint: str) -> np.ndarray:
    """The vectors of TEXT by a pipeline that was simply built and called."""
    return rows_of(blank(elmo_checkpoint))


@pytest.fixture
def moved(elmo_checkpoint: str, tmp_path: Path) -> str:
    """A copy of the checkpoint that a test may remove."""
    return str(shutil.copytree(elmo_checkpoint, tmp_path / "moved"))


# --- Built, then stored, copied or trained before the first call ------------------------------------------------------


def through_disk(nlp: Language, folder: Path) -> Language:
    nlp.to_disk(folder / "saved")
    return spacy.load(folder / "saved")


def through_bytes(nlp: Language, folder: Path) -> Language:
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


def through_pickle(nlp: Language, folder: Path) -> Language:
    return pickle.loads(pickle.dumps(nlp))


def through_deepcopy(nlp: Language, folder: Path) -> Language:
    nlp.get_pipe("elmo").model = copy.deepcopy(nlp.get_pipe("elmo").model)
    return nlp


def through_model_copy(nlp: Language, folder: Path) -> Language:
    nlp.get_pipe("elmo").model = nlp.get_pipe("elmo").model.copy()
    return nlp


def through_initialize(nlp: Language, folder: Path) -> Language:
    nlp.initialize()
    return nlp


def through_frozen_training(nlp: Language, folder: Path) -> Language:
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}})
    examples = [Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "Y"]})]
    optimizer = nlp.initialize(lambda: examples)
    nlp.update(examples, sgd=optimizer, exclude=["elmo"], annotates=["elmo"])
    return nlp


def through_sourcing(nlp: Language, folder: Path) -> Language:
    other = spacy.blank("en", vocab=nlp.vocab)
    other.add_pipe("elmo", source=nlp)
    return other


def through_replaced_listeners(nlp: Language, folder: Path) -> Language:
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}})
    nlp.replace_listeners("elmo", "tagger", ["model.tok2vec"])
    other = spacy.blank("en")
    other.add_pipe("elmo", config={"model": {"pretrained": None}})
    other.get_pipe("elmo").model = nlp.get_pipe("tagger").model.get_ref("tok2vec")
    return other


WAYS = (
    through_disk,
    through_bytes,
    through_pickle,
    through_deepcopy,
    through_model_copy,
    through_initialize,
    through_frozen_training,
    through_sourcing,
    through_replaced_listeners,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_weights_are_there_before_the_first_call(
    way: Callable[[Language, Path], Language],
    moved: str,
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "load", _refuse)
    nlp = blank(moved)
    shutil.rmtree(moved)  # read when built: the source is never needed again
    np.testing.assert_array_equal(rows_of(way(nlp, tmp_path)), expected)


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("torch.load unpickles")


def test_a_saved_pipeline_needs_no_checkpoint_in_another_process(moved: str, tmp_path: Path) -> None:
    nlp = blank(moved)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(moved)
    code = f"import json, sys, spacy; print(json.dumps(spacy.load(sys.argv[1])({TEXT!r}).tensor.tolist()))"
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "saved")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(json.loads(result.stdout), rows_of(nlp), atol=1e-6)


def test_a_pipeline_is_stored_as_the_same_bytes_each_time(elmo_checkpoint: str) -> None:
    assert len({blank(elmo_checkpoint).to_bytes() for _ in range(5)}) == 1


def test_half_precision_weights_are_stored_as_half_precision(elmo_checkpoint: str) -> None:
    stored = len(blank(elmo_checkpoint).get_pipe("elmo").to_bytes(exclude=["vocab"]))
    assert stored < 1.5 * sum(path.stat().st_size for path in Path(elmo_checkpoint).iterdir())


@pytest.mark.parametrize("way", WAYS[:7], ids=lambda way: way.__name__)
def test_fine_tuned_weights_take_every_way_too(
    way: Callable[[Language, Path], Language], elmo_checkpoint: str, tmp_path: Path
) -> None:
    nlp = blank(elmo_checkpoint, trainable=True)
    model = nlp.get_pipe("elmo").model
    before = rows_of(nlp)
    rows, backprop = model.begin_update([nlp.make_doc(TEXT)])
    backprop([np.ones_like(row) for row in rows])
    model.finish_update(nlp.create_optimizer())
    tuned = model.predict([nlp.make_doc(TEXT)])[0]
    assert np.abs(tuned - before).max() > 1e-4
    np.testing.assert_array_equal(rows_of(way(nlp, tmp_path)), tuned)


# --- Sources that are missing or do not fit ---------------------------------------------------------------------------


def damaged(checkpoint: str, folder: Path, *, name: str, change: Callable[[bytes], bytes]) -> str:
    directory = Path(shutil.copytree(checkpoint, folder / "damaged"))
    (directory / name).write_bytes(change((directory / name).read_bytes()))
    return str(directory)


def truncated_weights(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="model.safetensors", change=lambda data: data[: len(data) // 2])


def another_size(checkpoint: str, folder: Path) -> str:
    return damaged(
        checkpoint, folder, name="config.cfg", change=lambda data: data.replace(b"cell_width = 8", b"cell_width = 9")
    )


def no_characters(checkpoint: str, folder: Path) -> str:
    return damaged(
        checkpoint, folder, name="config.cfg", change=lambda data: data.replace(b'"characters"', b'"letters"')
    )


BAD_SOURCES = [
    (lambda *_: "elmo_en_xl", r"pretrained = 'elmo_en_xl' is neither a packaged name nor a directory"),
    (lambda *_: "glomo_en_sm", r"G203.*kind 'glomo', but 'elmo' is needed"),
    (lambda *_: None, r"`pretrained` is null"),
    (lambda _, folder: str(folder), r"G200.*config.cfg"),
    (truncated_weights, r"G201.*truncated"),
    (another_size, r"G202.*Wrong shape"),
    (no_characters, r"G100"),
]


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_a_source_that_cannot_be_read_is_an_error_at_first_use_with_cause_and_fix(
    make: Callable[..., Any], cause: str, elmo_checkpoint: str, tmp_path: Path
) -> None:
    nlp = blank(make(elmo_checkpoint, tmp_path))  # building works
    nlp = pickle.loads(pickle.dumps(nlp))  # and the reason is kept on the way
    nlp.initialize()
    for text in (TEXT, ""):
        with pytest.raises(ValueError, match=rf"(?s)G120.*{cause}.*Set `pretrained`.*load a saved pipeline"):
            nlp(text)


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_stored_weights_silence_the_error_of_the_source(
    make: Callable[..., Any], cause: str, elmo_checkpoint: str, expected: np.ndarray, tmp_path: Path
) -> None:
    nlp = blank(make(elmo_checkpoint, tmp_path))
    nlp.get_pipe("elmo").from_bytes(blank(elmo_checkpoint).get_pipe("elmo").to_bytes())
    np.testing.assert_array_equal(rows_of(nlp), expected)


def test_a_pipeline_stored_without_weights_keeps_what_its_source_gives(
    elmo_checkpoint: str, expected: np.ndarray, tmp_path: Path
) -> None:
    blank(None).get_pipe("elmo").to_disk(tmp_path / "empty")
    nlp = blank(elmo_checkpoint)
    nlp.get_pipe("elmo").from_disk(tmp_path / "empty")
    np.testing.assert_array_equal(rows_of(nlp), expected)
