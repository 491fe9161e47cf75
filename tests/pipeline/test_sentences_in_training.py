"""Sentences in training as in use: what is initialised before they are set, what is noticed if nothing sets them."""

import warnings
from typing import Any, Dict, List

import numpy as np
import pytest
from spacy.language import Language
from spacy.training import Example

from .training_configs import SENTENCIZER, elmo, pipeline, tagger, training_config
from .training_mistakes import elmo_and_tagger

TEXT = "The dog sees a cat. It hears the dog."


def trained(path: str, *, text: str, annotates: List[str], **settings: Any) -> Language:
    """A pipeline after one step of training in Python."""
    components = {"sentencizer": SENTENCIZER, **elmo_and_tagger(path, **settings)}
    nlp = pipeline(training_config(components, corpus=None))
    doc = nlp.make_doc(text)
    examples = [Example.from_dict(doc, {"tags": ["A", *["B"] * (len(doc) - 1)]})]
    nlp.initialize(lambda: examples)
    nlp.update(examples, annotates=annotates)
    return nlp


def test_training_on_whole_texts_for_use_by_sentence_is_noticed_at_first_use(elmo_checkpoint: str) -> None:
    nlp = trained(elmo_checkpoint, text=TEXT, annotates=[])
    with pytest.warns(UserWarning, match="G168.*'elmo' was trained on texts without sentence boundaries.*annotates"):
        nlp(TEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nlp(TEXT)  # once is enough


@pytest.mark.parametrize(
    "text, annotates, settings",
    [
        (TEXT, ["sentencizer"], {}),
        (TEXT, [], {"sentences": "ignore"}),
        ("The dog sees a cat.", [], {}),
        ("The dog sees a cat ...", [], {}),
    ],
    ids=["annotated", "ignored", "single sentence", "no full stop"],
)
def test_nothing_is_noticed_where_training_and_use_agree(
    text: str, annotates: List[str], settings: Dict[str, Any], elmo_checkpoint: str
) -> None:
    nlp = trained(elmo_checkpoint, text=text, annotates=annotates, **settings)
    assert np.isfinite(nlp(TEXT).tensor).all()


def test_a_model_of_its_own_that_requires_sentences_is_initialised_and_trained(elmo_checkpoint: str) -> None:
    """Nothing annotates the sample of `nlp.initialize`, of which only the width is needed."""
    components = {"sentencizer": SENTENCIZER, "tagger": tagger(elmo(elmo_checkpoint, sentences="require"))}
    nlp = pipeline(training_config(components, corpus=None))
    examples = [Example.from_dict(nlp.make_doc("A dog. A cat."), {"tags": ["A", "B", "C"] * 2})]
    nlp.initialize(lambda: examples)
    nlp.update(examples, annotates=["sentencizer"])
    assert nlp("A dog. A cat.")[0].tag_
    with pytest.raises(ValueError, match="G162"):
        nlp.update(examples)
