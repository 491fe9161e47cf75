"""The [ablation] section of a config: what is varied and what is measured."""

import re
from dataclasses import dataclass
from typing import Any, Dict, List

from ..errors import Errors

SECTION = "ablation"
PARTS = ("model", "overrides")
PIPELINES = ("last", "best")


@dataclass(frozen=True)
class AblationSection:
    """[ablation]. Seeds, steps and passes may be given once, or as a list with one entry per size.

    sizes (List[float]): Shares of the training corpus, in (0, 1]. A smaller part is contained in a larger one.
    seeds (List): Seeds, or one list of seeds per size. They become system.seed and training.seed.
    features (Dict): A sub-section for each row of the table; the others are compared with the first. Each may have a
        `model`, the block that takes the place of the target, and `overrides`, settings by dotted name. References mean
        the config with both in place; but one to the target, as a setting of the model, is what stood there before. An
        empty feature is the config itself.
    scores (List[str]): Scores to show, by the names that spaCy's scorer gives them. All are stored.
    test (str): The corpus that is scored after training, e.g. "corpora.test". Nothing is selected on it.
    target (str): The block that a feature's `model` replaces.
    order_seed (int): Draws the order whose beginning a part of the training corpus is.
    max_steps (int or List[int]): Becomes training.max_steps. None: as it stands there.
    passes (int or List[int]): Becomes training.max_epochs, and training.max_steps 0. None: as they stand there.
    evaluate (str): "last": the pipeline after the last step is scored; "best": the best on the development corpus.
    """

    sizes: List[Any]
    seeds: List[Any]
    features: Dict[str, Any]
    scores: List[Any]
    test: str
    target: str = "components.tok2vec.model"
    order_seed: int = 0
    max_steps: Any = None
    passes: Any = None
    evaluate: str = "last"

    def __post_init__(self) -> None:
        self._check("sizes", bool(self.sizes) and all(map(_is_share, self.sizes)), "shares above 0, at most 1")
        self._check("scores", all(isinstance(score, str) for score in self.scores), "names of scores")
        self._check("features", bool(self.features), "at least one sub-section")
        seeds = self.seeds_by_size
        self._check("seeds", all(map(_are_seeds, seeds)) and self._fits(seeds), "seeds, or one list of them per size")
        for name in ("max_steps", "passes"):
            budgets = self._by_size(getattr(self, name))
            is_known = all(budget is None or _is_count(budget) for budget in budgets)
            self._check(name, is_known and self._fits(budgets), "a whole number above 0, or one per size")
        if self.evaluate not in PIPELINES:
            options = ", ".join(PIPELINES)
            raise ValueError(Errors.G100.format(name=f"{SECTION}.evaluate", value=self.evaluate, options=options))
        for name, feature in self.features.items():
            _check_feature(name, feature)

    @property
    def seeds_by_size(self) -> List[Any]:
        """The seeds of each size."""
        has_own = bool(self.seeds) and all(isinstance(seeds, list) for seeds in self.seeds)
        return self.seeds if has_own else [self.seeds] * len(self.sizes)

    def budget(self, name: str, place: int) -> Any:
        """max_steps or passes of a size by its place in `sizes`; None if it is not set."""
        return self._by_size(getattr(self, name))[place]

    def _by_size(self, value: Any) -> List[Any]:
        return value if isinstance(value, list) else [value] * len(self.sizes)

    def _fits(self, values: List[Any]) -> bool:
        return len(values) == len(self.sizes)

    def _check(self, name: str, is_right: bool, expected: str) -> None:
        if not is_right:
            raise ValueError(Errors.G141.format(name=f"{SECTION}.{name}", expected=expected, value=getattr(self, name)))


def _check_feature(name: str, feature: Any) -> None:
    place = f"{SECTION}.features.{name}"
    if not re.fullmatch(r"\w[\w.+-]*", name):  # it names a folder
        raise ValueError(Errors.G141.format(name=place, expected="named by letters, digits, _ . + or -", value=name))
    if not isinstance(feature, dict) or not all(isinstance(part, dict) for part in feature.values()):
        raise ValueError(Errors.G141.format(name=place, expected="a section of sections", value=feature))
    for part in feature:
        if part not in PARTS:
            raise ValueError(Errors.G140.format(name=f"{place}.{part}", nearest=", ".join(PARTS)))


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_seeds(values: Any) -> bool:
    are_whole = all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in values)
    return bool(values) and are_whole and len(set(values)) == len(values)
