"""The biLM computes what the equations say: against the numpy oracle, over all variants."""

from typing import Any, Dict

import numpy as np
import pytest
from reference.elmo_state import ALPHABET, LONG, SENTENCES, oracle_of, tiny_bilm

TOLERANCE = 1e-5  # the promise is 5e-5; float32 stays well below it

VARIANTS: Dict[str, Dict[str, Any]] = {
    "published": {},
    "without skip connections": {"use_skip_connections": False},
    "clipped": {"cell_clip": 0.4, "proj_clip": 0.2},
    "not clipped": {"cell_clip": None, "proj_clip": None},
    "tanh": {"activation": "tanh"},
    "three layers": {"n_layers": 3},
    "one layer": {"n_layers": 1},
    "no highway layers": {"n_highway": 0},
    "another forget bias": {"forget_bias": -0.5},
    "words as input": {"token_encoder": "words", "filters": ()},
    "learned alphabet": {"alphabet": ALPHABET},
    "ten characters a word": {"max_characters": 10},
    "forward only": {"directions": "forward"},
    "forward only, without skip connections": {"directions": "forward", "use_skip_connections": False},
}
variants = pytest.mark.parametrize("variant", list(VARIANTS))


@variants
def test_zero_state_gives_the_layers_of_the_equations(variant):
    model = tiny_bilm(**VARIANTS[variant])
    oracle = oracle_of(model)
    for found, sentence in zip(model.layers(SENTENCES), SENTENCES):
        expected, _ = oracle.layers(sentence)
        assert found.shape == expected.shape == (model.config.n_layers + 1, len(sentence), model.width)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@variants
def test_in_double_precision_nothing_but_rounding_differs(variant):
    model = tiny_bilm(scale=2.0, **VARIANTS[variant]).double()
    oracle = oracle_of(model)
    for found, sentence in zip(model.layer_tensors(SENTENCES[:4]), SENTENCES):
        np.testing.assert_allclose(found.numpy(), oracle.layers(sentence)[0], atol=1e-8)


@variants
def test_carried_state_goes_on_row_by_row(variant):
    model = tiny_bilm(**VARIANTS[variant])
    oracle = oracle_of(model)
    calls = [SENTENCES[3:6], SENTENCES[:1], SENTENCES, [["on", "a"], []], SENTENCES[1:5]]
    states = [None] * len(SENTENCES)
    for sentences in calls:
        found = model.layers(sentences, state="carry")
        for row, sentence in enumerate(sentences):  # rows behind these keep their state
            expected, states[row] = oracle.layers(sentence, states[row])
            np.testing.assert_allclose(found[row], expected, atol=TOLERANCE)


@variants
def test_vectors_of_words_are_those_of_the_equations(variant):
    model = tiny_bilm(**VARIANTS[variant])
    oracle = oracle_of(model)
    words = sorted({word for sentence in SENTENCES for word in sentence})
    for layers, word in zip(model.layers([[word] for word in words]), words):
        expected = np.tile(oracle.word_vector(word), model.width // model.config.projection_width)
        np.testing.assert_allclose(layers[0, 0], expected, atol=TOLERANCE)


def test_the_clipped_variant_does_clip():
    oracle = oracle_of(tiny_bilm(**VARIANTS["clipped"]))
    oracle.layers(LONG)
    assert oracle.n_clipped > 100


def test_one_long_and_one_short_sentence_in_one_batch():
    model = tiny_bilm()
    oracle = oracle_of(model)
    for state in ("zero", "carry"):
        for found, sentence in zip(model.layers([LONG, ["Cat"]], state=state), [LONG, ["Cat"]]):
            np.testing.assert_allclose(found, oracle.layers(sentence)[0], atol=TOLERANCE)


@pytest.mark.parametrize("batch_tokens", [1, 7, 50])
def test_a_text_longer_than_a_batch_is_read_in_parts(batch_tokens):
    model = tiny_bilm()
    oracle = oracle_of(model)
    for found, sentence in zip(model.layers(SENTENCES, batch_tokens=batch_tokens), SENTENCES):
        np.testing.assert_allclose(found, oracle.layers(sentence)[0], atol=TOLERANCE)


def test_carried_state_survives_parts_in_which_rows_have_ended():
    model = tiny_bilm()
    oracle = oracle_of(model)
    states = [None] * len(SENTENCES)
    for _ in range(2):
        for row, found in enumerate(model.layers(SENTENCES, state="carry", batch_tokens=20)):
            expected, states[row] = oracle.layers(SENTENCES[row], states[row])
            np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_half_a_surrogate_pair_and_overlong_words_are_cut_as_published():
    oracle = oracle_of(tiny_bilm())
    assert oracle.spell("\ud800odd") == oracle.spell("odd")
    assert oracle.spell("b" * 49) == oracle.spell("b" * 48) != oracle.spell("b" * 47)
