"""What spaCy's scores count, document by document, so that samples of the test set can be scored again.

`spacy.scorer.Scorer` gives totals only. Here its rules are followed for one example at a time. A score whose totals
differ from the scorer's own figure (its component has rules of its own) is left out rather than counted wrongly.
"""

import math
import re
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Set, Tuple

import numpy as np
from spacy.tokens import Token
from spacy.training import Example

from ..evaluation.bootstrap import Counts, score_of

Labels = Dict[str, Tuple[int, int, int]]  # hits, false alarms and misses by label
Rule = Callable[[Example], Labels]

_MEASURE = re.compile(r"_([prf])$")
_MISSING = (None, 0, "")  # annotation that is not there, as for spaCy's scorer
_PUNCTUATION = ("p", "punct")  # labels that spaCy's parser leaves out of its scores
_THRESHOLD = 0.5  # of independent classes, spaCy's default


def count_by_document(examples: Sequence[Example], scores: Mapping[str, Any]) -> Dict[str, Counts]:
    """Count hits, false alarms and misses in each example, for every score that is a function of their sums.

    examples (Sequence[Example]): Annotated by the pipeline.
    scores (Mapping[str, Any]): What spaCy's scorer gives for them.
    RETURNS (Dict[str, Counts]): By name of the score. Shape: (examples, labels, 3).
    """
    counted: Dict[str, List[Counts]] = {}
    found = {}
    for name, score in scores.items():
        if not isinstance(score, float):
            continue
        family = _MEASURE.sub("", name)
        if family not in counted:
            counted[family] = [_as_counts([rule(example) for example in examples]) for rule in _rules(family)]
        for counts in counted[family]:
            if math.isclose(float(score_of(counts.sum(axis=0), measure_of(name))), score, abs_tol=1e-9):
                found[name] = counts
                break
    return found


def measure_of(score: str) -> str:
    """What a score makes of its counts, as for `score_of`: "ents_r" is a recall, "tag_acc" the "f" of all tokens."""
    match = _MEASURE.search(score)
    return match[1] if match else "f"


def _rules(family: str) -> List[Rule]:
    """How the scores of one family may have been counted."""
    if match := re.fullmatch(r"(tag|pos|morph|lemma)_acc", family):
        return [partial(_count_tokens, attr=match[1])]
    if family in ("dep_uas", "dep_las"):
        return [partial(_count_arcs, labelled=family == "dep_las")]
    if family == "ents":
        return [_count_entities]
    if family == "sents":
        return [_count_sentences]
    if match := re.fullmatch(r"spans_(.+)", family):
        return [partial(_count_spans, key=match[1])]
    if family in ("cats_micro", "cats_macro"):
        joined = family == "cats_micro"
        return [partial(_count_class, joined=joined), partial(_count_independent_classes, joined=joined)]
    return []


def _as_counts(documents: Sequence[Labels]) -> Counts:
    labels = sorted({label for document in documents for label in document})
    rows = [[document.get(label, (0, 0, 0)) for label in labels] for document in documents]
    return np.asarray(rows, dtype=np.int32).reshape(len(documents), len(labels), 3)


def _compare(predicted: Set[Any], gold: Set[Any]) -> Labels:
    return {"": (len(predicted & gold), len(predicted - gold), len(gold - predicted))}


def _aligned(example: Example) -> Iterator[Tuple[Token, Any]]:
    """Predicted words with the place of the one gold token that they are, None if there is not just one."""
    places = example.alignment.x2y
    for token in example.predicted:
        if not token.orth_.isspace():
            yield token, places[token.i][0] if places.lengths[token.i] == 1 else None


def _count_tokens(example: Example, *, attr: str) -> Labels:
    def value(token: Token) -> Any:
        annotation: Any = getattr(token, attr)
        return annotation.key if attr == "morph" else annotation

    gold = {(token.i, value(token)) for token in example.reference if value(token) not in _MISSING}
    known = {place for place, _ in gold}
    return _compare({(place, value(token)) for token, place in _aligned(example) if place in known}, gold)


def _count_arcs(example: Example, *, labelled: bool) -> Labels:
    places = example.alignment.x2y
    gold, missing = set(), set()
    for token in example.reference:
        if not token.dep:
            missing.add(token.i)
        elif token.dep_.lower() not in _PUNCTUATION:
            gold.add((token.i, token.head.i, token.dep_.lower() if labelled else ""))
    predicted, n_lost = set(), 0
    for token, place in _aligned(example):
        label = token.dep_.lower()
        if place in missing or label in _PUNCTUATION:
            continue
        if place is None or places.lengths[token.head.i] != 1:
            n_lost += 1  # between tokens that the gold text does not have
        else:
            predicted.add((place, places[token.head.i][0], label if labelled else ""))
    right, wrong, missed = _compare(predicted, gold)[""]
    return {"": (right, wrong + n_lost, missed)}


def _count_entities(example: Example) -> Labels:
    reference = example.reference
    if not reference.has_annotation("ENT_IOB"):
        return {"": (0, 0, 0)}
    gold = {(entity.label_, entity.start, entity.end) for entity in reference.ents}
    left = set(gold)
    n_wrong = 0
    for entity in example.predicted.ents:
        places = example.alignment.x2y[entity.start : entity.end]
        if not len(places) or any(token.ent_iob == 0 for token in reference[places[0] : places[-1] + 1]):
            continue  # no gold text, or none that says what it is
        key = (entity.label_, places[0], places[-1] + 1)
        n_wrong += key not in left
        left.discard(key)
    return {"": (len(gold) - len(left), n_wrong, len(left))}


def _count_sentences(example: Example) -> Labels:
    if not example.reference.has_annotation("SENT_START"):
        return {"": (0, 0, 0)}
    gold = {(sent.start, sent.end) for sent in example.reference.sents}
    has_sentences = example.predicted.has_annotation("SENT_START")
    sents = example.get_aligned_spans_x2y(example.predicted.sents, False) if has_sentences else []
    return _compare({(sent.start, sent.end) for sent in sents}, gold)


def _count_spans(example: Example, *, key: str) -> Labels:
    if key not in example.reference.spans:
        return {"": (0, 0, 0)}
    gold = {(span.label_, span.start, span.end) for span in example.reference.spans[key]}
    spans = example.get_aligned_spans_x2y(example.predicted.spans.get(key, []), True)
    return _compare({(span.label_, span.start, span.end) for span in spans}, gold)


def _count_class(example: Example, *, joined: bool) -> Labels:
    """Classes that exclude each other: the likeliest one counts."""
    predicted, gold = example.predicted.cats, example.reference.cats
    counts = {label: [0, 0, 0] for label in predicted}
    if predicted and gold:
        guess, truth = max(predicted, key=predicted.__getitem__), max(gold, key=gold.__getitem__)
        if guess == truth:
            counts[guess][0] += 1
        else:
            counts[guess][1] += 1
            counts.setdefault(truth, [0, 0, 0])[2] += 1
    return _classes(counts, joined=joined)


def _count_independent_classes(example: Example, *, joined: bool) -> Labels:
    counts = {}
    for label, probability in example.predicted.cats.items():
        truth, guess = example.reference.cats.get(label), probability >= _THRESHOLD
        is_known, is_true = truth is not None, bool(truth)
        counts[label] = [int(guess and is_true), int(guess and is_known and not is_true), int(not guess and is_true)]
    return _classes(counts, joined=joined)


def _classes(counts: Mapping[str, Sequence[int]], *, joined: bool) -> Labels:
    if joined:
        return {"": _triple(np.sum(list(counts.values()), axis=0).tolist() if counts else (0, 0, 0))}
    return {label: _triple(values) for label, values in counts.items()}


def _triple(values: Sequence[int]) -> Tuple[int, int, int]:
    right, wrong, missed = values
    return right, wrong, missed
