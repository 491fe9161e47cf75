"""Does every part have weights, and those it was meant to have?

What spaCy 3.8 does by itself: a frozen component is not initialised, so that a part of it without weights fails at the
first step with a `KeyError` of Thinc; `initialize.init_tok2vec` is passed over in silence, even if there is no such
file, unless the config has a [pretraining] section, whose `component` says where the weights go.
"""

from pathlib import Path
from typing import Iterator, Optional

from spacy.training.pretrain import get_tok2vec_ref
from thinc.api import Model, PyTorchShim

from ...architectures.pretrained import PretrainedShim
from ...errors import Errors
from ...models.glomo.mixing import GraphTransfer
from .finding import Finding, config_lines
from .layout import Layout


def check_weights(layout: Layout) -> Iterator[Finding]:
    """Weights that are missing, or that will be.

    YIELDS (Finding): G120 where `pretrained` could not be read, G167, G195 and G197; all errors.
    """
    path = layout.config["initialize"].get("init_tok2vec")
    filled = layout.config.get("pretraining", {}).get("component") if path else None
    for name in layout.names:
        model = layout.model(name)
        if model is None or name == filled:
            continue
        for problem in _missing(model):
            yield Finding(f"{name}: {problem}")
        if name in layout.frozen and layout.is_encoder(name):
            yield from _never_initialized(layout, name, model)
    if path:
        yield from _unfit_file(layout, Path(path), filled)


def _missing(model: Model) -> Iterator[str]:
    """Why pretrained networks have no weights."""
    shims = [shim for node in model.walk() for shim in node.shims]
    for network in [shim.network for shim in shims if isinstance(shim, PretrainedShim)]:
        if network.problem == Errors.G096:
            continue  # a reader over a tok2vec, which `nlp.initialize` makes
        try:
            network.network  # noqa: B018  # asking for it raises what is missing
        except ValueError as error:
            yield str(error)


def _never_initialized(layout: Layout, name: str, model: Model) -> Iterator[Finding]:
    empty = [node.name for node in model.walk() if _is_empty(node)]
    if empty:
        lines = config_lines("training", frozen_components=[each for each in layout.frozen if each != name])
        yield Finding(Errors.G195.format(name=name, parts=", ".join(dict.fromkeys(empty)), lines=lines))


def _is_empty(node: Model) -> bool:
    """Whether a part has still no weights, as before `nlp.initialize`."""
    if node.name == "transfer" and isinstance(node.shims[0], PyTorchShim):
        return not isinstance(node.shims[0]._model, GraphTransfer)
    return any(node.has_param(param) is None for param in node.param_names)


def _unfit_file(layout: Layout, path: Path, component: Optional[str]) -> Iterator[Finding]:
    if component not in layout.names:
        encoders = [name for name in layout.names if layout.is_encoder(name)] or layout.names
        yield Finding(Errors.G197.format(path=path, lines=config_lines("pretraining", component=encoders[0])))
        return
    layer = get_tok2vec_ref(layout.nlp, layout.config["pretraining"])
    reason = _misfit(layer, path) if path.exists() else "there is no such file"
    if reason:
        yield Finding(Errors.G167.format(path=path, component=component, reason=reason))


def _misfit(layer: Model, path: Path) -> str:
    """Why weights do not go into a model, tried on a copy; empty if they do."""
    copy, before = layer.copy(), layer.maybe_get_dim("nO")
    try:
        copy.from_bytes(path.read_bytes())
    except Exception as error:  # Thinc and the networks raise many kinds
        return str(error)
    after = copy.maybe_get_dim("nO")
    return "" if before in (None, after) else f"it gives rows of width {after}, not {before}"
