"""The extractive_qa component: what it finds, that nothing but the texts matters to it, and that it learns."""

import multiprocessing
import pickle
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

import glomo_spacy
from glomo_spacy.architectures.qa import reader_network
from glomo_spacy.architectures.qa_batches import context_passages, training_passage
from glomo_spacy.cli._demo_answers import TEXT
from glomo_spacy.corpora.squad import create_squad_reader_v1
from glomo_spacy.pipeline import ExtractiveQA
from glomo_spacy.pipeline.qa import ask, question_docs, span_loss

FIXTURE = str(Path(__file__).parents[1] / "fixtures" / "squad_tiny.json")
CONTEXT = "The dog sees the small cat. Marie Curie discovered radium in 1898, and the cat was asleep."
QUESTIONS = ["Who sees the cat?", "Who discovered radium?", "When?", "What was asleep?"]
PAIRS = [(question, CONTEXT) for question in QUESTIONS] + [("Who sees?", "A cat sees the dog."), ("Who?", "Nobody.")]


def blank(pretrained: str, **settings: Any) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("extractive_qa", config={"pretrained": pretrained, **settings})
    return nlp


def trainable(**settings: Any) -> Language:
    """A reader over a small tok2vec, with graphs on its states."""
    tok2vec = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 16, "depth": 1, "embed_size": 200}
    tok2vec |= {"window_size": 1, "maxout_pieces": 2, "subword_features": True, "pretrained_vectors": None}
    sizes = {"encoder_width": 12, "hidden_width": 12, "model_width": 12, "characters": ""}
    model = {"@architectures": "glomo_spacy.ExtractiveQA.v1", "tok2vec": tok2vec, **sizes, **settings}
    nlp = spacy.blank("en")
    nlp.add_pipe("extractive_qa", config={"model": model})
    return nlp


def make_doc(nlp: Language, question: str, context: str) -> Doc:
    (doc,) = question_docs(nlp, [(question, context)])
    return doc


def found(doc: Doc) -> List[Tuple[int, int, float]]:
    return [(span.start_char, span.end_char, round(span._.answer_score, 4)) for span in doc.spans["answers"]]


@pytest.fixture
def nlp(reader_checkpoint: str) -> Language:
    return blank(reader_checkpoint, top_k=3)


# --- What is set ------------------------------------------------------------------------------------------------------


def test_answers_are_spans_with_scores_best_first(nlp: Language) -> None:
    doc = nlp(make_doc(nlp, *PAIRS[0]))
    scores = [span._.answer_score for span in doc.spans["answers"]]
    assert len(scores) == 3
    assert 1.0 > scores[0] >= scores[1] >= scores[2] > 0.0
    assert doc.spans["answers"].attrs["scores"] == scores


def test_a_span_that_is_no_answer_has_no_score(nlp: Language) -> None:
    doc = nlp(make_doc(nlp, *PAIRS[0]))
    assert doc[:]._.answer_score is None
    assert spacy.blank("en")("text")[:]._.answer_score is None


def test_a_doc_without_a_question_is_left_alone(nlp: Language) -> None:
    asked, silent = nlp.pipe([make_doc(nlp, *PAIRS[0]), nlp.make_doc(CONTEXT)])
    assert "answers" in asked.spans
    assert "answers" not in silent.spans


@pytest.mark.parametrize("text", ["", " \n "])
def test_a_context_without_words_has_no_answer(text: str, nlp: Language) -> None:
    assert len(nlp(make_doc(nlp, "Who?", text)).spans["answers"]) == 0


@pytest.mark.parametrize("question", ["", " \n", 3])
def test_an_empty_question_is_refused_when_it_is_set(question: Any) -> None:
    with pytest.raises(ValueError, match=r"\[G090\] A question must be a text with at least one word, but is "):
        spacy.blank("en")("text")._.question = question


def test_a_question_can_be_taken_back() -> None:
    doc = spacy.blank("en")("text")
    assert doc._.question is None
    doc._.question = "Who?"
    assert doc._.question == "Who?"
    doc._.question = None
    assert doc._.question is None


def test_the_packaged_weights_are_the_default() -> None:
    component = spacy.blank("en").add_pipe("extractive_qa")
    assert isinstance(component, ExtractiveQA)
    assert reader_network(component.model).has_weights


def test_the_packaged_reader_finds_who_what_when_and_where() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("extractive_qa")
    asked = {
        "Where was Marie Curie born?": "Warsaw",
        "When was she born?": "1867",
        "What did she study in Paris?": "physics",
        "Who shared the Nobel Prize with the Curies?": "Henri Becquerel",
    }
    pairs = [(question, TEXT) for question in asked]
    assert [doc.spans["answers"][0].text for doc in nlp.pipe(question_docs(nlp, pairs))] == list(asked.values())


def test_top_k_must_be_above_zero(reader_checkpoint: str) -> None:
    with pytest.raises(ValueError, match=r"\[G101\] top_k must be a whole number above 0, but is 0"):
        blank(reader_checkpoint, top_k=0)


# --- Only the texts matter --------------------------------------------------------------------------------------------


def test_batch_size_and_order_change_nothing(nlp: Language) -> None:
    alone = [found(nlp(make_doc(nlp, *pair))) for pair in PAIRS]
    together = [found(doc) for doc in nlp.pipe(question_docs(nlp, PAIRS))]
    backwards = [found(doc) for doc in nlp.pipe(question_docs(nlp, PAIRS[::-1]), batch_size=2)][::-1]
    assert alone == together == backwards


def test_whitespace_is_invisible_and_no_answer_begins_or_ends_with_it(nlp: Language) -> None:
    plain = nlp(make_doc(nlp, "Who sees the cat?", CONTEXT))
    spaced = nlp(make_doc(nlp, "Who  sees \n the cat? ", "  \n" + CONTEXT.replace(" ", "  \n ")))
    words = [span.text.split() for span in spaced.spans["answers"]]
    assert words == [span.text.split() for span in plain.spans["answers"]]
    assert not any(span[0].is_space or span[-1].is_space for span in spaced.spans["answers"])
    np.testing.assert_allclose(
        spaced.spans["answers"].attrs["scores"], plain.spans["answers"].attrs["scores"], rtol=1e-4
    )


def test_long_contexts_are_read_whole_by_windows(nlp: Language) -> None:
    filler = "the dog sees the cat . " * 180  # 1,080 tokens
    doc = nlp(make_doc(nlp, "Who discovered radium?", filler + CONTEXT + " " + filler))
    assert len(doc) > 2000
    assert len(doc.spans["answers"]) == 3
    seen = {int(token) for passage in _passages(nlp, doc) for token in passage.tokens}
    assert seen == set(range(len(doc)))


def _passages(nlp: Language, doc: Doc) -> Any:
    return context_passages(doc, nlp.make_doc(doc._.question))


# --- Storage and processes --------------------------------------------------------------------------------------------


def test_a_saved_pipeline_needs_no_checkpoint(nlp: Language, tmp_path: Path) -> None:
    expected = [found(doc) for doc in nlp.pipe(question_docs(nlp, PAIRS))]
    nlp.to_disk(tmp_path / "nlp")
    config = tmp_path / "nlp" / "config.cfg"
    text = config.read_text(encoding="utf8")
    for line in [line for line in text.splitlines() if line.startswith("pretrained = ")]:
        text = text.replace(line, 'pretrained = "gone"')
    config.write_text(text, encoding="utf8")
    reloaded = spacy.load(tmp_path / "nlp")
    assert [found(doc) for doc in reloaded.pipe(question_docs(reloaded, PAIRS))] == expected


def test_a_pipeline_travels_as_bytes_and_pickle(nlp: Language) -> None:
    expected = [found(doc) for doc in nlp.pipe(question_docs(nlp, PAIRS))]
    other = spacy.blank("en")
    other.add_pipe("extractive_qa", config={"model": {"@architectures": "glomo_spacy.ExtractiveQA.v1"}, "top_k": 3})
    other.from_bytes(nlp.to_bytes())
    assert [found(doc) for doc in other.pipe(question_docs(other, PAIRS))] == expected
    component = pickle.loads(pickle.dumps(nlp.get_pipe("extractive_qa")))
    assert component.predict([make_doc(nlp, *PAIRS[0])]) == nlp.get_pipe("extractive_qa").predict(
        [make_doc(nlp, *PAIRS[0])]
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_processes_answer_like_one(method: str, nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    expected = [found(doc) for doc in nlp.pipe(question_docs(nlp, PAIRS))]
    monkeypatch.setattr("spacy.language.mp", multiprocessing.get_context(method))
    docs = nlp.pipe(question_docs(nlp, PAIRS), n_process=2, batch_size=2)
    assert [found(doc) for doc in docs] == expected


def test_question_and_answers_survive_docbin(nlp: Language) -> None:
    doc = nlp(make_doc(nlp, *PAIRS[0]))
    stored = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (reloaded,) = DocBin().from_bytes(stored).get_docs(nlp.vocab)
    assert reloaded._.question == PAIRS[0][0]
    assert found(reloaded) == found(doc)


# --- Training ---------------------------------------------------------------------------------------------------------


def test_loss_is_the_cross_entropy_of_both_ends() -> None:
    scores = [np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], dtype="f")), np.zeros((2, 4), dtype="f")]
    loss, gradients = span_loss(scores, [(0, 2), (1, 1)])
    assert loss == pytest.approx((-np.log(0.5) - np.log(0.8) + 2 * np.log(4)) / 2, rel=1e-5)
    np.testing.assert_allclose(gradients[0], np.array([[-0.5, 0.25, 0.25], [0.1, 0.1, -0.2]]) / 2, rtol=1e-5)


def test_get_loss_is_that_of_the_update() -> None:
    nlp = trainable(input_dropout=0.0, dropout=0.0, pointer_dropout=0.0)
    component: Any = nlp.get_pipe("extractive_qa")
    examples = list(create_squad_reader_v1(FIXTURE, limit=3)(nlp))
    nlp.initialize(lambda: examples)
    passages = [_passages(nlp, example.predicted)[0] for example in examples]
    loss, gradients = component.get_loss(examples, component.model.predict(passages))
    assert [part.shape for part in gradients] == [(2, len(passage.tokens)) for passage in passages]
    assert nlp.update(examples)["extractive_qa"] == pytest.approx(loss, rel=1e-4)


def test_it_learns_questions_by_heart() -> None:
    nlp = trainable(input_dropout=0.0, dropout=0.0, pointer_dropout=0.0, output="recurrent")
    examples = list(create_squad_reader_v1(FIXTURE, limit=4)(nlp))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    before = nlp.evaluate(examples)["answer_f1"]
    losses = [nlp.update(examples, sgd=optimizer)["extractive_qa"] for _ in range(30)]
    assert losses[-1] < losses[0] / 3
    after = nlp.evaluate(examples)
    assert after["answer_f1"] > max(0.8, before)
    assert 0.0 <= after["answer_exact_match"] <= after["answer_f1"]


def test_what_came_trained_learns_on_and_keeps_its_frozen_parts(nlp: Language) -> None:
    model = nlp.get_pipe("extractive_qa").model
    frozen = [layer.to_bytes() for layer in model.layers]
    examples = list(create_squad_reader_v1(FIXTURE, limit=4)(nlp))
    stored = reader_network(model).to_bytes()
    optimizer = nlp.initialize(lambda: examples)
    assert reader_network(model).to_bytes() == stored  # initialisation never replaces weights
    words = reader_network(model).network.words.weight.clone()
    nlp.update(examples, sgd=optimizer)
    assert reader_network(model).to_bytes() != stored
    assert [layer.to_bytes() for layer in model.layers] == frozen
    assert (reader_network(model).network.words.weight == words).all()


def test_examples_without_question_or_answer_are_passed_over() -> None:
    nlp = trainable()
    examples = list(create_squad_reader_v1(FIXTURE, limit=2)(nlp))
    optimizer = nlp.initialize(lambda: examples)
    silent = Example(nlp.make_doc(CONTEXT), nlp.make_doc(CONTEXT))
    assert nlp.update([silent], sgd=optimizer) == {"extractive_qa": 0.0}
    assert nlp.update([silent, *examples], sgd=optimizer)["extractive_qa"] > 0.0


def test_initialisation_needs_a_question_with_an_answer() -> None:
    nlp = trainable()
    with pytest.raises(ValueError, match=r"\[G097\] extractive_qa found no question with an answer"):
        nlp.initialize(lambda: [Example(nlp.make_doc(CONTEXT), nlp.make_doc(CONTEXT))])


def test_a_long_context_is_cut_around_its_answer() -> None:
    nlp = spacy.blank("en")
    doc = nlp.make_doc("so it goes " * 300 + "until Billy laughs " + "and goes on " * 300)
    start = doc.text.index("Billy")
    passage, (first, last) = training_passage(doc, nlp.make_doc("Who?"), start=start, end=start + 5)
    assert len(passage.tokens) == 400
    assert first == last
    assert doc[int(passage.tokens[first])].text == "Billy"


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_ask_returns_spans_of_the_text_with_scores(nlp: Language) -> None:
    answers = glomo_spacy.ask(nlp, CONTEXT, "Who sees the cat?", k=2)
    assert len(answers) == 2
    assert all(span.text in CONTEXT and 0.0 < score < 1.0 for span, score in answers)
    doc = nlp(make_doc(nlp, "Who sees the cat?", CONTEXT))
    assert [span.text for span, _ in answers] == [span.text for span in doc.spans["answers"]][:2]


def test_ask_takes_a_doc_and_leaves_it_as_it_was(nlp: Language) -> None:
    doc = nlp.make_doc(CONTEXT)
    assert [score for _, score in ask(nlp, doc, "Who?")] == [score for _, score in ask(nlp, CONTEXT, "Who?")]
    assert doc._.question is None


def test_ask_names_what_is_wrong(nlp: Language) -> None:
    with pytest.raises(ValueError, match=r"\[G098\] The context has no words to answer from"):
        ask(nlp, " \n", "Who?")
    with pytest.raises(ValueError, match=r"\[G090\] A question must be a text with at least one word"):
        ask(nlp, CONTEXT, " ")
    with pytest.raises(ValueError, match=r"\[G099\] The pipeline has no extractive_qa, but: none"):
        ask(spacy.blank("en"), CONTEXT, "Who?")


def test_without_weights_the_first_use_says_why() -> None:
    nlp = blank("nowhere")
    with pytest.raises(ValueError, match=r"\[G120\] There are no weights: \[G122\] pretrained = 'nowhere'"):
        ask(nlp, CONTEXT, "Who?")
    with pytest.raises(ValueError, match=r"\[G096\] The reader over the tok2vec was never initialised"):
        ask(trainable(), CONTEXT, "Who?")
