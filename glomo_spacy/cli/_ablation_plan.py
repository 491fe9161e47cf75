"""From one config with an [ablation] section to the training config of each cell: a feature, a size and a seed."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from confection import Config
from spacy.language import DEFAULT_CONFIG
from spacy.util import registry

from ..architectures.combine import width_of
from ..errors import Errors
from ..training.config import build_section, read_config, resolve_references, set_value
from ._ablation_section import SECTION, AblationSection


@dataclass(frozen=True)
class Cell:
    """One training run.

    feature (str): Name of the feature.
    size (float): Share of the training corpus.
    seed (int): Seed of the run.
    """

    feature: str
    size: float
    seed: int

    @property
    def folder(self) -> Path:
        """Where its files stand, below the output."""
        return Path("cells", self.feature, f"{self.size:g}", str(self.seed))


class Ablation:
    """A config and its [ablation] section.

    path (Path): The config file.
    overrides (Mapping[str, Any]): Values by dotted name that go before those of the file.
    RAISES: ValueError G144 if the file cannot be read; G140-G142, G100 for settings of [ablation] that are unknown,
        missing or wrong; G970 for a corpus that is not in the config.
    """

    def __init__(self, path: Path, overrides: Optional[Mapping[str, Any]] = None) -> None:
        self.path = path
        self._config = read_config(path, overrides=overrides)
        # With their references, which mean the config of a cell; overrides apart, since a dotted name is no section.
        self._overrides = _take_overrides(self._config)
        resolved = resolve_references(self._config, path=path)
        self.section: AblationSection = build_section(AblationSection, name=SECTION, values=resolved.pop(SECTION, None))
        self._features = self._config.pop(SECTION)["features"]
        self._widths: Dict[str, Optional[int]] = {}
        self._block("ablation.test", self.section.test, resolved)

    def cells(self, features: Sequence[str] = (), sizes: Sequence[float] = (), seeds: Sequence[int] = ()) -> List[Cell]:
        """All cells, small sizes first, or those of some features, sizes and seeds.

        RAISES: ValueError G100 for one that the config does not have.
        """
        own = self.section
        all_seeds = sorted({seed for some in own.seeds_by_size for seed in some})
        _check_known("--features", features, list(own.features))
        _check_known("--sizes", sizes, own.sizes)
        _check_known("--seeds", seeds, all_seeds)
        return [
            Cell(feature, float(size), seed)
            for size, own_seeds in sorted(zip(own.sizes, own.seeds_by_size), key=lambda pair: pair[0])
            for seed in own_seeds
            for feature in own.features
            if (not features or feature in features) and (not sizes or size in sizes) and (not seeds or seed in seeds)
        ]

    def config_of(self, cell: Cell) -> Config:
        """The training config of a cell, without references: stock `spacy train` runs it as well.

        RAISES: ValueError G140 if an override names an unknown section; G144 if a reference names nothing; G970 for a
            training corpus that is not in the config; G971 if the feature's model cannot be built.
        """
        config = self._config.copy()
        if model := self._features[cell.feature].get("model"):
            self._replace_target(config, model)
        for name, value in self._overrides.get(cell.feature, {}).items():
            set_value(config, name, deepcopy(value))
        self._set_budget(config, cell.size)
        set_value(config, "training.seed", cell.seed)
        if "system" in config:
            set_value(config, "system.seed", cell.seed)
        config = resolve_references(config, path=self.path)
        self._set_corpora(config, cell.size)
        self._fit_listeners(config, cell.feature)
        return config

    def _replace_target(self, config: Config, model: Any) -> None:
        """Put a feature's model, or a reference to one, in the target's place; it may hold what stood there."""
        target = self.section.target
        *place, name = target.split(".")
        before = self._block("ablation.target", ".".join(place), config).get(name)
        set_value(config, target, _replace_references(model, f"${{{target}}}", before))
        for listener in _listeners(config["components"]):
            # The new model may have no such setting. Listeners get its width once it is built.
            if listener.get("width") == f"${{{target}.width}}":
                listener["width"] = None

    def _set_budget(self, config: Config, size: float) -> None:
        place = self.section.sizes.index(size)
        if (max_steps := self.section.budget("max_steps", place)) is not None:
            set_value(config, "training.max_steps", max_steps)
        if (passes := self.section.budget("passes", place)) is not None:
            set_value(config, "training.max_epochs", passes)
            set_value(config, "training.max_steps", 0)

    def _set_corpora(self, config: Config, size: float) -> None:
        """Put a reader around the training corpus that gives a part of it."""
        set_value(config, self.section.test, self._corpus("ablation.test", self.section.test, config))
        name = config["training"].get("train_corpus", "corpora.train")  # spaCy's own default
        corpus = self._corpus("training.train_corpus", name, config)
        share = {"share": size, "order_seed": self.section.order_seed, "corpus": corpus}
        set_value(config, name, {"@readers": "glomo_spacy.corpus_share.v1", **share})

    def _corpus(self, setting: str, name: str, config: Mapping[str, Any]) -> Dict[str, Any]:
        """A reader's block. spaCy fills in defaults for `corpora.train` and `corpora.dev` only, so here they are."""
        block, default = self._block(setting, name, config), DEFAULT_CONFIG["corpora"]["train"]
        return {**default, **block} if block.get("@readers") == default["@readers"] else block

    def _fit_listeners(self, config: Config, feature: str) -> None:
        """Give listeners the width of what they listen to, if the target is the model of a component."""
        place = self.section.target.split(".")
        if place[0] != "components" or len(place) != 3:
            return
        block = config["components"].get(place[1], {}).get(place[2])
        if block and feature not in self._widths:
            self._widths[feature] = self._width(feature, block)
        width = self._widths.get(feature)
        for listener in _listeners(config["components"], upstream=place[1]):
            if width is not None:
                listener["width"] = width
            elif listener.get("width") is None:
                reason = "it says its width only after initialize. Set the width of its listeners in overrides."
                raise ValueError(Errors.G971.format(feature=feature, reason=reason))

    def _width(self, feature: str, block: Dict[str, Any]) -> Optional[int]:
        try:
            return width_of(registry.resolve({"model": block})["model"], None)
        except Exception as error:  # whatever an architecture raises
            reason = " ".join(str(error).split())
            raise ValueError(Errors.G971.format(feature=feature, reason=reason)) from error

    def _block(self, setting: str, name: str, config: Mapping[str, Any]) -> Dict[str, Any]:
        node: Any = config
        for key in name.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping):
            raise ValueError(Errors.G970.format(path=self.path, setting=setting, name=name))
        return dict(node)


def _take_overrides(config: Config) -> Dict[str, Dict[str, Any]]:
    """Remove the overrides of features from a config, and give them by feature."""
    taken = {}
    features = config[SECTION].get("features") if isinstance(config.get(SECTION), dict) else None
    for name, feature in features.items() if isinstance(features, dict) else ():
        if isinstance(feature, dict) and isinstance(feature.get("overrides"), dict):
            taken[name] = feature.pop("overrides")
    return taken


def _replace_references(section: Any, reference: str, value: Any) -> Any:
    """A copy of a section with a value in the place of each setting that is a reference to it."""
    if isinstance(section, dict):
        return {key: _replace_references(setting, reference, value) for key, setting in section.items()}
    return deepcopy(value if section == reference else section)


def _listeners(section: Any, *, upstream: Optional[str] = None) -> Iterator[Any]:
    """Blocks that listen to a component, or to any, at any depth."""
    if not isinstance(section, dict):
        return
    is_listener = "Tok2VecListener" in str(section.get("@architectures"))
    if is_listener and (upstream is None or section.get("upstream", "*") in ("*", upstream)):
        yield section
    for value in section.values():
        yield from _listeners(value, upstream=upstream)


def _check_known(option: str, chosen: Sequence[Any], known: Sequence[Any]) -> None:
    for value in chosen:
        if value not in known:
            raise ValueError(Errors.G100.format(name=option, value=value, options=", ".join(map(str, known))))
