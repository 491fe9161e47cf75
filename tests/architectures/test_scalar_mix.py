"""The learned mixture of layers."""

from typing import Any, List

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from glomo_spacy.architectures.combine import build_concat_v1
from glomo_spacy.architectures.scalar_mix import build_scalar_mix_v1

VOCAB = Vocab()
DOCS = [Doc(VOCAB, words=["a", "b", "c"]), Doc(VOCAB), Doc(VOCAB, words=["d"])]


def layers(n_layers: int = 3, width: int = 2) -> Model:
    """A tok2vec with random layers side by side that keeps the gradient it is given."""
    table = np.random.default_rng(0).normal(size=(4, n_layers * width)).astype("f")

    def forward(model: Model, docs: List[Doc], is_train: bool) -> Any:
        def backprop(d_rows: List[np.ndarray]) -> List[Doc]:
            model.attrs["gradient"] = np.concatenate(d_rows)
            return []

        return [table[ord(doc[0].text) - ord("a") :][: len(doc)] if len(doc) else table[:0] for doc in docs], backprop

    return Model("layers", forward, dims={"nO": n_layers * width})


def test_begins_with_the_plain_mean() -> None:
    tok2vec = layers()
    model = build_scalar_mix_v1(tok2vec, n_layers=3)
    model.initialize(X=DOCS)
    assert model.get_dim("nO") == 2
    for rows, inner in zip(model.predict(DOCS), tok2vec.predict(DOCS), strict=True):
        np.testing.assert_allclose(rows, inner.reshape(-1, 3, 2).mean(1), atol=1e-6)


def test_follows_equation_one() -> None:
    tok2vec = layers()
    model = build_scalar_mix_v1(tok2vec, n_layers=3)
    model.initialize()
    model.set_param("weights", np.array([0.0, 1.0, -2.0], dtype="f"))
    model.set_param("gamma", np.array([1.5], dtype="f"))
    shares = np.exp([0.0, 1.0, -2.0]) / np.exp([0.0, 1.0, -2.0]).sum()
    h = tok2vec.predict(DOCS)[0].reshape(3, 3, 2)
    expected = 1.5 * (shares[0] * h[:, 0] + shares[1] * h[:, 1] + shares[2] * h[:, 2])
    np.testing.assert_allclose(model.predict(DOCS)[0], expected, atol=1e-6)


def test_a_layer_that_is_off_has_no_part_and_no_gradient() -> None:
    tok2vec = layers()
    model = build_scalar_mix_v1(tok2vec, n_layers=3, layers_off=[1])
    model.initialize()
    rows, backprop = model(DOCS, is_train=True)
    np.testing.assert_allclose(rows[0], tok2vec.predict(DOCS)[0].reshape(3, 3, 2)[:, [0, 2]].mean(1), atol=1e-6)
    backprop([np.ones_like(row) for row in rows])
    assert not tok2vec.attrs["gradient"][:, 2:4].any()
    assert model.get_grad("weights")[1] == 0.0


@pytest.mark.parametrize("layers_off", [[], [0]])
def test_gradients_are_right(layers_off: List[int]) -> None:
    tok2vec = layers()
    model = build_scalar_mix_v1(tok2vec, n_layers=3, layers_off=layers_off)
    model.initialize()
    start = {"weights": np.array([0.3, -0.2, 0.5], dtype="f"), "gamma": np.array([1.2], dtype="f")}
    for name, value in start.items():
        model.set_param(name, value.copy())
    rows, backprop = model(DOCS, is_train=True)
    d_rows = [np.random.default_rng(1).normal(size=row.shape).astype("f") for row in rows]
    backprop(d_rows)
    for name, value in start.items():
        for index in range(len(value)):
            losses = []
            for step in (0.01, -0.01):
                moved = value.copy()
                moved[index] += step
                model.set_param(name, moved)
                losses.append(sum(float((row * d).sum()) for row, d in zip(model.predict(DOCS), d_rows, strict=True)))
            model.set_param(name, value.copy())
            assert model.get_grad(name)[index] == pytest.approx((losses[0] - losses[1]) / 0.02, abs=2e-3)


def test_mixes_what_concat_puts_side_by_side() -> None:
    model = build_scalar_mix_v1(build_concat_v1([layers(1, 4), layers(1, 4)]), n_layers=2)
    model.initialize(X=DOCS)
    np.testing.assert_allclose(model.predict(DOCS)[0], layers(1, 4).predict(DOCS)[0], atol=1e-6)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="G134.*width 6.*4 layers"):
        build_scalar_mix_v1(layers(), n_layers=4)
    with pytest.raises(ValueError, match="G101.*n_layers.*above 0"):
        build_scalar_mix_v1(layers(), n_layers=0)
    for layers_off in ([0, 1, 2], [3]):
        with pytest.raises(ValueError, match="G135.*layers 0 to 2"):
            build_scalar_mix_v1(layers(), n_layers=3, layers_off=layers_off)
