"""The kinds of model a checkpoint can hold, each with its config class; loaded when first asked for."""

from dataclasses import asdict
from importlib import import_module
from typing import Any, Dict, Tuple

from torch import nn

from ..errors import Errors

# kind: (module, model class, config class)
KINDS: Dict[str, Tuple[str, str, str]] = {
    "glomo": ("glomo_spacy.models.glomo", "GlomoModel", "GlomoConfig"),
    "trees": ("glomo_spacy.models.glomo.trees", "TreeGraphs", "TreeConfig"),
    "elmo": ("glomo_spacy.models.elmo", "BiLM", "ElmoConfig"),
    "mogrifier": ("glomo_spacy.models.mogrifier", "LanguageModel", "MogrifierConfig"),
    "reader": ("glomo_spacy.models.qa", "ReaderModel", "ReaderConfig"),
}


def new_model(kind: str, section: Dict[str, Any]) -> nn.Module:
    """Build a model with fresh weights from a checkpoint's `[model]` section.

    RAISES: ValueError G100 for an unknown kind or field, G101 for a value out of range.
    """
    model_class, config_class = _classes(kind)
    model: nn.Module = model_class(config_class.from_dict(section))
    return model


def kind_of(model: nn.Module) -> str:
    """The kind a model's checkpoint is marked with.

    RAISES: ValueError G100 for a model of no known kind.
    """
    for kind in KINDS:
        if isinstance(model, _classes(kind)[0]):
            return kind
    raise ValueError(Errors.G100.format(name="model", value=type(model).__name__, options=", ".join(KINDS)))


def config_section(model: nn.Module) -> Dict[str, Any]:
    """A model's config as a `[model]` section; tuples become lists, which configs can hold."""
    config: Any = model.config
    return {name: _as_lists(value) for name, value in asdict(config).items()}


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value


def _classes(kind: str) -> Tuple[Any, Any]:
    if kind not in KINDS:
        raise ValueError(Errors.G100.format(name="kind", value=kind, options=", ".join(KINDS)))
    module, model_class, config_class = KINDS[kind]
    loaded = import_module(module)
    return getattr(loaded, model_class), getattr(loaded, config_class)
