"""A corpus that every shipped training config can be trained on, and what it takes to do so in seconds."""

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup

CONFIGS = Path(__file__).parents[1] / "configs"
TAGGERS = ("features", "elmo_tagger")
READY = ("tagger_parser", "ner", "textcat", "spancat")
READERS = ("squad",)
TRAINING_CONFIGS = (*READY, *TAGGERS, *READERS)

QUESTIONS = Path(__file__).parent / "fixtures" / "squad_tiny.json"
TEXTS = ["The dog sees Ann Lee .", "A cat hears the dog ."]


def make_docs() -> List[Doc]:
    """Two sentences with tags, trees, entities, categories and spans."""
    vocab = spacy.blank("en").vocab
    docs = []
    for text, label in zip(TEXTS, ("PERSON", "ANIMAL"), strict=True):
        doc = Doc(
            vocab,
            words=text.split(),
            tags=["DT", "NN", "VBZ", "DT", "NN", "."],
            heads=[1, 2, 2, 4, 2, 2],
            deps=["det", "nsubj", "ROOT", "det", "obj", "punct"],
        )
        doc.set_ents([Span(doc, 3, 5, label)])
        doc.cats = {"about people": float(label == "PERSON"), "about animals": float(label == "ANIMAL")}
        doc.spans["sc"] = SpanGroup(doc, spans=[Span(doc, 0, 2, "subject"), Span(doc, 3, 5, "object")])
        docs.append(doc)
    return docs


def overrides_for(name: str, folder: Path) -> Dict[str, Any]:
    """What names the corpus to a config, and lets the full one learn from two sentences.

    folder (Path): Where the corpus is written.
    """
    if name in READERS:
        return {"paths.train": str(QUESTIONS), "paths.dev": str(QUESTIONS), "paths.vectors": _vectors(folder)}
    corpus = folder / "docs.spacy"
    DocBin(docs=make_docs()).to_disk(corpus)
    overrides: Dict[str, Any] = {"paths.train": str(corpus), "paths.dev": str(corpus)}
    if name == "tagger_parser":
        overrides["components.parser.min_action_freq"] = 1
    return overrides


def _vectors(folder: Path) -> str:
    """Of words in the questions."""
    nlp = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("the", "lighthouse", "Who", "built", "When", "was", "1862", "Marta", "Lind"):
        nlp.vocab.set_vector(word, rng.normal(size=4).astype("float32"))
    nlp.to_disk(folder / "vectors")
    return str(folder / "vectors")
