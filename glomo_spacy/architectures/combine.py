"""Features side by side: any tok2vecs, listeners included, as sub-sections of a config, and a tok2vec themselves."""

from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from ..errors import Errors
from .types import DocBackprop, DocRows, FeatureModel


@registry.architectures("glomo_spacy.Concat.v1")
def build_concat_v1(tok2vecs: Union[List[FeatureModel], Dict[str, Any]]) -> FeatureModel:
    """Put the rows of several tok2vecs side by side, e.g. ELMo beside word vectors beside a listener.

    tok2vecs (Dict[str, Model] or List[Model]): At least one Model[List[Doc], List[Floats2d]]. In a config each is a
        section of its own, `[….model.tok2vecs.NAME]`; the columns come in the order of the sections.
    RETURNS (Model[List[Doc], List[Floats2d]]): Width: the sum of the widths.
    RAISES: ValueError G132 for an empty list; G133 if a tok2vec gives another number of rows than the Doc has tokens.
    """
    # The values of a dict are typed as Any, because a config's sections are checked before they become models.
    layers = list(tok2vecs.values()) if isinstance(tok2vecs, dict) else list(tok2vecs)
    if not layers:
        raise ValueError(Errors.G132)
    model: FeatureModel = Model("concat", _concat_forward, init=_concat_init, layers=layers, dims={"nO": None})
    _set_summed_width(model)
    return model


def width_of(model: FeatureModel, docs: Optional[List[Doc]]) -> Optional[int]:
    """The width of a tok2vec: as it says, else as its rows for the longest Doc show, else None."""
    if model.has_dim("nO") and model.get_dim("nO") > 0:  # 0 is what a chain takes from a first Doc that is empty
        return model.get_dim("nO")
    return model.predict([max(docs, key=len)])[0].shape[1] if docs else None


def check_rows(name: str, rows: DocRows, docs: List[Doc]) -> None:
    """Raise ValueError G133 unless a tok2vec gave one row per token."""
    found, expected = [len(row) for row in rows], [len(doc) for doc in docs]
    if found != expected:
        wrong = next((pair for pair in zip(found, expected) if pair[0] != pair[1]), (len(found), len(expected)))
        raise ValueError(Errors.G133.format(name=name, found=wrong[0], expected=wrong[1]))


def _concat_forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    outputs = [layer(docs, is_train) for layer in model.layers]
    for layer, (rows, _) in zip(model.layers, outputs):
        check_rows(layer.name, rows, docs)
    widths = [max((row.shape[1] for row in rows), default=0) for rows, _ in outputs]  # an empty Doc may have width 0
    starts = np.cumsum([0, *widths])

    def backprop(d_rows: DocRows) -> List[Doc]:
        for (_, layer_backprop), start, end in zip(outputs, starts, starts[1:]):
            layer_backprop([model.ops.as_contig(d_row[:, start:end]) for d_row in d_rows])
        return []

    return [model.ops.xp.hstack(rows) for rows in zip(*(rows for rows, _ in outputs))], backprop


def _concat_init(model: FeatureModel, X: Optional[List[Doc]] = None, Y: Optional[DocRows] = None) -> None:
    for layer in model.layers:
        layer.initialize(X=X)
    _set_summed_width(model, X)


def _set_summed_width(model: FeatureModel, docs: Optional[List[Doc]] = None) -> None:
    widths = [width_of(layer, docs) for layer in model.layers]
    if all(width is not None for width in widths):
        model.set_dim("nO", sum(width for width in widths if width is not None))
