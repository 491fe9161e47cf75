"""What rests on a Doc: it travels with the Doc, and never describes another text than the Doc's own."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Token

from glomo_spacy.graphs import RelationalGraph
from glomo_spacy.pipeline import install_extensions

TEXT = "The small dog sees a big red cat."


def assert_same(found: Doc, expected: Doc) -> None:
    np.testing.assert_array_equal(found._.glomo_graph.dense(), expected._.glomo_graph.dense())
    assert expected._.glomo_graph.dense().any()
    for token, other in zip(found, expected):
        assert [(source.i, weight) for source, weight in token._.glomo_relations] == [
            (source.i, weight) for source, weight in other._.glomo_relations
        ]
        assert all(source.doc is found for source, _ in token._.glomo_relations)


# --- Travelling with the Doc ------------------------------------------------------------------------------------------


def test_a_doc_survives_bytes(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert_same(Doc(nlp.vocab).from_bytes(doc.to_bytes()), doc)


def test_a_doc_survives_disk(nlp: Language, tmp_path: Path) -> None:
    doc = nlp(TEXT)
    doc.to_disk(tmp_path / "doc")
    assert_same(Doc(nlp.vocab).from_disk(tmp_path / "doc"), doc)


def test_docs_survive_a_docbin_that_stores_user_data(nlp: Language) -> None:
    docs = [nlp(TEXT), nlp("Red."), nlp("")]
    stored = DocBin(store_user_data=True, docs=docs).to_bytes()
    found = list(DocBin().from_bytes(stored).get_docs(nlp.vocab))
    assert_same(found[0], docs[0])
    assert [doc._.glomo_graph.n_tokens for doc in found] == [9, 2, 0]


def test_a_doc_survives_pickling(nlp: Language) -> None:
    doc = nlp(TEXT)
    assert_same(pickle.loads(pickle.dumps(doc)), doc)


def test_a_copy_has_arrays_of_its_own(nlp: Language) -> None:
    doc = nlp(TEXT)
    copied = doc.copy()
    assert_same(copied, doc)
    assert not np.shares_memory(copied._.glomo_graph.weights, doc._.glomo_graph.weights)


def test_all_graphs_survive_bytes(checkpoint: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"pretrained": checkpoint, "keep": "all"})
    doc = nlp(TEXT)
    found = Doc(nlp.vocab).from_bytes(doc.to_bytes())._.glomo_graph
    for name in doc._.glomo_graph.names:
        np.testing.assert_array_equal(found.dense(graph=name), doc._.glomo_graph.dense(graph=name))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_processes_give_the_same_as_one(method: str, nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    monkeypatch.setattr("spacy.language.mp", multiprocessing.get_context(method))
    texts = [TEXT, "", "Red dog.", TEXT + " " + TEXT]
    found = list(nlp.pipe(texts, n_process=2, batch_size=2))
    assert [doc.text for doc in found] == texts
    for doc, expected in zip(found, nlp.pipe(texts)):
        np.testing.assert_allclose(doc._.glomo_graph.dense(), expected._.glomo_graph.dense(), atol=1e-6)
    assert found[0]._.glomo_graph.dense().any()


def test_a_process_that_only_reads_needs_one_import(nlp: Language, tmp_path: Path) -> None:
    doc = nlp(TEXT)
    doc.to_disk(tmp_path / "doc")
    code = (
        "import sys, glomo_spacy.pipeline\n"
        "from spacy.tokens import Doc\nfrom spacy.vocab import Vocab\n"
        "doc = Doc(Vocab()).from_disk(sys.argv[1])\n"
        "print(doc[4]._.glomo_relations[0][0].text, doc._.glomo_graph)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "doc")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == f"{doc[4]._.glomo_relations[0][0].text} {doc._.glomo_graph}"


# --- Never describing another text ------------------------------------------------------------------------------------


def test_without_the_component_there_is_no_graph_and_no_relation() -> None:
    doc = spacy.blank("en")(TEXT)
    assert doc._.glomo_graph is None
    assert doc[0]._.glomo_relations == []


def test_merged_tokens_are_a_clear_error(nlp: Language) -> None:
    doc = nlp(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[5:7])
    for read in (lambda: doc._.glomo_graph, lambda: doc[0]._.glomo_relations):
        with pytest.raises(ValueError, match=r"G010.*9 tokens.*now has 8.*Place glomo_graph after"):
            read()


def test_merging_and_splitting_back_to_the_same_number_is_noticed(nlp: Language) -> None:
    doc = nlp(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[5:7])
    with doc.retokenize() as retokenizer:
        retokenizer.split(doc[2], ["do", "g"], heads=[doc[1], doc[1]])
    assert len(doc) == 9
    with pytest.raises(ValueError, match=r"G010.*other boundaries"):
        assert doc._.glomo_graph
    with pytest.raises(ValueError, match=r"G010.*other boundaries"):
        assert doc[4]._.glomo_relations


def test_the_component_after_the_retokenizing_one_gives_the_merged_tokens_graph(nlp: Language) -> None:
    nlp.add_pipe("merge_entities", first=True)
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns([{"label": "X", "pattern": "big red cat"}])
    doc = nlp(TEXT)
    assert len(doc) == doc._.glomo_graph.n_tokens == 7
    assert doc[5].text == "big red cat"


def test_running_again_after_retokenizing_replaces_the_graph(nlp: Language) -> None:
    doc = nlp(TEXT)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[5:7])
    nlp.get_pipe("glomo_graph")(doc)
    assert doc._.glomo_graph.n_tokens == 8


@pytest.mark.parametrize("copy_user_data", [True, False])
def test_a_span_taken_as_a_doc_leaves_the_graph_behind(copy_user_data: bool, nlp: Language) -> None:
    part = nlp(TEXT)[2:5].as_doc(copy_user_data=copy_user_data)
    assert part._.glomo_graph is None
    assert part[0]._.glomo_relations == []


def test_joined_docs_leave_their_graphs_behind_with_spacys_own_warning(nlp: Language) -> None:
    with pytest.warns(UserWarning, match="W101.*glomo_graph"):
        joined = Doc.from_docs([nlp(TEXT), nlp("Red.")])
    assert joined._.glomo_graph is None


# --- Setting by hand --------------------------------------------------------------------------------------------------


def test_a_graph_can_be_set_and_removed_by_hand(nlp: Language) -> None:
    doc = nlp.make_doc("red dog")
    doc._.glomo_graph = RelationalGraph.from_dense([[0.0, 1.0], [0.0, 0.0]])
    assert doc[0]._.glomo_relations == [(doc[1], 1.0)]
    doc._.glomo_graph = None
    assert doc._.glomo_graph is None


def test_a_graph_of_another_text_cannot_be_set(nlp: Language) -> None:
    doc = nlp.make_doc("red dog")
    with pytest.raises(ValueError, match=r"G010.*belongs to 3 tokens, but the Doc now has 2"):
        doc._.glomo_graph = RelationalGraph.from_dense(np.zeros((3, 3)))


def test_installing_again_changes_nothing() -> None:
    before = Doc.get_extension("glomo_graph"), Token.get_extension("glomo_relations")
    install_extensions()
    assert (Doc.get_extension("glomo_graph"), Token.get_extension("glomo_relations")) == before
