"""Counts by document, whose sums give spaCy's own scores."""

import random
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span
from spacy.training import Example

from glomo_spacy.cli._ablation_counts import count_by_document, measure_of
from glomo_spacy.evaluation.bootstrap import score_of

LABELS = ("A", "B", "C")
DEPS = ("nsubj", "Obj", "punct", "amod")
N_DOCS = 12


def annotated(plain: Doc, generator: random.Random, *, missing: float = 0.0) -> Doc:
    """The same words with random annotations of every kind, tags missing here and there."""
    n_tokens = len(plain)
    starts = [0, *sorted(generator.sample(range(2, n_tokens), 2))]
    doc = Doc(
        plain.vocab,
        words=[token.text for token in plain],
        spaces=[bool(token.whitespace_) for token in plain],
        tags=["" if generator.random() < missing else generator.choice(LABELS) for _ in plain],
        pos=[generator.choice(["NOUN", "X"]) for _ in plain],
        morphs=[generator.choice(["Number=Sing", "Number=Plur"]) for _ in plain],
        lemmas=[generator.choice(["dog", "can"]) for _ in plain],
        # Each word hangs on the one before or on the first of its sentence.
        heads=[
            i if i in starts else generator.choice([i - 1, max(s for s in starts if s < i)]) for i in range(n_tokens)
        ],
        deps=[generator.choice(DEPS) for _ in plain],
    )
    pairs = range(0, n_tokens - 1, 2)
    spans = [Span(doc, i, i + generator.choice([1, 2]), generator.choice(LABELS)) for i in pairs]
    doc.set_ents([span for span in spans if generator.random() < 0.7])
    doc.spans["sc"] = [Span(doc, i, i + 2, generator.choice(LABELS)) for i in pairs]
    return doc


def examples() -> List[Example]:
    """Predictions and gold texts that partly have other tokens, and white space."""
    generator = random.Random(0)
    nlp = spacy.blank("en")
    made = []
    for _ in range(N_DOCS):
        words = [generator.choice(["can", "not", "can't", "dogs"]) for _ in range(8)]
        gold = Doc(nlp.vocab, words=words)
        text = gold.text.replace("dogs", "dogs ", 1)
        example = Example(annotated(nlp(text), generator), annotated(gold, generator, missing=0.2))
        example.predicted.cats = {label: generator.random() for label in LABELS}
        truth = generator.choice(LABELS)
        example.reference.cats = {label: float(label == truth) for label in LABELS}
        made.append(example)
    return made


def pipeline(*names: str) -> spacy.language.Language:
    """Components that were never trained: only their scorers are asked."""
    nlp = spacy.blank("en")
    for name in names:
        component: Any = nlp.add_pipe(name)
        for label in LABELS if name.startswith("textcat") else ():
            component.add_label(label)
    return nlp


def counted_scores(*names: str) -> Dict[str, Any]:
    """spaCy's scores, and the same scores from counts."""
    made = examples()
    scores = {name: value for name, value in Scorer(pipeline(*names)).score(made).items() if isinstance(value, float)}
    counts = count_by_document(made, scores)
    return {"scores": scores, "counts": counts}


CASES = {
    "tagger": ["tag_acc"],
    "morphologizer": ["pos_acc", "morph_acc"],
    "trainable_lemmatizer": ["lemma_acc"],
    "parser": ["dep_uas", "dep_las", "sents_p", "sents_r", "sents_f"],
    "ner": ["ents_p", "ents_r", "ents_f"],
    "spancat": ["spans_sc_p", "spans_sc_r", "spans_sc_f"],
    "textcat": ["cats_micro_p", "cats_micro_r", "cats_micro_f", "cats_macro_p", "cats_macro_r", "cats_macro_f"],
    "textcat_multilabel": ["cats_micro_f", "cats_macro_p", "cats_macro_r", "cats_macro_f"],
}


@pytest.mark.parametrize("component, names", CASES.items(), ids=CASES)
def test_sums_of_counts_give_the_scores_of_spacy(component: str, names: List[str]) -> None:
    found = counted_scores(component)
    for name in names:
        counts = found["counts"][name]
        assert counts.shape[::2] == (N_DOCS, 3)
        assert 0 < found["scores"][name] < 1
        assert float(score_of(counts.sum(axis=0), measure_of(name))) == pytest.approx(found["scores"][name])


def test_each_document_counts_its_own() -> None:
    made = examples()
    nlp = pipeline("ner")
    whole = count_by_document(made, Scorer(nlp).score(made))["ents_f"]
    for example, counts in zip(made, whole):
        scores = Scorer(nlp).score([example])
        assert float(score_of(counts, "f")) == pytest.approx(scores["ents_f"])


def test_macro_averages_keep_labels_apart() -> None:
    assert counted_scores("textcat")["counts"]["cats_macro_f"].shape == (N_DOCS, len(LABELS), 3)


def test_a_score_counted_by_other_rules_is_left_out() -> None:
    made = examples()
    scores = {"cats_micro_f": 0.1234, "tag_acc": None, "speed": 1000.0, "ents_per_type": {}}
    assert count_by_document(made, scores) == {}


def test_gold_texts_without_annotation_count_nothing() -> None:
    nlp = spacy.blank("en")
    bare = [Example(nlp("Dogs bark"), nlp("Dogs bark"))]
    made = count_by_document(bare, {"ents_f": 0.0, "sents_f": 0.0, "spans_sc_f": 0.0})
    assert {name: np.sum(counts) for name, counts in made.items()} == {"ents_f": 0, "sents_f": 0, "spans_sc_f": 0}


@pytest.mark.parametrize("score, measure", [("tag_acc", "f"), ("dep_las", "f"), ("ents_p", "p"), ("spans_sc_r", "r")])
def test_the_name_says_what_is_measured(score: str, measure: str) -> None:
    assert measure_of(score) == measure
