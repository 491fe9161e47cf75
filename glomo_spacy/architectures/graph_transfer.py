"""Features along relational graphs: any tok2vec, a listener included, and what each token receives from others.

Source: Yang et al. 2018, "Latent Graph Transfer".
"""

from dataclasses import asdict
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, cast

import numpy as np
import srsly
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import ArgsKwargs, Model, Ops, PyTorchShim, PyTorchWrapper_v3, torch2xp, xp2torch
from thinc.types import Floats2d, Floats3d
from torch import Tensor, nn

from ..errors import Errors
from ..models.glomo.mixing import GraphTransfer, GraphWindows, TransferConfig
from .combine import check_rows, width_of
from .glomo import glomo_config, graph_layers
from .seam import Window, doc_windows, expand_graphs, length_batches, pad_windows
from .types import DocBackprop, DocRows, FeatureModel, GraphModel, WindowGraphs


@registry.architectures("glomo_spacy.GraphTransfer.v1")
def build_graph_transfer_v1(
    tok2vec: FeatureModel,
    graph: GraphModel,
    fusion: str = "concatenate",
    *,
    mixture: str = "conditioned",
    n_mixes: int = 1,
    candidates: Optional[str] = None,
    dropout: float = 0.0,
) -> FeatureModel:
    """Give each token what its related tokens hold, along frozen relational graphs of both directions.

    Both sub-models get the same Docs. The graphs are neither pruned nor renormalised; texts over 400 tokens are read
    in windows, so that memory grows with length, not with its square. Whitespace tokens keep their own row and neither
    send nor receive. Yang et al. 2018, "Latent Graph Transfer"; `models.glomo.mixing` has the formulas.

    tok2vec (Model[List[Doc], List[Floats2d]]): Features X of width D, trained through both their own rows and what
        they send. Any tok2vec: static vectors, HashEmbedCNN, a listener, a transformer's included.
    graph (Model[List[Doc], List[Floats3d]]): `GlomoGraph.v1`, which no gradient reaches; or `UniformGraph.v1`, the
        control, which has one feature: mixture, n_mixes and candidates have no effect.
    fusion (str): With n = 2 * n_mixes features received, "concatenate": [X; received], width D * (1 + n). "gru":
        [X; GRU step with input received and state X], width 2 * D. "gate": [X; (W z + b) * sigmoid(V z + c)] with
        z = [X; received], width 2 * D. "gate-products" (published): the same, width D * (1 + max(1, n_mixes // 2)).
    mixture (str): "uniform": all graphs count the same; "free": learned weights, one set for all positions;
        "conditioned": each position chooses by its own row (published).
    n_mixes (int): Mixtures per direction, each with its own weights and scale, > 0. Published: 2.
    candidates (Optional[str]): "plain": the graphs of all layers; "products": also their products across layers, by
        which a token receives what its related tokens received. None: products for "gate-products", else plain.
    dropout (float): Rate on the input of conditioned weights (locked), of GRU and of gate, in training only;
        `nlp.update(drop=...)` and [training] dropout replace it.
    RETURNS (Model[List[Doc], List[Floats2d]]): Its width is known at once if that of `tok2vec` is, else from
        `nlp.initialize` on.
    RAISES: ValueError G100 or G101 for an unknown setting, G112 for settings that exclude each other; G120 at
        initialisation if the graph has no weights; G136 at first use before initialisation; G137 when stored weights
        have other settings.
    """
    settings: Dict[str, Any] = {"mixture": mixture, "n_mixes": n_mixes, "fusion": fusion, "candidates": candidates}
    settings["graph"] = "uniform" if _is_uniform(graph) else "learned"
    config = TransferConfig(width=1, n_layers=1, n_heads=1, **settings)  # checked before anything is known of sizes
    settings["candidates"] = config.candidates
    transfer: Model = PyTorchWrapper_v3(
        _NoWeights(),
        convert_inputs=_transfer_inputs,
        serialize_model=_serialize_transfer,
        deserialize_model=partial(_deserialize_transfer, settings=settings),
    )
    transfer.name = "transfer"
    transfer.attrs.update(settings=settings, dropout_rate=dropout)
    model: FeatureModel = Model(
        "graph_transfer",
        _transfer_forward,
        init=_transfer_init,
        layers=[tok2vec, graph, transfer],
        dims={"nO": None},
    )
    if tok2vec.has_dim("nO"):
        model.set_dim("nO", tok2vec.get_dim("nO") * config.output_width)
    return model


@registry.architectures("glomo_spacy.UniformGraph.v1")
def build_uniform_graph_v1() -> GraphModel:
    """The control for learned graphs: every token attends to all tokens of its window alike.

    Under `GraphTransfer.v1` each token receives the mean of all rows, in one feature without direction. The published
    control divides by the padded length, this one by the text's own: padding and batch mates have no effect.

    RETURNS (Model[List[Doc], List[Floats3d]]): Per window of `GlomoGraph.v1` one graph, (1, receiver, source); rows sum
        to 1, those of whitespace to 0.
    """
    return Model("uniform_graph", _uniform_forward, attrs={"is_uniform": True})


# --- GraphTransfer ----------------------------------------------------------------------------------------------------


def _transfer_forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    tok2vec, graph, transfer = model.layers
    X, X_backprop = tok2vec(docs, is_train)
    check_rows(tok2vec.name, X, docs)
    lengths = model.ops.asarray1i([len(rows) for rows in X])
    if not lengths.sum():
        width = model.get_dim("nO") if model.has_dim("nO") else 0
        return [model.ops.alloc2f(0, width) for _ in docs], lambda d_rows: X_backprop(X)
    windows = _graph_windows(graph, docs, is_train=is_train)
    Y, Y_backprop = transfer((model.ops.flatten(X), windows), is_train)

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
        sizes = (1, 1) if _is_uniform(graph) else (glomo_config(graph).n_layers, glomo_config(graph).n_heads)
        config = TransferConfig(width, *sizes, **transfer.attrs["settings"])
        shim = cast(PyTorchShim, transfer.shims[0])
        shim._model = GraphTransfer(config).to(shim.device)
        model.set_dim("nO", config.output_width)


def _graph_windows(graph: GraphModel, docs: List[Doc], *, is_train: bool) -> Iterator[GraphWindows]:
    """The graphs of all windows, a batch of similar length at a time, each computed when it is drawn."""
    windows = doc_windows(docs)
    first_rows = np.cumsum([0, *(len(doc) for doc in docs)]).tolist()
    lengths = [len(window) for window in windows]
    batches = _without_graphs(lengths) if _is_uniform(graph) else graph_layers(graph, docs, windows, is_train=is_train)
    for batch, layers in batches:
        positions, is_kept = pad_windows([windows[index] for index in batch], first_rows=first_rows)
        n_seen = torch.tensor([[lengths[index]] for index in batch])  # (batch, 1)
        yield GraphWindows(positions, torch.arange(positions.shape[1]) < n_seen, is_kept, layers)


def _without_graphs(lengths: Sequence[int]) -> Iterator[Tuple[List[int], Iterator[Tensor]]]:
    """Batches as `graph_layers` gives them, for a graph that need not be written out."""
    for batch in length_batches(lengths):
        yield batch, iter(())


def _is_uniform(graph: GraphModel) -> bool:
    return bool(graph.attrs.get("is_uniform"))


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
    config = TransferConfig(**stored["config"])  # one stored before a setting existed has that setting's default
    differing = {name: getattr(config, name) for name in settings if getattr(config, name) != settings[name]}
    if differing:
        raise ValueError(Errors.G137.format(found=differing, expected={name: settings[name] for name in differing}))
    transfer = GraphTransfer(config)
    transfer.load_state_dict(load_tensors(stored["weights"]))
    return transfer.to(device)


# --- UniformGraph -----------------------------------------------------------------------------------------------------


def _uniform_forward(model: GraphModel, docs: List[Doc], is_train: bool) -> Tuple[WindowGraphs, Callable]:
    def backprop(d_graphs: WindowGraphs) -> List[Doc]:
        return []  # nothing is learned, and a Doc takes no gradient

    windows = doc_windows(docs)
    return [_uniform_graph(model.ops, window) for window in windows], backprop


def _uniform_graph(ops: Ops, window: Window) -> Floats3d:
    """Shape: (1, end - start, end - start)."""
    graph = ops.alloc3f(1, len(window), len(window)) + 1.0 / max(1, len(window))
    return expand_graphs(graph, window)
