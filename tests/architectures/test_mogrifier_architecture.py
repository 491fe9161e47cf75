"""MogrifierLM.v1: states after each token, what it reads of a Doc, and the gradient of a model that is trained on."""

import copy
import math
import random
from typing import Any, List, Tuple

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Adam, Model, set_dropout_rate

from glomo_spacy.architectures.mogrifier import build_mogrifier_lm_v1, mogrifier_network, surprisals
from glomo_spacy.indexers import VocabularyIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

VOCAB = spacy.blank("en").vocab
WORDS = ["the", "a", "The", "dog", "cat", "sees", ".", "unheard-of", "Zoë"]


def make_doc(words: List[str], *, starts: Any = None) -> Doc:
    is_start = None if starts is None else [place in starts for place in range(len(words))]
    return Doc(VOCAB, words=words, sent_starts=is_start)


def random_doc(n_tokens: int) -> Doc:
    return make_doc(random.choices(WORDS, k=n_tokens))


def by_hand(checkpoint: str, words: List[str]) -> Tuple[np.ndarray, np.ndarray]:
    """States after each word and the bits of each and of the end: everything in one call of the network."""
    lm = load_checkpoint(checkpoint)
    ids = torch.from_numpy(lm.indexer.ids(["</S>", *words, "</S>"]))
    with torch.no_grad():
        outputs, _ = lm(ids[None, :-1])
        chances = lm.log_probabilities(outputs[0])
    bits = -chances.gather(1, ids[1:, None])[:, 0].double().numpy() / math.log(2)
    unknown = [place for place, word in enumerate(words) if word not in lm.indexer.words]
    bits[unknown] -= lm.spelling.log2_probabilities([words[place] for place in unknown])
    return outputs[0, 1:].numpy(), bits


@pytest.fixture
def model(mogrifier_checkpoint: str) -> Model:
    return build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint)


# --- What the rows are ------------------------------------------------------------------------------------------------


def test_it_is_registered_under_its_name(mogrifier_checkpoint: str) -> None:
    config = {"model": {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": mogrifier_checkpoint}}
    assert registry.resolve(config)["model"].predict([make_doc(["the", "dog"])])[0].shape == (2, 8)


def test_a_row_is_the_output_after_its_token(model: Model, mogrifier_checkpoint: str) -> None:
    docs = [make_doc(text.split()) for text in ("the small dog", "a", "cat sees the unheard-of dog .")]
    for doc, rows in zip(docs, model.predict(docs), strict=True):
        np.testing.assert_allclose(rows, by_hand(mogrifier_checkpoint, [token.text for token in doc])[0], atol=1e-6)
    assert model.get_dim("nO") == 8


def test_a_row_knows_what_stands_before_and_nothing_behind(model: Model) -> None:
    words = ["the", "dog", "sees", "a", "cat"]
    rows = model.predict([make_doc(words)])[0]
    later = model.predict([make_doc([*words[:3], "big", "dog"])])[0]
    earlier = model.predict([make_doc(["a", *words[1:]])])[0]
    np.testing.assert_allclose(later[:3], rows[:3], atol=1e-6)
    assert np.abs(earlier - rows).max(1).min() > 1e-4


def test_whitespace_has_rows_of_zeros_and_changes_no_other(model: Model) -> None:
    plain = random_doc(12)
    words: List[str] = ["\n"]
    for token in plain:
        words += [token.text, *random.choice([[], ["\n"], ["  ", "\n\n"]])]
    spaced = make_doc(words)
    is_space = np.array([token.is_space for token in spaced])
    rows = model.predict([spaced])[0]
    np.testing.assert_allclose(rows[~is_space], model.predict([plain])[0], atol=1e-6)
    assert not rows[is_space].any()


@pytest.mark.parametrize("words", [[], ["\n"], ["\n", " "]])
def test_docs_without_words_have_rows_of_zeros(words: List[str], model: Model) -> None:
    rows, backprop = model.begin_update([make_doc(words)])
    assert rows[0].shape == (len(words), 8)
    assert not rows[0].any()
    assert backprop(rows) == []
    assert model.predict([]) == []
    said = surprisals(model, [make_doc(words)], has_states=True)[0]
    assert not said.bits.any()
    assert said.states.shape == (len(words), 8)


# --- Sentences --------------------------------------------------------------------------------------------------------

SENTENCES = (["the", "dog", "."], ["\n"], ["a", "cat", "sees", "."])


@pytest.mark.parametrize("sentences", ["use", "require"])
def test_the_end_of_a_sentence_is_read_and_costs_apart(sentences: str, mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, sentences=sentences)
    doc = make_doc(sum(SENTENCES, []), starts=[0, 3, 4])
    states, bits = by_hand(mogrifier_checkpoint, ["the", "dog", ".", "</S>", "a", "cat", "sees", "."])
    said = surprisals(model, [doc], has_states=True)[0]
    np.testing.assert_allclose(said.bits, [*bits[:3], 0, *bits[4:8]], rtol=1e-5)
    np.testing.assert_allclose(said.end_bits, [0, 0, bits[3], 0, 0, 0, 0, bits[8]], rtol=1e-5)
    expected = np.concatenate([states[:3], np.zeros((1, 8)), states[4:]])
    np.testing.assert_allclose(said.states, expected, atol=1e-6)
    np.testing.assert_allclose(model.predict([doc])[0], expected, atol=1e-6)


@pytest.mark.parametrize("sentences, starts", [("ignore", [0, 3]), ("use", None)])
def test_a_text_without_sentences_or_with_ignored_ones_has_no_ends(
    sentences: str, starts: Any, mogrifier_checkpoint: str
) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, sentences=sentences)
    words = ["the", "dog", ".", "a", "cat", "Zoë"]
    states, bits = by_hand(mogrifier_checkpoint, words)
    doc = make_doc(words, starts=starts)
    said = surprisals(model, [doc])[0]
    np.testing.assert_allclose(said.bits, bits[:-1], rtol=1e-5)
    assert said.states is None
    assert not said.end_bits.any()
    assert said.is_unknown.tolist() == [False] * 5 + [True]
    np.testing.assert_allclose(model.predict([doc])[0], states, atol=1e-6)


def test_missing_sentences_are_an_error_where_they_are_required(mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, sentences="require")
    assert len(model.predict([make_doc(["dog"]), make_doc([])])) == 2  # nothing to divide
    for use in (model.predict, lambda docs: surprisals(model, docs)):
        with pytest.raises(ValueError, match=r"G162.*'the dog sees '.*sentencizer.*annotating_components.*\"use\""):
            use([make_doc(["the", "dog", "sees"])])


# --- Independence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_same_text_has_the_same_numbers_in_any_company_and_order(seed: int, model: Model) -> None:
    random.seed(seed)
    docs = [random_doc(n_tokens) for n_tokens in random.choices([0, 1, 2, 7, 20, 33, 300], k=9)]
    alone = [(model.predict([doc])[0], surprisals(model, [doc])[0].bits) for doc in docs]
    order = random.sample(range(len(docs)), len(docs))
    shuffled = [docs[place] for place in order]
    for place, rows, said in zip(order, model.predict(shuffled), surprisals(model, shuffled), strict=True):
        np.testing.assert_allclose(rows, alone[place][0], atol=1e-5)
        np.testing.assert_allclose(said.bits, alone[place][1], atol=1e-4)


def test_the_same_batch_gives_the_same_bits(model: Model) -> None:
    docs = [random_doc(n_tokens) for n_tokens in (3, 17, 17, 30)]
    first, said = model.predict(docs), surprisals(model, docs)
    model.predict([random_doc(50)])
    for rows, expected in zip(model.predict(docs), first, strict=True):
        np.testing.assert_array_equal(rows, expected)
    for again, expected in zip(surprisals(model, docs), said, strict=True):
        np.testing.assert_array_equal(again.bits, expected.bits)


def test_a_long_text_carries_its_state_through_all_windows(model: Model, mogrifier_checkpoint: str) -> None:
    words = random.choices(WORDS, k=700)
    states, bits = by_hand(mogrifier_checkpoint, words)
    np.testing.assert_allclose(model.predict([make_doc(words)])[0], states, atol=1e-5)
    np.testing.assert_allclose(surprisals(model, [make_doc(words)])[0].bits, bits[:-1], rtol=1e-4)


def test_a_doc_does_not_hold_the_rows_of_its_batch_in_memory(model: Model) -> None:
    rows = model.predict([random_doc(2), random_doc(50)])[0]
    assert rows.base is None or rows.base.nbytes == rows.nbytes


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fewer_bits_are_opt_in_and_stay_near(precision: str, tmp_path: Any) -> None:
    words = ["<S>", "</S>", "<UNK>", *WORDS[:7]]
    config = MogrifierConfig(vocab_size=len(words), embedding_width=128, hidden_width=128)
    indexer = VocabularyIndexer(words).config
    save_checkpoint(tmp_path / "wide", LanguageModel(config), indexer=indexer, vocab=words, meta={})
    models = [
        build_mogrifier_lm_v1(pretrained=str(tmp_path / "wide"), precision=each) for each in ("float32", precision)
    ]
    docs = [random_doc(30)]
    rows, others = (model.predict(docs)[0] for model in models)
    assert 0 < np.abs(others - rows).mean() < 0.02
    assert others.dtype == np.float32
    bits, other_bits = (surprisals(model, docs)[0].bits for model in models)
    np.testing.assert_allclose(other_bits, bits, atol=0.3)


# --- Learning ---------------------------------------------------------------------------------------------------------


def test_a_frozen_model_learns_nothing(model: Model) -> None:
    before = model.to_bytes()
    rows, backprop = model.begin_update([random_doc(8), random_doc(3)])
    assert backprop([np.ones_like(row) for row in rows]) == []
    model.finish_update(Adam(0.1))
    assert model.to_bytes() == before
    assert not any(parameter.requires_grad for parameter in mogrifier_network(model).parameters())


def test_the_gradient_is_that_of_the_rows(mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, trainable=True)
    docs = [make_doc(["the", "\n", "dog", "sees"]), make_doc([]), make_doc(["a"])]
    rows, backprop = model.begin_update(docs)
    gradients = [np.random.default_rng(0).normal(size=row.shape).astype("f") for row in rows]
    backprop(gradients)
    weight = mogrifier_network(model).network.body.layers[0].hidden_weight
    found, step = weight.grad[3, 2].item(), 1e-2

    def total() -> float:
        return sum(float((row * gradient).sum(dtype="d")) for row, gradient in zip(model.predict(docs), gradients))

    sides = []
    for change in (step, -2 * step):
        with torch.no_grad():
            weight[3, 2] += change
        sides.append(total())
    assert found == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=0.02, abs=1e-4)


def test_a_trained_model_never_answers_from_its_old_weights(mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, trainable=True)
    docs, optimizer = [random_doc(8)], Adam(0.01)
    seen = [model.predict(docs)[0]]
    for _ in range(3):
        rows, backprop = model.begin_update(docs)
        backprop([np.ones_like(row) for row in rows])
        model.finish_update(optimizer)
        seen.append(model.predict(docs)[0])
        np.testing.assert_allclose(seen[-1], model.copy().predict(docs)[0], atol=1e-6)
        assert np.abs(seen[-1] - seen[-2]).max() > 1e-3


def test_dropout_acts_in_training_only_and_follows_the_rate(mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, dropout=0.5)
    docs = [random_doc(50)]
    still = model.predict(docs)[0]
    dropped = model.begin_update(docs)[0][0]
    assert 0.3 < (dropped == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped != 0], 2 * still[dropped != 0], rtol=1e-5)
    set_dropout_rate(model, 0.0)
    np.testing.assert_allclose(model.begin_update(docs)[0][0], still, atol=1e-6)


def test_the_dropout_a_model_was_pretrained_with_never_acts(tmp_path: Any) -> None:
    words = ["<S>", "</S>", "<UNK>", *WORDS[:7]]
    rates = dict.fromkeys(("input_dropout", "layer_dropout", "state_dropout", "output_dropout"), 0.5)
    config = MogrifierConfig(vocab_size=len(words), embedding_width=8, hidden_width=8, reset_probability=0.5, **rates)
    indexer = VocabularyIndexer(words).config
    save_checkpoint(tmp_path / "dropping", LanguageModel(config), indexer=indexer, vocab=words, meta={})
    model = build_mogrifier_lm_v1(pretrained=str(tmp_path / "dropping"), trainable=True)
    docs = [random_doc(20)]
    np.testing.assert_allclose(model.begin_update(docs)[0][0], model.predict(docs)[0], atol=1e-6)


# --- What is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: model.copy()], ids=["deepcopy", "copy"])
def test_copies_compute_the_same_and_are_independent(copied: Any, mogrifier_checkpoint: str) -> None:
    model = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, trainable=True)
    docs = [random_doc(8)]
    expected = model.predict(docs)[0]
    other = copied(model)
    np.testing.assert_array_equal(other.predict(docs)[0], expected)
    rows, backprop = other.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    other.finish_update(Adam(0.1))
    assert np.abs(other.predict(docs)[0] - expected).max() > 1e-3
    np.testing.assert_array_equal(model.predict(docs)[0], expected)


def test_a_width_in_the_config_is_known_without_weights_and_checked_with_them(mogrifier_checkpoint: str) -> None:
    assert build_mogrifier_lm_v1(pretrained=None, width=8).get_dim("nO") == 8
    assert build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, width=8).get_dim("nO") == 8
    wrong = build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, width=16)
    with pytest.raises(ValueError, match=r"G120.*G060.*width 8.*config says width 16"):
        wrong.predict([make_doc(["dog"])])
    with pytest.raises(ValueError, match=r"G060.*stored weights gives states of width 8.*width 16"):
        wrong.from_bytes(build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint).to_bytes())


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [{"sentences": "maybe"}, {"precision": "float8"}])
def test_unknown_choices_are_refused_when_built(setting: Any, mogrifier_checkpoint: str) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=f"G100.*{name} = '{value}'"):
        build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, **setting)


def test_a_checkpoint_without_a_vocabulary_is_refused(tmp_path: Any) -> None:
    lm = LanguageModel(MogrifierConfig(vocab_size=5, embedding_width=4, hidden_width=4))
    save_checkpoint(tmp_path / "mute", lm, indexer={}, vocab=None, meta={})
    model = build_mogrifier_lm_v1(pretrained=str(tmp_path / "mute"))
    with pytest.raises(ValueError, match=r"G120.*G061.*mute has no vocabulary.*vocab.txt"):
        model.predict([make_doc(["dog"])])


def test_another_model_has_no_network() -> None:
    with pytest.raises(ValueError, match=r"G062.*glomo_spacy.MogrifierLM.v1, but got 'other'"):
        mogrifier_network(Model("other", lambda model, X, is_train: (X, lambda d: d)))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_numbers(model: Model) -> None:
    docs = [random_doc(30), random_doc(3)]
    expected, said = model.predict(docs), surprisals(model, docs)
    mogrifier_network(model).cuda()
    for rows, other in zip(model.predict(docs), expected, strict=True):
        np.testing.assert_allclose(rows.get() if hasattr(rows, "get") else rows, other, atol=1e-4)
    for each, other in zip(surprisals(model, docs), said, strict=True):
        np.testing.assert_allclose(each.bits, other.bits, atol=1e-3)
