"""The glomo_graph component: what it sets, and that nothing but the words decides it."""

import random
from typing import List

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from glomo_spacy.architectures import glomo_config, relational_graphs
from glomo_spacy.architectures.glomo import _frozen
from glomo_spacy.graphs import RelationalGraph
from glomo_spacy.models import load_checkpoint

TEXT = "The small dog sees a big red cat."
WORDS = ["the", "a", "small", "big", "red", "dog", "cat", "sees", "hears", "7", "unheard"]


def random_doc(nlp: Language, n_tokens: int) -> Doc:
    return Doc(nlp.vocab, words=random.choices(WORDS, k=n_tokens))


def dense(nlp: Language, docs: List[Doc]) -> List[np.ndarray]:
    graphs = relational_graphs(nlp.get_pipe("glomo_graph").model, docs, top_k=None, min_weight=0.0)
    return [graph.dense() for graph in graphs]


def model_ids(nlp: Language, doc: Doc) -> torch.Tensor:
    indexer = _frozen(nlp.get_pipe("glomo_graph").model).indexer
    return torch.from_numpy(indexer.ids(token.text for token in doc if not token.is_space))[None]


# --- What is set ------------------------------------------------------------------------------------------------------


def test_relations_are_tokens_with_weights_strongest_first(nlp: Language) -> None:
    doc = nlp(TEXT)
    relations = doc[4]._.glomo_relations
    weights = [weight for _, weight in relations]
    assert relations[0][0].doc is doc
    assert weights == sorted(weights, reverse=True)
    assert {token.i: pytest.approx(weight) for token, weight in relations} == {
        edge.source: edge.weight for edge in doc._.glomo_graph.edges() if edge.receiver == 4
    }
    assert len(relations) > 3


def test_the_graph_is_the_models_mixed_graph_pruned(nlp: Language, checkpoint: str) -> None:
    doc = nlp(TEXT)
    mixed = load_checkpoint(checkpoint).mixed_graph(model_ids(nlp, doc))[0].detach().numpy()
    expected = RelationalGraph.from_dense(mixed, top_k=16, min_weight=0.01)
    np.testing.assert_allclose(doc._.glomo_graph.dense(), expected.dense(), atol=1e-6)
    assert doc._.glomo_graph.dense().any()


def test_top_k_and_min_weight_prune_each_row(nlp: Language) -> None:
    doc = random_doc(nlp, 40)
    nlp.get_pipe("glomo_graph")(doc)
    full = dense(nlp, [doc])[0]
    graph = doc._.glomo_graph
    for receiver in range(40):
        weights = graph.row(receiver)[1]
        expected = np.sort(full[receiver])[::-1][:16]
        np.testing.assert_allclose(weights, expected[expected > 0.01], atol=1e-6)
    assert 0.2 < graph.kept_mass().mean() < 0.999


def test_top_k_null_and_no_minimum_keep_the_whole_mass(checkpoint: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"pretrained": checkpoint, "top_k": None, "min_weight": 0.0})
    mass = nlp(" ".join(["dog cat red"] * 20))._.glomo_graph.kept_mass()
    np.testing.assert_allclose(mass, 1.0, atol=1e-5)


def test_keep_all_keeps_each_direction_layer_and_head_beside_the_mixed_graph(checkpoint: str, nlp: Language) -> None:
    every = spacy.blank("en")
    settings = {"pretrained": checkpoint, "keep": "all", "top_k": None, "min_weight": 0.0}
    every.add_pipe("glomo_graph", config=settings)
    doc = every("The small dog \n sees a big red cat.")
    seen = [token.i for token in doc if not token.is_space]
    graphs = load_checkpoint(checkpoint).graphs(model_ids(nlp, doc))[0].detach().numpy()
    assert len(doc._.glomo_graph.names) == 1 + 2 * 2 * 2
    for direction, layer, head in doc._.glomo_graph.names[1:]:
        place = layer + (2 if direction == "right" else 0)
        found = doc._.glomo_graph.dense(graph=(direction, layer, head))[np.ix_(seen, seen)]
        np.testing.assert_allclose(found, graphs[place, head], atol=1e-6)
    np.testing.assert_allclose(doc._.glomo_graph.dense(), dense(nlp, [doc])[0], atol=1e-6)
    assert doc[4]._.glomo_relations


def test_the_packaged_weights_are_the_default() -> None:
    nlp = spacy.blank("en")
    component = nlp.add_pipe("glomo_graph")
    assert nlp.config["components"]["glomo_graph"]["model"]["pretrained"] == "glomo_en_sm"
    assert len(nlp("Marie Curie won.")._.glomo_graph.row(0)) == 2
    assert glomo_config(component.model).vocab_size > 1000


def test_analyze_pipes_knows_what_is_assigned(nlp: Language) -> None:
    assigned = nlp.analyze_pipes()["summary"]["glomo_graph"]["assigns"]
    assert assigned == ["doc._.glomo_graph", "token._.glomo_relations"]


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"top_k": 0}, "top_k must be a whole number above 0, or null, but is 0"),
        ({"min_weight": 1.0}, "min_weight must be at least 0 and below 1, but is 1.0"),
        ({"keep": "some"}, "keep must be 'mixed' or 'all', but is 'some'"),
        ({"max_batch_tokens": 0}, "max_batch_tokens must be a whole number above 0, but is 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: dict, message: str, checkpoint: str) -> None:
    with pytest.raises(ValueError, match=f"G101.*{message}"):
        spacy.blank("en").add_pipe("glomo_graph", config={"pretrained": checkpoint, **setting})


def test_another_kind_of_model_is_refused_by_name() -> None:
    nlp = spacy.blank("en")
    model = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 8,
        "depth": 1,
        "embed_size": 10,
        "window_size": 1,
        "maxout_pieces": 1,
        "subword_features": False,
        "pretrained_vectors": None,
    }
    nlp.add_pipe("glomo_graph", config={"model": model})
    with pytest.raises(ValueError, match=r"G123.*glomo_spacy.GlomoGraph.v1"):
        nlp("A dog.")


# --- Independence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_batch_mates_and_order_change_nothing(seed: int, nlp: Language) -> None:
    random.seed(seed)
    docs = [random_doc(nlp, n_tokens) for n_tokens in random.choices([0, 1, 2, 7, 20, 33, 90, 390, 450], k=12)]
    alone = [dense(nlp, [doc])[0] for doc in docs]
    order = random.sample(range(len(docs)), len(docs))
    together = dense(nlp, [docs[index] for index in order])
    for index, graph in zip(order, together):
        np.testing.assert_allclose(graph, alone[index], atol=1e-5)


def test_a_small_batch_budget_changes_nothing(nlp: Language) -> None:
    docs = [random_doc(nlp, n_tokens) for n_tokens in (30, 450, 3)]
    model = nlp.get_pipe("glomo_graph").model
    small = relational_graphs(model, docs, top_k=None, min_weight=0.0, max_tokens=1)
    for graph, expected in zip(small, dense(nlp, docs)):
        np.testing.assert_allclose(graph.dense(), expected, atol=1e-5)


def test_pipe_gives_the_same_as_one_call_per_text_in_order(nlp: Language) -> None:
    texts = [TEXT, "", "Red.", "  \n", "a b c " * 50, TEXT]
    for doc, text in zip(nlp.pipe(texts, batch_size=4), texts):
        assert doc.text == text
        np.testing.assert_allclose(doc._.glomo_graph.dense(), nlp(text)._.glomo_graph.dense(), atol=1e-5)


@pytest.mark.parametrize("n_tokens", [8, 450])
def test_added_whitespace_changes_no_other_token(n_tokens: int, nlp: Language) -> None:
    plain = random_doc(nlp, n_tokens)
    words: List[str] = []
    for token in plain:
        words += [token.text] + random.choice([[], ["\n"], ["  ", "\n\n"]])
    spaced = Doc(nlp.vocab, words=["\n", *words])
    seen = [token.i for token in spaced if not token.is_space]
    plain_graph, spaced_graph = dense(nlp, [plain])[0], dense(nlp, [spaced])[0]
    assert len(spaced) > n_tokens + 2
    np.testing.assert_allclose(spaced_graph[np.ix_(seen, seen)], plain_graph, atol=1e-5)
    assert spaced_graph.sum() == pytest.approx(plain_graph.sum(), rel=1e-4)  # whitespace has no edge


@pytest.mark.parametrize("text, n_tokens", [("", 0), ("dog", 1), (" \n ", 1), ("\n\n\n", 1)])
def test_texts_without_anything_to_relate_have_empty_graphs(text: str, n_tokens: int, nlp: Language) -> None:
    doc = nlp(text)
    assert len(doc) == doc._.glomo_graph.n_tokens == n_tokens
    assert doc._.glomo_graph.edges() == []
    assert [token._.glomo_relations for token in doc] == [[]] * n_tokens


def test_an_empty_stream_gives_nothing(nlp: Language) -> None:
    assert list(nlp.pipe([])) == []
    assert nlp.get_pipe("glomo_graph").predict([]) == []


# --- Long documents ---------------------------------------------------------------------------------------------------


def test_a_long_text_takes_each_row_from_its_most_central_window(nlp: Language, checkpoint: str) -> None:
    doc = random_doc(nlp, 401)
    ids = model_ids(nlp, doc)
    graph = dense(nlp, [doc])[0]
    network = load_checkpoint(checkpoint)
    centres = {start: start + 99.5 for start in (0, 100, 200, 201)}
    windows = {start: network.mixed_graph(ids[:, start : start + 200])[0].detach().numpy() for start in centres}
    for receiver in range(401):
        start = min(centres, key=lambda start: (abs(receiver - centres[start]), -start))
        expected = np.zeros(401)
        expected[start : start + 200] = windows[start][receiver - start]
        np.testing.assert_allclose(graph[receiver], expected, atol=1e-5)


def test_a_text_of_400_tokens_is_one_window(nlp: Language, checkpoint: str) -> None:
    doc = random_doc(nlp, 400)
    mixed = load_checkpoint(checkpoint).mixed_graph(model_ids(nlp, doc))[0].detach().numpy()
    np.testing.assert_allclose(dense(nlp, [doc])[0], mixed, atol=1e-5)


def test_work_and_storage_grow_linearly_with_length(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    cells: List[int] = []
    network_class = type(_frozen(nlp.get_pipe("glomo_graph").model).network)
    compute = network_class.mixed_graph

    def counted(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        cells.append(ids.shape[0] * ids.shape[1] ** 2)
        return compute(self, ids, mask)

    monkeypatch.setattr("glomo_spacy.architectures.glomo.GlomoModel.mixed_graph", counted)
    work = {}
    for n_tokens in (3000, 6000):
        cells.clear()
        doc = nlp.get_pipe("glomo_graph")(random_doc(nlp, n_tokens))
        work[n_tokens] = sum(cells)
        assert max(cells) <= 1 << 20
        assert len(doc._.glomo_graph.weights) <= 16 * n_tokens
    assert work[3000] == pytest.approx(3000 * 2 * 200, rel=0.05)  # each token is seen by two windows of 200
    assert work[6000] <= 2.2 * work[3000]


# --- Training ---------------------------------------------------------------------------------------------------------


def test_update_and_initialize_leave_the_component_as_it_is(nlp: Language) -> None:
    tagger = nlp.add_pipe("tagger")
    tagger.add_label("X")
    before = nlp.get_pipe("glomo_graph").to_bytes()
    example = Example.from_dict(nlp.make_doc("a dog"), {"tags": ["X", "X"]})
    optimizer = nlp.initialize(lambda: [example])
    assert nlp.get_pipe("glomo_graph").to_bytes() == before
    nlp.update([example], sgd=optimizer, losses={})
    with nlp.use_params(optimizer.averages):
        assert nlp.get_pipe("glomo_graph").to_bytes() == before
    assert not nlp.get_pipe("glomo_graph").is_trainable
    assert nlp.get_pipe("glomo_graph").to_bytes() == before


# --- Failure ----------------------------------------------------------------------------------------------------------


def test_a_failing_document_reaches_the_error_handler_and_the_stream_goes_on(
    nlp: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = nlp.get_pipe("glomo_graph")
    predict, failed = component.predict, []

    def fail_on_cats(docs: List[Doc]) -> List[RelationalGraph]:
        if any(doc.text == "cat" for doc in docs):
            raise RuntimeError("no cats")
        return predict(docs)

    monkeypatch.setattr(component, "predict", fail_on_cats)
    nlp.set_error_handler(lambda name, proc, docs, error: failed.extend(doc.text for doc in docs))
    assert [doc.text for doc in nlp.pipe(["dog", "cat", "red"], batch_size=1)] == ["dog", "red"]
    assert failed == ["cat"]
