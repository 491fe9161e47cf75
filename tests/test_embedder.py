"""Token lists to arrays, without spaCy."""

from pathlib import Path

import numpy as np
import pytest

import glomo_spacy
from glomo_spacy import Embedder
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

SENTENCES = [["The", "cats", "sat", "."], [], ["Alone"], ["The", "cats", "sat", "."]]


@pytest.fixture(scope="module")
def embedder(elmo_checkpoint: str) -> Embedder:
    return Embedder(elmo_checkpoint)


def test_all_layers_of_each_sentence_are_those_of_the_model(embedder: Embedder, elmo_checkpoint: str) -> None:
    arrays = embedder.encode(SENTENCES)
    expected = load_checkpoint(elmo_checkpoint).layers(SENTENCES)
    assert [array.shape for array in arrays] == [(3, 4, 8), (3, 0, 8), (3, 1, 8), (3, 4, 8)]
    assert (embedder.n_layers, embedder.width) == (3, 8)
    for array, other in zip(arrays, expected):
        np.testing.assert_allclose(array, other, atol=1e-5)


@pytest.mark.parametrize("layer, expected", [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_one_layer_is_that_of_all(embedder: Embedder, layer: int, expected: int) -> None:
    every, one = embedder.encode(SENTENCES), embedder.encode(SENTENCES, layer=layer)
    for array, single in zip(every, one):
        np.testing.assert_array_equal(single, array[expected])


def test_mean_is_the_mean_of_all_layers(embedder: Embedder) -> None:
    every, mean = embedder.encode(SENTENCES), embedder.encode(SENTENCES, layer="mean")
    np.testing.assert_allclose(mean[0], every[0].mean(axis=0), atol=1e-7)
    assert mean[1].shape == (0, 8)


def test_nothing_gives_nothing(embedder: Embedder) -> None:
    assert embedder.encode([]) == []
    assert list(embedder.stream([])) == []


@pytest.mark.parametrize("chunk_tokens", [1, 7, 1000])
def test_a_stream_gives_the_vectors_of_one_call_for_any_chunk(embedder: Embedder, chunk_tokens: int) -> None:
    sentences = [*SENTENCES, ["Dogs", "bark"], ["The", "end"]]
    streamed = list(embedder.stream(iter(sentences), chunk_tokens=chunk_tokens, layer=1))
    for array, expected in zip(streamed, embedder.encode(sentences, layer=1), strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-5)


def test_a_stream_reads_no_further_than_it_must(embedder: Embedder) -> None:
    n_read = 0

    def endless():
        nonlocal n_read
        while True:
            n_read += 1
            yield ["word"] * 8

    next(embedder.stream(endless(), chunk_tokens=20))
    assert n_read == 2


def test_carried_state_goes_from_call_to_call_until_reset(elmo_checkpoint: str) -> None:
    embedder = Embedder(elmo_checkpoint, state="carry")
    first, second = (embedder.encode([["Dogs", "bark"]])[0] for _ in range(2))
    assert np.abs(first[1:] - second[1:]).max() > 1e-4
    embedder.reset()
    np.testing.assert_allclose(embedder.encode([["Dogs", "bark"]])[0], first, atol=1e-5)


def test_a_stream_with_carried_state_is_one_text(elmo_checkpoint: str) -> None:
    embedder = Embedder(elmo_checkpoint, state="carry")
    streamed = list(embedder.stream([["Dogs", "bark"]] * 2))
    embedder.reset()
    expected = [embedder.encode([["Dogs", "bark"]])[0] for _ in range(2)]
    for array, other in zip(streamed, expected):
        np.testing.assert_allclose(array, other, atol=1e-5)


@pytest.mark.parametrize("wrong", ["The cats sat.", b"bytes", None, 5])
def test_a_text_that_was_not_split_is_named(embedder: Embedder, wrong: object) -> None:
    with pytest.raises(ValueError, match=r"\[G044\] Sentence 1 must be a list of tokens, but is .*Split it first"):
        embedder.encode([["ok"], wrong])


def test_a_token_that_is_no_text_is_named(embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=r"\[G045\] Token 1 of sentence 0 must be a str, but is of type int"):
        embedder.encode([["ok", 5]])


@pytest.mark.parametrize("layer", [3, -4, "all", True, 1.0])
def test_a_layer_that_is_not_there_is_named_before_anything_is_read(embedder: Embedder, layer: object) -> None:
    with pytest.raises(ValueError, match=r"\[G100\] layer = .* is not available. Choose one of: 0 \(words without"):
        embedder.encode([["ok"]], layer=layer)


def test_another_state_is_named(elmo_checkpoint: str) -> None:
    with pytest.raises(ValueError, match=r"\[G100\] state = 'warm' is not available. Choose one of: zero, carry"):
        Embedder(elmo_checkpoint, state="warm")


def test_a_model_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G046\] 'elmo_xx' is neither a packaged model \(.*glomo_en_sm"):
        Embedder("elmo_xx")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    config = GlomoConfig(vocab_size=3, width=8, n_layers=1, n_heads=2, n_key_layers=1, n_query_layers=1)
    save_checkpoint(tmp_path / "glomo", GlomoModel(config), indexer={}, vocab=["a", "b", "<unk>"], meta={})
    with pytest.raises(ValueError, match=r"\[G203\] .* holds a checkpoint of kind 'glomo', but 'elmo' is needed"):
        Embedder(str(tmp_path / "glomo"))


def test_the_python_name_is_found_at_the_top() -> None:
    assert glomo_spacy.Embedder is Embedder
