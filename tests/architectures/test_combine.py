"""Features side by side as a Thinc model."""

from typing import Any, List

import numpy as np
import pytest
from spacy.tokens import Doc
from thinc.api import Model
from tok2vecs import VOCAB, make_doc, word_rows

from glomo_spacy.architectures.combine import build_concat_v1


def test_concat_puts_columns_in_order_and_splits_the_gradient() -> None:
    first, second = word_rows(2), word_rows(3)
    model = build_concat_v1({"first": first, "second": second})
    assert model.get_dim("nO") == 5
    docs = [make_doc("the dog"), Doc(VOCAB), make_doc("cat")]
    rows, backprop = model(docs, is_train=True)
    np.testing.assert_array_equal(rows[0], np.hstack([first.predict(docs)[0], second.predict(docs)[0]]))
    assert rows[1].shape == (0, 5)
    backprop([np.tile(np.arange(5, dtype="f"), (len(doc), 1)) for doc in docs])
    np.testing.assert_array_equal(first.get_grad("offset"), [0, 3])
    np.testing.assert_array_equal(second.get_grad("offset"), [6, 9, 12])


def test_concat_takes_a_list_and_learns_widths_that_are_not_said() -> None:
    model = build_concat_v1([word_rows(2), word_rows(3, says_width=False), word_rows(4)])
    assert model.has_dim("nO") is None
    model.initialize(X=[make_doc("the dog")])
    assert model.get_dim("nO") == 9
    assert model.predict([]) == []


@pytest.mark.parametrize("nothing", [[], {}])
def test_concat_of_nothing_is_refused(nothing: Any) -> None:
    with pytest.raises(ValueError, match="G132.*at least one tok2vec"):
        build_concat_v1(nothing)


def test_concat_learns_the_width_from_a_doc_that_has_tokens() -> None:
    model = build_concat_v1([word_rows(2, says_width=False), word_rows(3)])
    model.initialize(X=[Doc(VOCAB), make_doc("the dog")])
    assert model.get_dim("nO") == 5


def test_concat_splits_the_gradient_though_the_first_doc_is_empty() -> None:
    """A transformer's listener gives rows of width 0 for an empty Doc."""

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        rows = [np.ones((len(doc), 2 if len(doc) else 0), dtype="f") for doc in docs]
        return rows, lambda d_rows: received.extend(d_rows) or []

    received: List[np.ndarray] = []
    model = build_concat_v1([Model("transformer", forward), word_rows(3)])
    rows, backprop = model([Doc(VOCAB), make_doc("dog")], is_train=True)
    backprop([np.zeros((0, 5), dtype="f"), np.arange(5, dtype="f")[None]])
    np.testing.assert_array_equal(received[1], [[0, 1]])


@pytest.mark.parametrize("n_missing", [1, 2])
def test_rows_that_do_not_fit_the_doc_are_refused(n_missing: int) -> None:
    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        return [np.zeros((len(doc) - n_missing, 4), dtype="f") for doc in docs], lambda d_rows: []

    short = Model("too_short", forward, dims={"nO": 4})
    with pytest.raises(ValueError, match=f"G133.*too_short gives {3 - n_missing} rows for a Doc of 3 tokens"):
        build_concat_v1([word_rows(), short]).predict([make_doc("the small dog")])
