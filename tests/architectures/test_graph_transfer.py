"""Graph transfer as a Thinc model."""

import copy
from typing import Any, List

import numpy as np
import pytest
import spacy
import srsly
import torch
from reference.graph_transfer import graph_transfer, uniform_transfer
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model, set_dropout_rate
from tok2vecs import VOCAB, WIDTH, make_doc, word_rows

from glomo_spacy.architectures import build_glomo_graph_v1
from glomo_spacy.architectures.graph_transfer import build_graph_transfer_v1, build_uniform_graph_v1
from glomo_spacy.architectures.seam import doc_windows


def make_transfer(checkpoint: str, **settings: Any) -> Model:
    """An initialised transfer whose learned parameters are all random."""
    model = build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained=checkpoint), **settings)
    model.initialize(X=[make_doc("the dog sees")])
    for parameter in model.layers[2].shims[0]._model.parameters():
        torch.nn.init.normal_(parameter)
    return model


SETTINGS = [
    {"fusion": "concatenate", "mixture": "uniform", "n_mixes": 1},
    {"fusion": "concatenate", "mixture": "conditioned", "n_mixes": 2},
    {"fusion": "gate", "mixture": "free", "n_mixes": 1},
    {"fusion": "gate", "mixture": "conditioned", "n_mixes": 1},
    {"fusion": "gru", "mixture": "conditioned", "n_mixes": 1},
    {"fusion": "gate-products", "mixture": "conditioned", "n_mixes": 2, "candidates": "products"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_transfer_mixes_the_graphs_of_the_checkpoint(checkpoint: str, settings: Any) -> None:
    model = make_transfer(checkpoint, **settings)
    tok2vec, graph, transfer = model.layers
    docs = [make_doc("the small dog sees a cat ."), make_doc("the dog"), make_doc("dog")]
    state = {name: tensor.numpy() for name, tensor in transfer.shims[0]._model.state_dict().items()}
    for doc, rows in zip(docs, model.predict(docs), strict=True):
        graphs = graph.predict([doc])[0].reshape(4, 2, len(doc), len(doc))
        expected = graph_transfer(tok2vec.predict([doc])[0], graphs, state, **settings)
        np.testing.assert_allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradient_of_the_tok2vec_is_right_and_graphs_get_none(checkpoint: str, settings: Any) -> None:
    model = make_transfer(checkpoint, **settings)
    tok2vec, graph, transfer = model.layers
    docs = [make_doc("the small dog sees a cat ."), make_doc("red dog")]
    before = copy.deepcopy(graph.shims[0]._model.network.state_dict())
    rows, backprop = model.begin_update(docs)
    weights = [np.random.default_rng(0).normal(size=row.shape).astype("f") for row in rows]
    backprop(weights)

    def loss(offset: np.ndarray) -> float:
        tok2vec.set_param("offset", offset)
        return sum(float((row * weight).sum()) for row, weight in zip(model.predict(docs), weights, strict=True))

    steps = np.eye(WIDTH, dtype="f") * 0.01
    numeric = [(loss(step) - loss(-step)) / 0.02 for step in steps]
    np.testing.assert_allclose(tok2vec.get_grad("offset"), numeric, rtol=0.02, atol=0.02)
    learned = transfer.shims[0]._model.parameters()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in learned)
    assert all(not parameter.requires_grad for parameter in graph.shims[0]._model.network.parameters())
    model.finish_update(lambda key, weights, gradient: (weights - 0.1 * gradient, gradient * 0))
    after = graph.shims[0]._model.network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("fusion", ["concatenate", "gate-products"])
def test_uniform_graph_sends_the_mean_of_each_window(fusion: str) -> None:
    model = build_graph_transfer_v1(word_rows(), build_uniform_graph_v1(), fusion, n_mixes=2)
    assert model.get_dim("nO") == 2 * WIDTH
    model.initialize(X=[make_doc("the dog sees")])
    tok2vec, _, transfer = model.layers
    state = {name: tensor.numpy() for name, tensor in transfer.shims[0]._model.state_dict().items()}
    docs = [make_doc("the small dog sees a cat ."), Doc(VOCAB), make_doc("dog"), make_doc(" ".join(["red"] * 450))]
    for doc, rows in zip(docs[:3], model.predict(docs), strict=False):
        expected = [uniform_transfer(tok2vec.predict([doc])[0], state, fusion)] if len(doc) else []
        np.testing.assert_allclose(rows, np.reshape(expected, (-1, 2 * WIDTH)), atol=1e-5)


def test_uniform_graph_attends_to_every_token_but_whitespace() -> None:
    graph = build_uniform_graph_v1()
    (weights,) = graph.predict([Doc(VOCAB, words=["the", " ", "dog"])])
    assert weights.tolist() == [[[0.5, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]]]
    docs = [Doc(VOCAB), make_doc(" ".join(["red"] * 450))]
    assert [len(part[0]) for part in graph.predict(docs)] == [window.end - window.start for window in doc_windows(docs)]


def test_whitespace_keeps_its_own_row_and_changes_no_other(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="concatenate", mixture="conditioned")
    plain = model.predict([make_doc("the small dog sees a cat .")])[0]
    words = ["\n", "the", "small", "  ", "dog", "sees", "a", "cat", "\n\n", "."]
    spaced = model.predict([Doc(VOCAB, words=words)])[0]
    is_space = np.array([not word.strip() for word in words])
    np.testing.assert_allclose(spaced[~is_space], plain, atol=1e-6)
    assert not spaced[is_space][:, WIDTH:].any()
    assert spaced[is_space][:, :WIDTH].all()


def test_long_docs_are_read_in_windows(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="concatenate", mixture="conditioned")
    words = np.random.default_rng(0).choice(["the", "dog", "cat", "sees", "red", "."], size=950).tolist()
    doc = Doc(VOCAB, words=words)
    rows = model.predict([doc])[0]
    windows = doc_windows([doc])
    assert len(windows) > 5
    for window in windows:
        part = Doc(VOCAB, words=words[window.start : window.end])
        expected = model.predict([part])[0][window.row_start - window.start : window.row_end - window.start]
        np.testing.assert_allclose(rows[window.row_start : window.row_end], expected, atol=1e-5)


def test_transfer_does_not_depend_on_batch_mates(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="gate", mixture="conditioned")
    docs = [make_doc(text) for text in ("dog", "the small dog sees a cat .", "red", "a cat hears the dog")]
    docs.insert(1, Doc(VOCAB))
    for doc, rows in zip(docs, model.predict(docs), strict=True):
        np.testing.assert_allclose(rows, model.predict([doc])[0], atol=1e-6)


def test_a_task_that_needs_the_previous_word_is_learned_only_with_graphs(checkpoint: str) -> None:
    embedding = {"@architectures": "spacy.MultiHashEmbed.v2", "width": 16, "attrs": ["ORTH"], "rows": [200]}
    embedding["include_static_vectors"] = False
    graph = {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": checkpoint}
    transfer = {"@architectures": "glomo_spacy.GraphTransfer.v1", "tok2vec": embedding, "graph": graph}
    accuracies = []
    for tok2vec in (embedding, {**transfer, "mixture": "free", "fusion": "concatenate"}):
        spacy.util.fix_random_seed(0)
        nlp = spacy.blank("en")
        nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}})
        rng = np.random.default_rng(1)
        texts = [" ".join(rng.choice(["dog", "cat", "red", "big"], size=8)) for _ in range(12)]
        docs = [nlp.make_doc(text) for text in texts]
        examples = [
            Example.from_dict(doc, {"tags": ["START", *(token.text for token in doc[:-1])]})  # the word before
            for doc in docs
        ]
        optimizer = nlp.initialize(lambda examples=examples: examples)
        optimizer.learn_rate = 0.01
        for _ in range(30):
            nlp.update(examples, sgd=optimizer)
        accuracies.append(nlp.evaluate(examples)["tag_acc"])
    assert accuracies[0] < 0.6
    assert accuracies[1] > 0.95


def test_dropout_acts_in_training_only_and_follows_the_rate(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="gate", mixture="conditioned", dropout=0.5)
    docs = [make_doc("the small dog sees a cat .")]
    still = model.predict(docs)[0]
    assert not np.allclose(model.begin_update(docs)[0][0], still)
    np.testing.assert_array_equal(model.predict(docs)[0], still)
    set_dropout_rate(model, 0.0)
    np.testing.assert_allclose(model.begin_update(docs)[0][0], still, atol=1e-6)


def test_width_is_known_when_built_if_that_of_the_tok2vec_is(checkpoint: str) -> None:
    graph = build_glomo_graph_v1(pretrained=checkpoint)
    assert build_graph_transfer_v1(word_rows(), graph, "concatenate", n_mixes=2).get_dim("nO") == 5 * WIDTH
    silent = build_graph_transfer_v1(word_rows(says_width=False), graph, "gate")
    assert silent.has_dim("nO") is None
    silent.initialize(X=[make_doc("the dog")])
    assert silent.get_dim("nO") == 2 * WIDTH


def test_transfer_before_initialisation_says_what_to_do(checkpoint: str) -> None:
    model = build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained=checkpoint))
    with pytest.raises(ValueError, match="G136.*nlp.initialize"):
        model.predict([make_doc("the dog")])


def test_transfer_over_a_missing_checkpoint_says_so() -> None:
    model = build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained="no such checkpoint"))
    with pytest.raises(ValueError, match=r"G120.*no such checkpoint"):
        model.initialize(X=[make_doc("the dog")])


def test_stored_weights_of_other_settings_are_refused(checkpoint: str) -> None:
    stored = make_transfer(checkpoint, mixture="free").to_bytes()
    other = build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained=checkpoint), mixture="uniform")
    with pytest.raises(ValueError, match=r"G137.*'mixture': 'free'.*'mixture': 'uniform'"):
        other.from_bytes(stored)


def test_weights_stored_before_candidates_and_graph_were_settings_still_load(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="gate")
    transfer = model.layers[2]
    stored = srsly.msgpack_loads(transfer.to_bytes())
    shim = srsly.msgpack_loads(stored["shims"][0][0])
    module = srsly.msgpack_loads(shim["state"])
    for name in ("candidates", "graph"):
        del module["config"][name]
    del stored["attrs"][0]["settings"]
    shim["state"] = srsly.msgpack_dumps(module)
    stored["shims"][0][0] = srsly.msgpack_dumps(shim)
    other = build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained=checkpoint), "gate")
    other.layers[2].from_bytes(srsly.msgpack_dumps(stored))
    docs = [make_doc("the small dog sees a cat .")]
    np.testing.assert_array_equal(other.predict(docs)[0], model.predict(docs)[0])


def test_a_tok2vec_of_another_width_is_refused(checkpoint: str) -> None:
    model = make_transfer(checkpoint)
    model.layers[0] = word_rows(WIDTH + 1)
    with pytest.raises(ValueError, match="G138.*width 5.*width 4"):
        model.predict([make_doc("the dog")])


@pytest.mark.parametrize("setting, value", [("fusion", "sum"), ("mixture", "best"), ("n_mixes", 0)])
def test_unknown_settings_are_refused_when_built(checkpoint: str, setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"G10[01].*{setting}.*{value}"):
        build_graph_transfer_v1(word_rows(), build_glomo_graph_v1(pretrained=checkpoint), **{setting: value})


def test_a_copy_of_a_model_gives_the_same(checkpoint: str) -> None:
    model = make_transfer(checkpoint, fusion="gate")
    docs = [make_doc("the small dog sees a cat .")]
    np.testing.assert_array_equal(model.copy().predict(docs)[0], model.predict(docs)[0])


def test_a_listener_inside_a_wrapper_trains_and_survives_replacement(checkpoint: str, tmp_path: Any) -> None:
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "*"}
    graph = {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": checkpoint}
    transfer = {"@architectures": "glomo_spacy.GraphTransfer.v1", "tok2vec": listener, "graph": graph}
    nlp = spacy.blank("en")
    cnn = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 8, "depth": 1, "embed_size": 50, "window_size": 1}
    cnn.update({"maxout_pieces": 1, "subword_features": False, "pretrained_vectors": None})
    nlp.add_pipe("tok2vec", config={"model": cnn})
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": transfer}})
    examples = [Example.from_dict(nlp.make_doc("the dog sees"), {"tags": ["D", "N", "V"]})]
    optimizer = nlp.initialize(lambda: examples)
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    assert nlp.get_pipe("tok2vec").model.to_bytes() != before
    assert [token.tag_ for token in nlp("the dog sees")] == ["D", "N", "V"]
    nlp.replace_listeners("tok2vec", "tagger", ["model.tok2vec.tok2vec"])
    nlp.remove_pipe("tok2vec")
    nlp.to_disk(tmp_path)
    assert [token.tag_ for token in spacy.load(tmp_path)("the dog sees")] == ["D", "N", "V"]


def test_rows_that_do_not_fit_the_doc_are_refused(checkpoint: str) -> None:
    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        return [np.zeros((len(doc) - 1, WIDTH), dtype="f") for doc in docs], lambda d_rows: []

    short = Model("too_short", forward, dims={"nO": WIDTH})
    transfer = build_graph_transfer_v1(short, build_glomo_graph_v1(pretrained=checkpoint))
    with pytest.raises(ValueError, match="G133.*too_short gives 2 rows for a Doc of 3 tokens"):
        transfer.predict([make_doc("the small dog")])
