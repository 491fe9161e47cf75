"""A learned mixture of layers, as ELMo is used downstream.

Source: Peters et al. 2018, section 3.2, equation 1.
"""

from typing import List, Optional, Sequence, Tuple, cast

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats1d

from ..errors import Errors
from .combine import width_of
from .types import DocBackprop, DocRows, FeatureModel


@registry.architectures("glomo_spacy.ScalarMix.v1")
def build_scalar_mix_v1(tok2vec: FeatureModel, *, n_layers: int, layers_off: Sequence[int] = ()) -> FeatureModel:
    """Learned mixture of layers: gamma * sum_j softmax(w)_j h_j (Peters et al. 2018, equation 1).

    tok2vec (Model[List[Doc], List[Floats2d]]): Gives all layers side by side, each of the same width, as `Concat.v1`
        does for several tok2vecs of one width.
    n_layers (int): Layers in a row, > 0.
    layers_off (Sequence[int]): Layers, counted from 0, that have no part in the mixture; at least one must stay.
    RETURNS (Model[List[Doc], List[Floats2d]]): Width: that of one layer. w begins at 0 and gamma at 1: the plain mean.
    RAISES: ValueError G101 for n_layers < 1; G134 if the width is no multiple of n_layers; G135 if no layer is left.
    """
    if n_layers < 1:
        raise ValueError(Errors.G101.format(name="n_layers", expected="a whole number above 0", value=n_layers))
    is_on = [layer not in layers_off for layer in range(n_layers)]
    if not any(is_on) or not set(layers_off) <= set(range(n_layers)):
        raise ValueError(Errors.G135.format(found=list(layers_off), last=n_layers - 1))
    model: FeatureModel = Model(
        "scalar_mix",
        forward,
        init=init,
        layers=[tok2vec],
        dims={"nO": None},
        params={"weights": None, "gamma": None},
        attrs={"n_layers": n_layers, "layers_off": list(layers_off)},
    )
    if tok2vec.has_dim("nO"):
        model.set_dim("nO", _layer_width(tok2vec.get_dim("nO"), n_layers))
    return model


def forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    """Mix the layers of each token; the gradient reaches w, gamma and every layer that is on."""
    rows, rows_backprop = model.layers[0](docs, is_train)
    lengths = model.ops.asarray1i([len(row) for row in rows])
    if not lengths.sum():
        width = _layer_width(rows[0].shape[1], model.attrs["n_layers"]) if rows else 0
        return [model.ops.alloc2f(0, width) for _ in rows], lambda d_rows: rows_backprop(rows)
    xp = model.ops.xp
    flat = xp.concatenate(rows)  # (tokens, layers * width)
    width = _layer_width(flat.shape[1], model.attrs["n_layers"])
    layers = flat.reshape(len(flat), -1, width)  # (tokens, layers, width)
    shares, gamma = _shares(model), cast(Floats1d, model.get_param("gamma"))
    mean = xp.einsum("l,tlw->tw", shares, layers)

    def backprop(d_rows: DocRows) -> List[Doc]:
        dY = xp.concatenate(d_rows)  # (tokens, width)
        model.inc_grad("gamma", (dY * mean).sum().reshape(1))
        d_shares = gamma * xp.einsum("tw,tlw->l", dY, layers)
        model.inc_grad("weights", shares * (d_shares - (shares * d_shares).sum()))
        d_flat = xp.einsum("l,tw->tlw", gamma * shares, dY).reshape(flat.shape)
        return rows_backprop(model.ops.unflatten(d_flat, lengths))

    return model.ops.unflatten(gamma * mean, lengths), backprop


def init(model: FeatureModel, X: Optional[List[Doc]] = None, Y: Optional[DocRows] = None) -> None:
    """Begin with the plain mean: w = 0, gamma = 1."""
    tok2vec, n_layers = model.layers[0], model.attrs["n_layers"]
    tok2vec.initialize(X=X)
    width = width_of(tok2vec, X)
    if width is not None:
        model.set_dim("nO", _layer_width(width, n_layers))
    model.set_param("weights", model.ops.alloc1f(n_layers))
    model.set_param("gamma", model.ops.alloc1f(1) + 1)


def _shares(model: FeatureModel) -> Floats1d:
    """softmax(w) over the layers that are on, 0 for the others. Shape: (layers,)."""
    logits = cast(Floats1d, model.get_param("weights")).copy()
    logits[model.attrs["layers_off"]] = -np.inf
    odds = model.ops.xp.exp(logits - logits.max())
    return odds / odds.sum()


def _layer_width(width: int, n_layers: int) -> int:
    if width % n_layers:
        raise ValueError(Errors.G134.format(width=width, n_layers=n_layers))
    return width // n_layers
