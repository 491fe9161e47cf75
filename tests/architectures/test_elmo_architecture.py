"""Elmo.v1: rows of sentences as the biLM gives them, mixed, and the gradients of mixture and biLM."""

import copy
import random
import threading
from typing import Any, List

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Adam, Model, set_dropout_rate

from glomo_spacy.architectures import elmo_network as networks
from glomo_spacy.architectures.elmo import build_elmo_v1, elmo_network, rows_and_layers
from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig

VOCAB = spacy.blank("en").vocab
WORDS = ["the", "a", "Small", "dog", "cats", "sees", ".", "réel", "42", "unheard-of"]


def make_doc(words: List[str], *, starts: Any = None) -> Doc:
    is_start = None if starts is None else [place in starts for place in range(len(words))]
    return Doc(VOCAB, words=words, sent_starts=is_start)


def random_doc(n_tokens: int) -> Doc:
    return make_doc(random.choices(WORDS, k=n_tokens))


def layers_of(checkpoint: str, *sentences: List[str]) -> List[np.ndarray]:
    return load_checkpoint(checkpoint).layers(list(sentences))


@pytest.fixture
def model(elmo_checkpoint: str) -> Model:
    return build_elmo_v1(pretrained=elmo_checkpoint)


@pytest.fixture
def calm_model(calm_elmo_checkpoint: str) -> Model:
    return build_elmo_v1(pretrained=calm_elmo_checkpoint)


# --- What the rows are ------------------------------------------------------------------------------------------------


def test_it_is_registered_under_its_name(elmo_checkpoint: str) -> None:
    config = {"model": {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": elmo_checkpoint}}
    assert registry.resolve(config)["model"].predict([make_doc(["the", "dog"])])[0].shape == (2, 8)


def test_rows_begin_as_the_mean_of_the_layers(model: Model, elmo_checkpoint: str) -> None:
    docs = [make_doc(text.split()) for text in ("the Small dog", "a", "cats sees the unheard-of dog .")]
    for doc, rows in zip(docs, model.predict(docs), strict=True):
        layers = layers_of(elmo_checkpoint, [token.text for token in doc])[0]
        np.testing.assert_allclose(rows, layers.mean(0), atol=1e-6)
    assert model.get_dim("nO") == 8


def test_all_layers_stand_side_by_side_token_vectors_first(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layers="all")
    words = ["the", "Small", "dog"]
    layers = layers_of(elmo_checkpoint, words)[0]
    np.testing.assert_allclose(model.predict([make_doc(words)])[0], np.concatenate(layers, axis=1), atol=1e-6)
    assert model.get_dim("nO") == 24


def test_layers_switched_off_have_no_part(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layers_off=[0, 2])
    words = ["the", "Small", "dog"]
    expected = layers_of(elmo_checkpoint, words)[0][1]
    np.testing.assert_allclose(model.predict([make_doc(words)])[0], expected, atol=1e-6)


def test_layers_are_normalised_sentence_by_sentence(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layer_norm=True)
    words, others = ["the", "Small", "dog"], ["cats", "."]
    bilm = load_checkpoint(elmo_checkpoint)
    expected = [bilm.mix(layers, [0.0] * 3, layer_norm=True) for layers in bilm.layers([words, others])]
    rows = model.predict([make_doc(words + others, starts=[0, 3])])[0]
    np.testing.assert_allclose(rows, np.concatenate(expected), atol=1e-5)


def test_layers_and_rows_come_together(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layers_off=[1])
    docs = [make_doc(["\n", "the", "dog"]), make_doc([]), make_doc(["cats"])]
    rows, layers = rows_and_layers(model, docs)
    assert [part.shape for part in layers] == [(3, 3, 8), (3, 0, 8), (3, 1, 8)]
    np.testing.assert_allclose(layers[0][:, 1:], layers_of(elmo_checkpoint, ["the", "dog"])[0], atol=1e-6)
    assert not layers[0][:, 0].any()
    for found, expected in zip(rows, model.predict(docs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert rows_and_layers(model, []) == ([], [])


def test_other_directions_and_token_tables_have_their_own_widths(tmp_path: Any) -> None:
    words = ["<S>", "</S>", "<UNK>", "dog", "cats"]
    sizes = {"projection_width": 3, "cell_width": 4, "n_layers": 1}
    config = ElmoConfig(token_encoder="words", vocab_size=5, directions="forward", **sizes)
    indexer = VocabularyIndexer(words)
    save_checkpoint(tmp_path / "table", BiLM(config), indexer=indexer.config, vocab=words, meta={})
    model = build_elmo_v1(pretrained=str(tmp_path / "table")).from_bytes(
        build_elmo_v1(pretrained=str(tmp_path / "table")).to_bytes()
    )
    rows = model.predict([make_doc(["dog", "cats", "unheard-of", "42"])])[0]
    assert rows.shape == (4, 3)
    layers = layers_of(str(tmp_path / "table"), ["dog", "cats", "unheard-of", "42"])[0]
    np.testing.assert_allclose(rows, layers.mean(0), atol=1e-6)


# --- Sentences and windows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentences", ["use", "require"])
def test_sentences_are_read_one_by_one(sentences: str, elmo_checkpoint: str) -> None:
    words = ["the", "dog", ".", "a", "cats", "sees", "."]
    model = build_elmo_v1(pretrained=elmo_checkpoint, sentences=sentences)
    rows = model.predict([make_doc(words, starts=[0, 3])])[0]
    expected = np.concatenate(layers_of(elmo_checkpoint, words[:3], words[3:]), axis=1).mean(0)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize("sentences, starts", [("ignore", [0, 3]), ("use", None)])
def test_a_text_without_sentences_or_with_ignored_ones_is_read_as_one(
    sentences: str, starts: Any, elmo_checkpoint: str
) -> None:
    words = ["the", "dog", ".", "a", "cats", "sees", "."]
    model = build_elmo_v1(pretrained=elmo_checkpoint, sentences=sentences)
    rows = model.predict([make_doc(words, starts=starts)])[0]
    np.testing.assert_allclose(rows, layers_of(elmo_checkpoint, words)[0].mean(0), atol=1e-6)


def test_missing_sentences_are_an_error_where_they_are_required(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, sentences="require")
    assert len(model.predict([make_doc(["dog"]), make_doc([])])) == 2  # nothing to divide
    with pytest.raises(ValueError, match=r"G162.*'the dog sees '.*sentencizer.*annotating_components.*\"use\""):
        model.predict([make_doc(["the", "dog", "sees"])])


@pytest.mark.parametrize("before", [0, 3])
def test_a_long_sentence_takes_each_row_from_its_most_central_window(
    before: int, model: Model, elmo_checkpoint: str
) -> None:
    words = random.choices(WORDS, k=before + 401)
    doc = make_doc(words, starts=[0, before])
    starts = (0, 100, 200, 201)
    windows = layers_of(elmo_checkpoint, *(words[before + start : before + start + 200] for start in starts))
    rows = model.predict([doc])[0]
    for place in range(401):
        window = min(range(4), key=lambda window, place=place: (abs(place - starts[window] - 99.5), -window))
        expected = windows[window][:, place - starts[window]].mean(0)
        np.testing.assert_allclose(rows[before + place], expected, atol=1e-5)


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


# --- Independence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_same_text_has_the_same_rows_in_any_company_order_and_after_any_text(seed: int, calm_model: Model) -> None:
    random.seed(seed)
    docs = [random_doc(n_tokens) for n_tokens in random.choices([0, 1, 2, 7, 20, 33, 90, 450], k=12)]
    fresh = [calm_model.copy().predict([doc])[0] for doc in docs[:3]]
    alone = [calm_model.predict([doc])[0] for doc in docs]
    order = random.sample(range(len(docs)), len(docs))
    for index, rows in zip(order, calm_model.predict([docs[index] for index in order]), strict=True):
        np.testing.assert_allclose(rows, alone[index], atol=1e-5)
    for rows, expected in zip(alone, fresh):
        np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_the_same_batch_gives_the_same_bits(model: Model) -> None:
    docs = [random_doc(n_tokens) for n_tokens in (3, 17, 17, 30)]
    first = model.predict(docs)
    model.predict([random_doc(50)])
    for rows, expected in zip(model.predict(docs), first, strict=True):
        np.testing.assert_array_equal(rows, expected)


def test_a_batch_is_one_call_of_the_network_unless_it_is_very_large(
    calm_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: List[int] = []
    compute = BiLM.layer_tensors

    def counted(self: BiLM, sentences: List[List[str]], **settings: Any) -> List[torch.Tensor]:
        held.append(sum(map(len, sentences)))
        return compute(self, sentences, **settings)

    monkeypatch.setattr(BiLM, "layer_tensors", counted)
    docs = [random_doc(n_tokens) for n_tokens in (3, 40, 450, 1, 60)]
    expected = calm_model.predict(docs)
    assert held == [3 + 40 + 4 * 200 + 1 + 60]
    held.clear()
    monkeypatch.setattr(networks, "MAX_HELD", 100)
    for rows, whole in zip(calm_model.predict(docs), expected, strict=True):
        np.testing.assert_allclose(rows, whole, atol=1e-5)
    assert held == [200, 200, 200, 200, 100, 4]


def test_a_doc_does_not_hold_the_rows_of_its_batch_in_memory(model: Model) -> None:
    rows = model.predict([random_doc(2), random_doc(50)])[0]
    assert rows.base is None or rows.base.nbytes == rows.nbytes


def test_threads_share_one_network(model: Model) -> None:
    docs = [random_doc(30)]
    expected, found = model.predict(docs)[0], []

    def work(is_train: bool) -> None:
        for _ in range(5):
            found.append(model(docs, is_train)[0][0])

    threads = [threading.Thread(target=work, args=(bool(index % 2),)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for rows in found:
        np.testing.assert_allclose(rows, expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fewer_bits_are_opt_in_and_stay_near(precision: str, model: Model, elmo_checkpoint: str) -> None:
    other = build_elmo_v1(pretrained=elmo_checkpoint, precision=precision)
    docs = [random_doc(30)]
    error = np.abs(other.predict(docs)[0] - model.predict(docs)[0])
    assert error.max() > 0
    assert error.mean() < 0.05
    assert other.predict(docs)[0].dtype == np.float32


# --- State ------------------------------------------------------------------------------------------------------------


def test_carried_state_is_that_of_bilm_tf_row_by_row(elmo_checkpoint: str) -> None:
    model, bilm = build_elmo_v1(pretrained=elmo_checkpoint, state="carry"), load_checkpoint(elmo_checkpoint)
    calls = [["the dog", "cats sees a dog"], ["a cats"], ["Small dog .", "", "the . "]]
    for texts in calls:
        sentences = [text.split() for text in texts]
        expected = bilm.layers(sentences, state="carry")
        for rows, layers in zip(model.predict([make_doc(words) for words in sentences]), expected, strict=True):
            np.testing.assert_allclose(rows, layers.mean(0), atol=1e-6)
    again = model.predict([make_doc(["the", "dog"])])[0]
    elmo_network(model).network.reset_state()
    first = model.predict([make_doc(["the", "dog"])])[0]
    assert np.abs(first - again).max() > 1e-3
    assert model.predict([]) == []
    afresh = build_elmo_v1(pretrained=elmo_checkpoint).predict([make_doc(["the", "dog"])])[0]
    np.testing.assert_allclose(first, afresh, atol=1e-6)


def test_carried_state_reads_long_texts_whole(elmo_checkpoint: str) -> None:
    model, words = build_elmo_v1(pretrained=elmo_checkpoint, state="carry"), random.choices(WORDS, k=450)
    expected = load_checkpoint(elmo_checkpoint).layers([words], state="carry")[0]
    np.testing.assert_allclose(model.predict([make_doc(words)])[0], expected.mean(0), atol=1e-6)


# --- Learning ---------------------------------------------------------------------------------------------------------


def learned_names(model: Model) -> List[str]:
    network = elmo_network(model)
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


def test_a_frozen_bilm_leaves_only_the_mixture_to_learn(model: Model) -> None:
    assert learned_names(model) == ["mix.weights", "mix.gamma"]
    before = elmo_network(model).network.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    rows, backprop = model.begin_update([random_doc(8), random_doc(3)])
    assert backprop([np.ones_like(row) for row in rows]) == []
    model.finish_update(Adam(0.1))
    network = elmo_network(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.network.state_dict().items())
    assert network.mix.gamma.item() != 1.0
    assert network.mix.weights.detach().abs().min() > 0


def test_layers_side_by_side_of_a_frozen_bilm_leave_nothing_to_learn(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layers="all")
    before = model.to_bytes()
    rows, backprop = model.begin_update([random_doc(8)])
    assert backprop([np.ones_like(row) for row in rows]) == []
    model.finish_update(Adam(0.1))
    assert learned_names(model) == []
    assert model.to_bytes() == before


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize(
    "name", ["mix.weights", "mix.gamma", "_network.forward_lm.layers.0.bias", "_network.token_encoder.embedding"]
)
def test_gradients_are_right(name: str, layer_norm: bool, elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True, layer_norm=layer_norm)
    network = elmo_network(model).double()
    docs = [make_doc(["the", "\n", "dog", "sees", "the"], starts=[0, 3]), make_doc(["cats"])]
    rows, backprop = model.begin_update(docs)
    weights = [np.random.default_rng(0).normal(size=row.shape) for row in rows]
    backprop([weight.astype("f") for weight in weights])
    parameter = dict(network.named_parameters())[name]
    assert parameter.grad is not None
    step = torch.randn_like(parameter) * 1e-4

    def loss(scale: float) -> float:
        with torch.no_grad():
            parameter.add_(scale * step)
            found = sum((row * weight).sum() for row, weight in zip(model.predict(docs), weights, strict=True))
            parameter.sub_(scale * step)
        return float(found)

    numeric = (loss(1.0) - loss(-1.0)) / 2
    assert float((parameter.grad * step).sum()) == pytest.approx(numeric, rel=1e-3, abs=1e-7)
    assert abs(numeric) > 1e-7


def test_the_penalty_pulls_the_weights_of_the_mixture_to_zero(elmo_checkpoint: str) -> None:
    docs, gradients = [random_doc(5)], []
    for l2 in (0.0, 0.25):
        model = build_elmo_v1(pretrained=elmo_checkpoint, l2=l2)
        mix = elmo_network(model).mix
        with torch.no_grad():
            mix.weights.copy_(torch.tensor([[0.5, -1.0, 2.0]]))
        rows, backprop = model.begin_update(docs)
        backprop([np.ones_like(row) for row in rows])
        gradients.append(mix.weights.grad.numpy())
    np.testing.assert_allclose(gradients[1] - gradients[0], [[0.25, -0.5, 1.0]], atol=1e-5)


def test_a_trained_bilm_never_answers_from_vectors_of_its_old_weights(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True)
    docs, optimizer = [random_doc(8)], Adam(0.01)
    seen = [model.predict(docs)[0]]
    for _ in range(3):
        rows, backprop = model.begin_update(docs)
        backprop([np.ones_like(row) for row in rows])
        model.finish_update(optimizer)
        seen.append(model.predict(docs)[0])
        np.testing.assert_allclose(seen[-1], model.copy().predict(docs)[0], atol=1e-6)
        assert np.abs(seen[-1] - seen[-2]).max() > 1e-3


def test_an_update_asked_for_before_the_backward_pass_waits_for_it(elmo_checkpoint: str) -> None:
    docs, learned = [random_doc(8)], []
    for is_early in (False, True):
        model, optimizer = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True), Adam(0.01)
        for _ in range(2):  # as nlp.update does it, and as spacy train does
            rows, backprop = model.begin_update(docs)
            if is_early:
                model.finish_update(optimizer)
            backprop([np.ones_like(row) for row in rows])
            if not is_early:
                model.finish_update(optimizer)
        learned.append(model.predict(docs)[0])
    np.testing.assert_allclose(learned[1], learned[0], atol=1e-6)


def test_an_update_is_not_lost_where_no_backward_pass_comes(elmo_checkpoint: str) -> None:
    model, docs = build_elmo_v1(pretrained=elmo_checkpoint), [random_doc(8)]
    before = model.predict(docs)[0]
    rows, backprop = model.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    model.begin_update(docs)
    model.finish_update(Adam(0.1))
    model.begin_update(docs)
    assert np.abs(model.predict(docs)[0] - before).max() > 1e-3


def test_dropout_acts_in_training_only_and_follows_the_rate(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, dropout=0.5)
    docs = [random_doc(50)]
    still = model.predict(docs)[0]
    dropped = model.begin_update(docs)[0][0]
    assert 0.3 < (dropped == 0).mean() < 0.7
    np.testing.assert_allclose(dropped[dropped != 0], 2 * still[dropped != 0], rtol=1e-5)
    np.testing.assert_array_equal(model.predict(docs)[0], still)
    set_dropout_rate(model, 0.0)
    np.testing.assert_allclose(model.begin_update(docs)[0][0], still, atol=1e-6)


def test_no_call_puts_the_network_into_training_mode(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True)
    elmo_network(model).train(True)
    model.begin_update([random_doc(3)])
    assert not any(module.training for module in elmo_network(model).modules())


def test_initialisation_keeps_what_was_read_and_what_was_learned(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True)
    docs = [random_doc(8)]
    rows, backprop = model.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    model.finish_update(Adam(0.01))
    learned = model.to_bytes()
    model.initialize(X=docs)
    assert model.to_bytes() == learned


# --- What is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: model.copy()], ids=["deepcopy", "copy"])
def test_copies_compute_the_same_and_are_independent(copied: Any, elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True, layers_off=[0])
    docs = [random_doc(8)]
    expected = model.predict(docs)[0]
    other = copied(model)
    np.testing.assert_array_equal(other.predict(docs)[0], expected)
    rows, backprop = other.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    other.finish_update(Adam(0.1))
    assert np.abs(other.predict(docs)[0] - expected).max() > 1e-3
    np.testing.assert_array_equal(model.predict(docs)[0], expected)


def test_fine_tuned_weights_come_back_bit_for_bit_and_others_stay_in_half_precision(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True)
    untouched = len(model.to_bytes())
    docs = [random_doc(8)]
    rows, backprop = model.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    model.finish_update(Adam(0.001))
    stored = model.to_bytes()
    n_weights = sum(tensor.numel() for tensor in elmo_network(model).network.parameters())
    assert len(stored) - untouched == pytest.approx(2 * n_weights, rel=0.1)
    other = build_elmo_v1(pretrained=elmo_checkpoint, trainable=True).from_bytes(stored)
    for name, tensor in elmo_network(model).state_dict().items():
        assert torch.equal(elmo_network(other).state_dict()[name], tensor)
    np.testing.assert_array_equal(other.predict(docs)[0], model.predict(docs)[0])
    assert other.to_bytes() == stored


def test_the_softmax_of_a_training_checkpoint_is_left_out(tmp_path: Any) -> None:
    words = ["<S>", "</S>", "<UNK>", "dog", *(f"word{number}" for number in range(2000))]
    sizes = {"char_width": 4, "filters": ((1, 4),), "n_highway": 0, "projection_width": 4, "cell_width": 4}
    bilm = BiLM(ElmoConfig(softmax="full", vocab_size=len(words), **sizes))
    save_checkpoint(tmp_path / "whole", bilm, indexer=CharIndexer().config, vocab=words, meta={})
    model = build_elmo_v1(pretrained=str(tmp_path / "whole"))
    expected = layers_of(str(tmp_path / "whole"), ["dog", "cats"])[0].mean(0)
    stored = model.to_bytes()
    assert len(stored) < 10_000
    for each in (model, build_elmo_v1(pretrained=None).from_bytes(stored)):
        np.testing.assert_allclose(each.predict([make_doc(["dog", "cats"])])[0], expected, atol=1e-6)


def test_stored_weights_of_another_width_replace_those_that_were_read(elmo_checkpoint: str, tmp_path: Any) -> None:
    sizes = {"char_width": 4, "filters": ((1, 4),), "n_highway": 0, "projection_width": 3, "cell_width": 4}
    save_checkpoint(tmp_path / "other", BiLM(ElmoConfig(**sizes)), indexer=CharIndexer().config, vocab=None, meta={})
    stored = build_elmo_v1(pretrained=elmo_checkpoint)
    model = build_elmo_v1(pretrained=str(tmp_path / "other"))
    assert model.get_dim("nO") == 6
    model.from_bytes(stored.to_bytes())
    assert model.get_dim("nO") == 8
    docs = [random_doc(8)]
    np.testing.assert_array_equal(model.predict(docs)[0], stored.predict(docs)[0])


def test_a_width_in_the_config_is_known_without_weights_and_checked_with_them(elmo_checkpoint: str) -> None:
    assert build_elmo_v1(pretrained=None, width=8).get_dim("nO") == 8
    assert build_elmo_v1(pretrained=elmo_checkpoint, width=8).predict([make_doc(["dog"])])[0].shape == (1, 8)
    wrong = build_elmo_v1(pretrained=elmo_checkpoint, width=16)
    with pytest.raises(ValueError, match=r"G120.*G163.*width 8.*config says width 16"):
        wrong.predict([make_doc(["dog"])])
    with pytest.raises(ValueError, match=r"G163.*stored weights gives vectors of width 8.*width 16"):
        wrong.from_bytes(build_elmo_v1(pretrained=elmo_checkpoint).to_bytes())


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting", [{"layers": "top"}, {"sentences": "maybe"}, {"state": "kept"}, {"precision": "float8"}]
)
def test_unknown_choices_are_refused_when_built(setting: Any, elmo_checkpoint: str) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=f"G100.*{name} = '{value}'"):
        build_elmo_v1(pretrained=elmo_checkpoint, **setting)


def test_carried_state_is_no_ground_to_train_on(elmo_checkpoint: str) -> None:
    with pytest.raises(ValueError, match=r'G165.*state = "carry".*trainable = false'):
        build_elmo_v1(pretrained=elmo_checkpoint, trainable=True, state="carry")


@pytest.mark.parametrize("layers_off", [[0, 1, 2], [3], [-1]])
def test_a_mixture_of_no_or_unknown_layers_is_refused(layers_off: List[int], elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, layers_off=layers_off)
    with pytest.raises(ValueError, match=r"G135.*layers 0 to 2"):
        model.predict([make_doc(["dog"])])


def test_another_model_has_no_network() -> None:
    with pytest.raises(ValueError, match=r"G166.*glomo_spacy.Elmo.v1, but got 'other'"):
        elmo_network(Model("other", lambda model, X, is_train: (X, lambda d: d)))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_rows(model: Model) -> None:
    docs = [random_doc(30), random_doc(3)]
    expected = model.predict(docs)
    elmo_network(model).cuda()
    for rows, other in zip(model.predict(docs), expected, strict=True):
        np.testing.assert_allclose(rows.get() if hasattr(rows, "get") else rows, other, atol=1e-4)
