"""ExtractiveQA.v1: how it is made, what it shares between questions, and where gradients go."""

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.ml.models.tok2vec import build_hash_embed_cnn_tok2vec
from spacy.pipeline.tok2vec import Tok2VecListener
from thinc.api import Model

from glomo_spacy.architectures.combine import build_concat_v1
from glomo_spacy.architectures.glomo import build_glomo_graph_v1
from glomo_spacy.architectures.qa import best_answers, build_extractive_qa_v1, reader_network
from glomo_spacy.architectures.qa_batches import DistinctTexts, Passage, context_passages, seen_tokens
from glomo_spacy.architectures.qa_explanation import explain_passage
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.qa.inputs import TypeTable
from glomo_spacy.models.qa.sources import load_sources

SIZES = {"encoder_width": 4, "hidden_width": 4, "model_width": 4, "char_channels": 4}
TEXT = "The dog sees the small cat ."


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def cnn() -> Model:
    settings = {"width": 8, "depth": 1, "embed_size": 50, "window_size": 1, "maxout_pieces": 2}
    return build_hash_embed_cnn_tok2vec(**settings, subword_features=False, pretrained_vectors=None)


def passages(nlp: Language, *pairs: Any) -> List[Passage]:
    docs = [(nlp.make_doc(context), nlp.make_doc(question)) for question, context in pairs]
    return [Passage(context, question, seen_tokens(context)) for context, question in docs]


def test_a_reader_with_all_inputs_equals_the_network_it_was_loaded_from(nlp: Language, reader_checkpoint: str) -> None:
    """Word vectors, characters, biLM and graphs reach the reader as they did in training."""
    model = build_extractive_qa_v1(pretrained=reader_checkpoint)
    (found,) = model.predict(passages(nlp, ("Who sees?", TEXT)))
    network: Any = load_checkpoint(reader_checkpoint)
    sources = load_sources(network.config)
    indexer = reader_network(model).indexer
    sides = []
    for words in (TEXT.split(), ["Who", "sees", "?"]):
        ids, mask = torch.arange(len(words))[None], torch.ones(1, len(words), dtype=torch.bool)
        given = {"elmo": sources.elmo.layers([words])}
        given["graphs"] = sources.graphs.graphs(torch.from_numpy(sources.graphs.indexer.ids(words))[None], mask)
        sides.append(TypeTable(words, network.config, indexer=indexer).side(ids, mask, **given))
    with torch.no_grad():
        expected = torch.cat(network(*sides, torch.zeros(1, dtype=torch.int64), is_train=False))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_equal_texts_are_read_once_whoever_brings_them(nlp: Language) -> None:
    given = passages(nlp, ("Who?", TEXT), ("What?", TEXT), ("Who?", "Nobody ."))
    texts = DistinctTexts(given)
    assert [doc.text for doc in texts.docs] == [TEXT, "Nobody .", "Who?", "What?"]
    (batch,) = texts.batches(has_graphs=False)
    assert sorted(batch.members) == [0, 1, 2]
    assert [len(batch.contexts), len(batch.questions)] == [2, 3]
    assert [texts.contexts[member] for member in batch.members] == [batch.contexts[owner] for owner in batch.owners]


def test_texts_of_other_sentence_boundaries_are_other_texts(nlp: Language) -> None:
    given = passages(nlp, ("Who?", TEXT), ("Who?", TEXT))
    given[1].context[3].is_sent_start = True
    assert len(DistinctTexts(given).docs) == 3


@pytest.mark.parametrize("has_graphs", [False, True])
def test_batch_mates_and_repetition_change_no_score(has_graphs: bool, nlp: Language) -> None:
    graph = build_glomo_graph_v1(pretrained="glomo_en_sm") if has_graphs else None
    model = build_extractive_qa_v1(cnn(), graph, **SIZES)
    pairs = [("Who sees?", TEXT), ("What ?", TEXT), ("Who?", "A cat ."), ("Where?", "far " * 60 + TEXT)]
    given = passages(nlp, *pairs)
    model.initialize(X=given)
    together = model.predict(given)
    for passage, scores in zip(given, together):
        np.testing.assert_allclose(model.predict([passage])[0], scores, atol=1e-5)
    copied = model.copy().predict(given)
    assert all(np.array_equal(first, second) for first, second in zip(together, copied))


def test_gradients_reach_the_features_of_contexts_and_questions(nlp: Language) -> None:
    """The gradient of the tok2vec is that of the loss, by finite differences."""
    off = {"input_dropout": 0.0, "dropout": 0.0, "pointer_dropout": 0.0}
    tok2vec = cnn()
    model = build_extractive_qa_v1(tok2vec, **SIZES, **off)
    given = passages(nlp, ("Who sees the cat ?", TEXT), ("What ?", TEXT), ("Who ?", "Nobody ."))
    model.initialize(X=given)
    rng = np.random.default_rng(0)
    logits, backprop = model.begin_update(given)
    directions = [rng.normal(size=scores.shape).astype("float32") for scores in logits]
    backprop(directions)

    def loss() -> float:
        return sum(float((scores * part).sum()) for scores, part in zip(model.predict(given), directions))

    node = next(node for node in tok2vec.walk() if node.has_param("E"))
    table, gradient = node.get_param("E"), node.get_grad("E")
    row, column = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    step = 1e-2
    table[row, column] += step
    above = loss()
    table[row, column] -= 2 * step
    assert gradient[row, column] == pytest.approx((above - loss()) / (2 * step), rel=0.05)


def test_nothing_to_read_gives_nothing(nlp: Language, reader_checkpoint: str) -> None:
    model = build_extractive_qa_v1(pretrained=reader_checkpoint)
    assert model.predict([]) == []
    assert best_answers(model, [[], []]) == [[], []]


def test_windows_of_one_context_compete(nlp: Language, reader_checkpoint: str) -> None:
    model = build_extractive_qa_v1(pretrained=reader_checkpoint)
    context = nlp.make_doc("the dog sees the cat . " * 120)  # 720 tokens
    given = context_passages(context, nlp.make_doc("Who?"))
    assert [int(passage.tokens[0]) for passage in given] == [0, 200, 320]
    (together,) = best_answers(model, [given], k=5)
    scores = [score for *_, score in together]
    assert scores == sorted(scores, reverse=True)
    assert len({span[:2] for span in together}) == 5
    assert sum(scores) < 1.0
    assert together[0][2] < max(best_answers(model, [[window]])[0][0][2] for window in given)


def test_the_explanation_has_the_scores_of_the_prediction(nlp: Language, reader_checkpoint: str) -> None:
    model = build_extractive_qa_v1(pretrained=reader_checkpoint)
    (passage,) = passages(nlp, ("Who sees?", TEXT))
    found = explain_passage(model, passage)
    (scores,) = model.predict([passage])
    np.testing.assert_allclose(torch.cat([found.start_logits, found.end_logits]).numpy(), scores, atol=1e-5)
    assert found.context is not None
    assert found.context.graphs.shape == (1, 2, 2, 7, 7)


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", ["itself", "within"])
def test_a_listener_is_refused(depth: str) -> None:
    listener = Tok2VecListener("tok2vec", width=8)
    tok2vec = listener if depth == "itself" else build_concat_v1([cnn(), listener])
    with pytest.raises(ValueError, match=r"\[G091\] ExtractiveQA runs its tok2vec over questions too, which no compon"):
        build_extractive_qa_v1(tok2vec)


def test_a_tok2vec_and_pretrained_weights_exclude_each_other(reader_checkpoint: str) -> None:
    message = r"\[G094\] ExtractiveQA is made either over a tok2vec"
    with pytest.raises(ValueError, match=message):
        build_extractive_qa_v1(cnn(), pretrained=reader_checkpoint)
    with pytest.raises(ValueError, match=message):
        build_extractive_qa_v1(None, build_glomo_graph_v1(pretrained=None))


def test_settings_are_checked_when_the_model_is_built() -> None:
    with pytest.raises(ValueError, match=r"\[G100\] attention = 'sharp' is not available"):
        build_extractive_qa_v1(cnn(), attention="sharp")
    with pytest.raises(ValueError, match=r"\[G101\] encoder_width must be a whole number above 0"):
        build_extractive_qa_v1(cnn(), encoder_width=0)


def test_settings_must_be_those_of_the_weights(nlp: Language, reader_checkpoint: str) -> None:
    assert build_extractive_qa_v1(pretrained=reader_checkpoint, encoder_width=4).predict([]) == []
    model = build_extractive_qa_v1(pretrained=reader_checkpoint, encoder_width=5)
    with pytest.raises(ValueError, match=r"\[G092\] .* was trained with {'encoder_width': 4}, but the config says"):
        model.predict([])


def test_other_graphs_than_those_of_training_are_refused(reader_checkpoint: str, tmp_path: Path) -> None:
    """A checkpoint whose record of its graphs was changed stands for graphs that were."""
    reader = tmp_path / "reader"
    reader.mkdir()
    for path in Path(reader_checkpoint).iterdir():
        (reader / path.name).write_bytes(path.read_bytes())
    text = (reader / "config.cfg").read_text(encoding="utf8")
    sha256 = load_checkpoint(reader_checkpoint).config.graph_sha256
    (reader / "config.cfg").write_text(text.replace(sha256, "0" * 64), encoding="utf8")
    with pytest.raises(ValueError, match=r"\[G351\] graph_source = .* is another model than the one this reader was"):
        build_extractive_qa_v1(pretrained=str(reader)).predict([])


def test_another_model_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[G095\] This needs a model of glomo_spacy.ExtractiveQA.v1, but got"):
        reader_network(cnn())
