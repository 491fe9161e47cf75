"""Features from features: along relational graphs, or side by side.

Both take any tok2vec, a listener included, as a sub-section of their config, and are a tok2vec themselves.
Source of graph transfer: Yang et al. 2018, "Latent Graph Transfer".
"""

from dataclasses import asdict
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union, cast

import numpy as np
import srsly
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import ArgsKwargs, Model, PyTorchShim, PyTorchWrapper_v3, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor, nn

from ..errors import Errors
from ..models.glomo.mixing import GraphTransfer, GraphWindows, TransferConfig
from .glomo import glomo_config, graph_layers
from .seam import doc_windows, pad_windows
from .types import DocBackprop, DocRows, FeatureModel, GraphModel


@registry.architectures("glomo_spacy.GraphTransfer.v1")
def build_graph_transfer_v1(
    tok2vec: FeatureModel,
    graph: GraphModel,
    fusion: str = "concatenate",
    *,
    mixture: str = "conditioned",
    n_mixes: int = 1,
    dropout: float = 0.0,
) -> FeatureModel:
    """Give each token what its related tokens hold, along frozen relational graphs of both directions.

    Both sub-models get the same Docs. The graphs are neither pruned nor renormalised; texts over 400 tokens are read
    in windows, so that memory grows with length, not with its square. Whitespace tokens keep their own row and neither
    send nor receive. Yang et al. 2018, "Latent Graph Transfer"; `models.glomo.mixing` has the formulas.

    tok2vec (Model[List[Doc], List[Floats2d]]): Features X of width D, trained through both their own rows and what
        they send. Any tok2vec: static vectors, HashEmbedCNN, a listener.
    graph (Model[List[Doc], List[Floats3d]]): `GlomoGraph.v1`; no gradient reaches it.
    fusion (str): "concatenate": [X; received], width D * (1 + 2 * n_mixes). "gate": [X; (W z + b) * sigmoid(V z + c)]
        with z = [X; received], width 2 * D.
    mixture (str): "uniform": all graphs count the same; "free": learned weights, one set for all positions;
        "conditioned": each position chooses by its own row (published).
    n_mixes (int): Mixtures per direction, each with its own weights and scale, > 0. Published: 2.
    dropout (float): Rate on the input of conditioned weights (locked) and of the gate, in training only;
        `nlp.update(drop=...)` and [training] dropout replace it.
    RETURNS (Model[List[Doc], List[Floats2d]]): Its width is known at once if that of `tok2vec` is, else from
        `nlp.initialize` on.
    RAISES: ValueError G100 or G101 for an unknown setting; G120 at initialisation if the graph has no weights; G136 at
        first use before initialisation; G137 when stored weights have other settings.
    """
    settings: Dict[str, Any] = {"mixture": mixture, "n_mixes": n_mixes, "fusion": fusion}
    TransferConfig(width=1, n_layers=1, n_heads=1, **settings)  # checks the settings before anything is known of sizes
    transfer: Model = PyTorchWrapper_v3(
        _NoWeights(),
        convert_inputs=_transfer_inputs,
        serialize_model=_serialize_transfer,
        deserialize_model=partial(_deserialize_transfer, settings=settings),
    )
    transfer.name = "transfer"
    transfer.attrs.update(settings, dropout_rate=dropout)
    model: FeatureModel = Model(
        "graph_transfer",
        _transfer_forward,
        init=_transfer_init,
        layers=[tok2vec, graph, transfer],
        dims={"nO": None},
    )
    if tok2vec.has_dim("nO"):
        config = TransferConfig(width=tok2vec.get_dim("nO"), n_layers=1, n_heads=1, **settings)
        model.set_dim("nO", config.output_width)
    return model


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
    """The width of a tok2vec: as it says, else as its rows for the first Doc show, else None."""
    if model.has_dim("nO"):
        return model.get_dim("nO")
    return model.predict(docs[:1])[0].shape[1] if docs else None


# --- GraphTransfer ----------------------------------------------------------------------------------------------------


def _transfer_forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    tok2vec, graph, transfer = model.layers
    X, X_backprop = tok2vec(docs, is_train)
    _check_rows(tok2vec.name, X, docs)
    lengths = model.ops.asarray1i([len(rows) for rows in X])
    if not lengths.sum():
        width = model.get_dim("nO") if model.has_dim("nO") else 0
        return [model.ops.alloc2f(0, width) for _ in docs], lambda d_rows: X_backprop(X)
    Y, Y_backprop = transfer((model.ops.flatten(X), _graph_windows(graph, docs)), is_train)

    def backprop(d_rows: DocRows) -> List[Doc]:
        dX = Y_backprop(model.ops.flatten(d_rows))  # (tokens, D)
        return X_backprop(model.ops.unflatten(dX, lengths))

    return model.ops.unflatten(Y, lengths), backprop


def _transfer_init(model: FeatureModel, X: Optional[List[Doc]] = None, Y: Optional[DocRows] = None) -> None:
    tok2vec, graph, transfer = model.layers
    tok2vec.initialize(X=X)
    graph.initialize(X=X)
    width = width_of(tok2vec, X)
    if width is not None:
        sizes = glomo_config(graph)
        settings = {name: transfer.attrs[name] for name in ("mixture", "n_mixes", "fusion")}
        config = TransferConfig(width=width, n_layers=sizes.n_layers, n_heads=sizes.n_heads, **settings)
        shim = cast(PyTorchShim, transfer.shims[0])
        shim._model = GraphTransfer(config).to(shim.device)
        model.set_dim("nO", config.output_width)


def _graph_windows(graph: GraphModel, docs: List[Doc]) -> Iterator[GraphWindows]:
    """The graphs of all windows, a batch of similar length at a time, each computed when it is drawn."""
    windows = doc_windows(docs)
    first_rows = np.cumsum([0, *(len(doc) for doc in docs)])
    for batch, layers in graph_layers(graph, docs, windows):
        positions, is_kept = pad_windows([windows[index] for index in batch], first_rows=first_rows.tolist())
        lengths = torch.tensor([[len(windows[index])] for index in batch])
        mask = torch.arange(positions.shape[1]) < lengths  # (batch, seq)
        yield GraphWindows(positions, mask, is_kept, layers)


class _NoWeights(nn.Module):
    """Stands in until the sizes are known: at initialisation, or when stored weights are loaded."""

    def forward(self, *_: Any, **__: Any) -> Tensor:
        raise ValueError(Errors.G136)


def _transfer_inputs(model: Model, X: Any, is_train: bool) -> Tuple[ArgsKwargs, Callable[[ArgsKwargs], Floats2d]]:
    """Only the features are converted and take a gradient; the rate of dropout says whether this is training."""
    features, windows = X
    dropout = model.attrs["dropout_rate"] if is_train else 0.0
    shim = cast(PyTorchShim, model.shims[0])
    module = shim._model
    if isinstance(module, GraphTransfer) and features.shape[1] != module.config.width:
        raise ValueError(Errors.G138.format(found=features.shape[1], expected=module.config.width))
    converted = xp2torch(features, requires_grad=is_train, device=shim.device)

    def backprop(d_inputs: ArgsKwargs) -> Floats2d:
        return cast(Floats2d, torch2xp(d_inputs.args[0]))

    return ArgsKwargs(args=(converted, windows), kwargs={"dropout": dropout}), backprop


def _serialize_transfer(module: nn.Module) -> bytes:
    """Sizes and weights as bytes; nothing before initialisation."""
    if not isinstance(module, GraphTransfer):
        return b""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    return cast(bytes, srsly.msgpack_dumps({"config": asdict(module.config), "weights": save_tensors(state)}))


def _deserialize_transfer(
    module: nn.Module, data: bytes, device: torch.device, *, settings: Dict[str, Any]
) -> nn.Module:
    """Build what was stored: sizes come from there, settings must be those of the config."""
    if not data:
        return _NoWeights()
    stored = srsly.msgpack_loads(data)
    differing = {name: stored["config"][name] for name in settings if stored["config"][name] != settings[name]}
    if differing:
        raise ValueError(Errors.G137.format(found=differing, expected={name: settings[name] for name in differing}))
    transfer = GraphTransfer(TransferConfig(**stored["config"]))
    transfer.load_state_dict(load_tensors(stored["weights"]))
    return transfer.to(device)


# --- Concat -----------------------------------------------------------------------------------------------------------


def _concat_forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    outputs = [layer(docs, is_train) for layer in model.layers]
    for layer, (rows, _) in zip(model.layers, outputs):
        _check_rows(layer.name, rows, docs)
    widths = [rows[0].shape[1] if rows else 0 for rows, _ in outputs]
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


def _check_rows(name: str, rows: DocRows, docs: List[Doc]) -> None:
    found, expected = [len(row) for row in rows], [len(doc) for doc in docs]
    if found != expected:
        wrong = next((pair for pair in zip(found, expected) if pair[0] != pair[1]), (len(found), len(expected)))
        raise ValueError(Errors.G133.format(name=name, found=wrong[0], expected=wrong[1]))
