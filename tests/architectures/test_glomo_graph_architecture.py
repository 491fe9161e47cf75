"""GlomoGraph.v1: all graphs of the network, unpruned, and no way to train them."""

import copy
import threading
from typing import List

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Adam

from glomo_spacy.architectures import build_glomo_graph_v1, doc_windows, glomo_config
from glomo_spacy.architectures.types import GraphModel
from glomo_spacy.models import load_checkpoint

NLP = spacy.blank("en")


@pytest.fixture
def model(checkpoint: str) -> GraphModel:
    return build_glomo_graph_v1(pretrained=checkpoint)


def make_doc(words: List[str]) -> Doc:
    return Doc(NLP.vocab, words=words)


def expected_graphs(model: GraphModel, checkpoint: str, words: List[str]) -> np.ndarray:
    ids = torch.from_numpy(model.shims[0].network.indexer.ids(words))[None]
    return load_checkpoint(checkpoint).graphs(ids)[0].flatten(0, 1).detach().numpy()


def test_it_is_registered_under_its_name(checkpoint: str) -> None:
    config = {"model": {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": checkpoint}}
    model = registry.resolve(config)["model"]
    assert model.predict([make_doc(["the", "dog"])])[0].shape == (8, 2, 2)


def test_each_doc_has_every_graph_of_the_network(model: GraphModel, checkpoint: str) -> None:
    docs = [make_doc(words.split()) for words in ("the small dog sees", "a", "red cat . the big dog hears a cat")]
    for doc, graphs in zip(docs, model.predict(docs)):
        expected = expected_graphs(model, checkpoint, [token.text for token in doc])
        assert graphs.shape == (8, len(doc), len(doc))
        np.testing.assert_allclose(graphs, expected, atol=1e-6)
    assert glomo_config(model).n_graphs == 8


def test_whitespace_tokens_have_empty_rows_and_columns(model: GraphModel, checkpoint: str) -> None:
    graphs = model.predict([make_doc(["\n", "the", "dog", "  ", "sees"])])[0]
    seen = [1, 2, 4]
    expected = expected_graphs(model, checkpoint, ["the", "dog", "sees"])
    np.testing.assert_allclose(graphs[:, np.array(seen)[:, None], seen], expected, atol=1e-6)
    assert graphs.sum() == pytest.approx(expected.sum(), rel=1e-5)


def test_a_long_doc_has_one_output_per_window(model: GraphModel, checkpoint: str) -> None:
    words = ["the", "dog", "sees", "a", "cat"] * 90
    docs = [make_doc(["a"]), make_doc(words)]
    graphs, windows = model.predict(docs), doc_windows(docs)
    assert len(graphs) == len(windows) == 5
    for window, window_graphs in zip(windows[1:], graphs[1:]):
        expected = expected_graphs(model, checkpoint, words[window.start : window.end])
        np.testing.assert_allclose(window_graphs, expected, atol=1e-5)


@pytest.mark.parametrize("words", [[], ["\n"], ["\n", " "]])
def test_docs_without_words_have_empty_graphs(words: List[str], model: GraphModel) -> None:
    graphs = model.predict([make_doc(words)])
    assert [graph.shape for graph in graphs] == [(8, len(words), len(words))]
    assert not graphs[0].any()


def test_an_empty_batch_gives_nothing(model: GraphModel) -> None:
    assert model.predict([]) == []


def test_training_computes_the_same_and_changes_nothing(model: GraphModel) -> None:
    docs = [make_doc(["the", "dog", "sees"])]
    before = model.to_bytes()
    predicted = model.predict(docs)[0]
    graphs, backprop = model.begin_update(docs)
    np.testing.assert_array_equal(graphs[0], predicted)
    assert backprop([np.ones_like(graphs[0])]) == []
    model.finish_update(Adam(0.1))
    model.initialize(docs)
    assert model.to_bytes() == before
    assert not any(parameter.requires_grad for parameter in model.shims[0].network.parameters())


def test_no_call_puts_the_network_into_training_mode(model: GraphModel) -> None:
    network = model.shims[0].network
    network.train()
    model.shims[0]._model.train(True)
    model.begin_update([make_doc(["the", "dog"])])
    assert not any(module.training for module in network.modules())


def test_threads_share_one_network(model: GraphModel) -> None:
    docs = [make_doc(["the", "small", "dog", "sees"] * 10)]
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
    for graphs in found:
        np.testing.assert_array_equal(graphs, expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: model.copy()], ids=["deepcopy", "copy"])
def test_copies_compute_the_same(copied, model: GraphModel) -> None:
    docs = [make_doc(["the", "dog", "sees"])]
    np.testing.assert_array_equal(copied(model).predict(docs)[0], model.predict(docs)[0])


def test_sizes_without_weights_are_an_error_with_the_cause() -> None:
    with pytest.raises(ValueError, match=r"G120.*`pretrained` is null"):
        glomo_config(build_glomo_graph_v1(pretrained=None))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_graphs(model: GraphModel) -> None:
    docs = [make_doc(["the", "dog", "sees"] * 20), make_doc(["a"])]
    expected = model.predict(docs)
    model.shims[0].network.cuda()
    for graphs, other in zip(model.predict(docs), expected):
        np.testing.assert_allclose(graphs, other, atol=1e-4)
