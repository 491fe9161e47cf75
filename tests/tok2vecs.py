"""A tok2vec to put under an architecture, and Docs for it."""

from typing import Any, List, Tuple

import numpy as np
import spacy
from spacy.tokens import Doc
from thinc.api import Model

WIDTH = 4
VOCAB = spacy.blank("en").vocab  # knows which words are whitespace


def word_rows(width: int = WIDTH, *, says_width: bool = True) -> Model:
    """A tok2vec that knows each word by itself, adds a learned offset, and so shows what reaches it."""

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Tuple[List[np.ndarray], Any]:
        def backprop(d_rows: List[np.ndarray]) -> List[Doc]:
            model.inc_grad("offset", np.concatenate(d_rows).sum(0))
            return []

        tables = [[np.random.default_rng(token.orth % 2**32).normal(size=width) for token in doc] for doc in docs]
        offset = model.get_param("offset")
        return [np.reshape(table, (-1, width)).astype("f") + offset for table in tables], backprop

    params = {"offset": np.zeros(width, dtype="f")}
    return Model("word_rows", forward, params=params, dims={"nO": width if says_width else None})


def make_doc(text: str) -> Doc:
    return Doc(VOCAB, words=text.split(" "))
