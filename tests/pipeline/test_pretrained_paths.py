"""Every way weights reach glomo_graph, each before its first call."""

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

from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

TEXT = "The small dog sees a big red cat."


def blank(pretrained: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"model": {"pretrained": pretrained}})
    return nlp


def graph_of(nlp: Language) -> np.ndarray:
    return nlp(TEXT)._.glomo_graph.dense()


def in_another_process(code: str, *arguments: str) -> str:
    """What code prints in a process where the packaged weights are unreachable."""
    head = (
        "import json, sys, pathlib, spacy, glomo_spacy.architectures.pretrained as pretrained\n"
        "pretrained.PACKAGED = pathlib.Path('nowhere')\n"
    )
    command = [sys.executable, "-W", "error", "-c", head + code, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def expected(checkpoint: str) -> np.ndarray:
    """The graph of TEXT by a pipeline that was simply built and called."""
    graph = graph_of(blank(checkpoint))
    assert graph.any()
    return graph


@pytest.fixture
def moved(checkpoint: str, tmp_path: Path) -> str:
    """A copy of the checkpoint that a test may remove."""
    return str(shutil.copytree(checkpoint, tmp_path / "moved"))


# --- Built, then stored, copied or trained before the first call ------------------------------------------------------


def through_disk(nlp: Language, folder: Path) -> Language:
    nlp.to_disk(folder / "saved")
    return spacy.load(folder / "saved")


def through_bytes(nlp: Language, folder: Path) -> Language:
    return spacy.blank("en").from_config(nlp.config).from_bytes(nlp.to_bytes())


def through_pickle(nlp: Language, folder: Path) -> Language:
    return pickle.loads(pickle.dumps(nlp))


def through_deepcopy(nlp: Language, folder: Path) -> Language:
    copied = spacy.blank("en")
    copied.add_pipe("glomo_graph", config={"model": {"pretrained": None}})
    copied.get_pipe("glomo_graph").model = copy.deepcopy(nlp.get_pipe("glomo_graph").model)
    return copied


def through_model_copy(nlp: Language, folder: Path) -> Language:
    nlp.get_pipe("glomo_graph").model = nlp.get_pipe("glomo_graph").model.copy()
    return nlp


def through_initialize(nlp: Language, folder: Path) -> Language:
    nlp.initialize()
    return nlp


def through_update(nlp: Language, folder: Path) -> Language:
    nlp.add_pipe("tagger").add_label("X")
    example = Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "X"]})
    optimizer = nlp.initialize(lambda: [example])
    nlp.update([example], sgd=optimizer, annotates=["glomo_graph"])
    nlp.remove_pipe("tagger")
    return nlp


def through_sourcing(nlp: Language, folder: Path) -> Language:
    other = spacy.blank("en", vocab=nlp.vocab)
    other.add_pipe("glomo_graph", source=nlp)
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
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "load", _refuse)
    nlp = blank(moved)
    shutil.rmtree(moved)  # read when built: the source is never needed again
    np.testing.assert_array_equal(graph_of(way(nlp, tmp_path)), expected)


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("torch.load unpickles")


def test_saved_pipelines_need_neither_name_nor_path_in_another_process(moved: str, tmp_path: Path) -> None:
    pipelines = {"by_path": blank(moved), "by_name": blank("glomo_en_sm")}
    for name, nlp in pipelines.items():
        nlp.to_disk(tmp_path / name)
    shutil.rmtree(moved)
    code = f"print(json.dumps([spacy.load(path)({TEXT!r})._.glomo_graph.dense().tolist() for path in sys.argv[1:]]))"
    found = json.loads(in_another_process(code, *(str(tmp_path / name) for name in pipelines)))
    for graph, nlp in zip(found, pipelines.values()):
        np.testing.assert_allclose(graph, graph_of(nlp), atol=1e-6)


def test_a_pipeline_is_stored_as_the_same_bytes_each_time(checkpoint: str) -> None:
    assert len({blank(checkpoint).to_bytes() for _ in range(5)}) == 1


def test_stored_weights_replace_those_that_were_read(checkpoint: str, expected: np.ndarray, tmp_path: Path) -> None:
    other = spacy.blank("en")
    other.add_pipe("glomo_graph")  # the packaged weights, of another size
    blank(checkpoint).get_pipe("glomo_graph").to_disk(tmp_path / "component")
    other.get_pipe("glomo_graph").from_disk(tmp_path / "component")
    np.testing.assert_array_equal(graph_of(other), expected)


def test_half_precision_weights_are_stored_as_half_precision(checkpoint: str) -> None:
    stored = len(blank(checkpoint).get_pipe("glomo_graph").to_bytes())
    assert stored < 1.5 * sum(path.stat().st_size for path in Path(checkpoint).iterdir())


def test_a_copy_is_independent_of_its_original(checkpoint: str, expected: np.ndarray) -> None:
    nlp = blank(checkpoint)
    copied = nlp.get_pipe("glomo_graph").model.copy()
    for parameter in copied.shims[0].network.parameters():
        parameter.data.zero_()
    np.testing.assert_array_equal(graph_of(nlp), expected)


def test_the_short_form_and_the_model_section_mean_the_same(checkpoint: str, expected: np.ndarray) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"pretrained": checkpoint})
    np.testing.assert_array_equal(graph_of(nlp), expected)


def test_excluding_the_model_leaves_it_out(checkpoint: str, tmp_path: Path) -> None:
    component = blank(checkpoint).get_pipe("glomo_graph")
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


def another_kind(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="config.cfg", change=lambda data: data.replace(b'"glomo"', b'"elmo"'))


def another_size(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="config.cfg", change=lambda data: data.replace(b"width = 8", b"width = 16"))


def short_vocabulary(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="vocab.txt", change=lambda data: data.replace(b"dog\n", b""))


def no_vocabulary(checkpoint: str, folder: Path) -> str:
    directory = shutil.copytree(checkpoint, folder / "damaged")
    (Path(directory) / "vocab.txt").unlink()
    return str(directory)


def nonsense_config(checkpoint: str, folder: Path) -> str:
    return damaged(checkpoint, folder, name="config.cfg", change=lambda data: b"\xff\x00")


BAD_SOURCES = [
    (lambda *_: "glomo_en_xl", r"pretrained = 'glomo_en_xl' is neither a packaged name nor a directory"),
    (lambda *_: None, r"`pretrained` is null"),
    (lambda _, folder: str(folder), r"G200.*config.cfg"),
    (truncated_weights, r"G201.*truncated"),
    (another_kind, r"G203.*kind 'elmo', but 'glomo' is needed"),
    (another_size, r"G202.*Wrong shape"),
    (short_vocabulary, r"G205.*11 words.*12"),
    (no_vocabulary, r"G001"),
    (nonsense_config, r"G206"),
]


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_a_source_that_cannot_be_read_is_an_error_at_first_use_with_cause_and_fix(
    make: Callable[..., Any], cause: str, checkpoint: str, tmp_path: Path
) -> None:
    nlp = blank(make(checkpoint, tmp_path))  # building works
    nlp = pickle.loads(pickle.dumps(nlp))  # and the reason is kept on the way
    nlp.initialize()
    with pytest.raises(ValueError, match=rf"(?s)G120.*{cause}.*Set `pretrained`.*glomo_en_sm.*load a saved pipeline"):
        nlp(TEXT)


@pytest.mark.parametrize("make, cause", BAD_SOURCES, ids=[cause for _, cause in BAD_SOURCES])
def test_stored_weights_silence_the_error_of_the_source(
    make: Callable[..., Any], cause: str, checkpoint: str, expected: np.ndarray, tmp_path: Path
) -> None:
    nlp = blank(make(checkpoint, tmp_path))
    nlp.get_pipe("glomo_graph").from_bytes(blank(checkpoint).get_pipe("glomo_graph").to_bytes())
    np.testing.assert_array_equal(graph_of(nlp), expected)


@pytest.mark.usefixtures("no_packaged_weights")
def test_without_packaged_weights_the_error_says_that_there_are_none() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph")
    with pytest.raises(ValueError, match=r"G120.*'glomo_en_sm'.*none in this installation"):
        nlp(TEXT)


def test_a_pipeline_stored_without_weights_keeps_what_its_source_gives(
    checkpoint: str, expected: np.ndarray, tmp_path: Path
) -> None:
    blank(None).get_pipe("glomo_graph").to_disk(tmp_path / "empty")
    nlp = blank(checkpoint)
    nlp.get_pipe("glomo_graph").from_disk(tmp_path / "empty")
    np.testing.assert_array_equal(graph_of(nlp), expected)


def test_damaged_stored_weights_are_an_error_and_replace_nothing(checkpoint: str, expected: np.ndarray) -> None:
    nlp = blank(checkpoint)
    component = nlp.get_pipe("glomo_graph")
    data = component.to_bytes()
    place = data.index(b"safetensors") if b"safetensors" in data else data.index(b"__metadata__")
    with pytest.raises(ValueError, match=r"G201.*stored weights"):
        component.from_bytes(data[:place] + b"\x00" + data[place + 1 :])
    np.testing.assert_array_equal(graph_of(nlp), expected)


def test_a_checkpoint_in_a_folder_of_a_packaged_name_does_not_hide_the_packaged_one(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(checkpoint, tmp_path / "glomo_en_sm")
    monkeypatch.chdir(tmp_path)
    words = blank("glomo_en_sm").get_pipe("glomo_graph").model.shims[0].network.indexer.words
    assert len(words) > 12


def test_full_precision_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    words = ["a", "dog", "<unk>"]
    model = GlomoModel(GlomoConfig(vocab_size=3, width=4, n_layers=1, n_heads=1, n_decoder_layers=1)).eval()
    save_checkpoint(tmp_path / "full", model, indexer={"kind": "words", "casing": "exact"}, vocab=words, meta={})
    nlp = pickle.loads(pickle.dumps(blank(str(tmp_path / "full"))))
    stored = nlp.get_pipe("glomo_graph").model.shims[0].network
    assert stored.indexer.casing == "exact"
    for name, weights in model.state_dict().items():
        assert torch.equal(stored.network.state_dict()[name], weights)
