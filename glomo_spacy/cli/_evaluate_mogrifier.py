"""`evaluate-lm` for kind "mogrifier": static, Monte Carlo dropout, temperature, dynamic evaluation."""

import math
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, cast

from ..errors import Errors
from ._app import as_typed
from ._evaluation_text import is_corpus, open_text

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.dynamic import DynamicSettings
    from ..evaluation.language_model import WordTable
    from ..models.mogrifier import LanguageModel
    from ._evaluation_text import Text

_WINDOW, _DYNAMIC_WINDOW = 70, 20  # the first moves no result; the second goes with the default rates
_N_STATISTICS, _SEARCH_TOKENS = 100, 20_000  # lamb: 100 and 50,000
_BATCH_SIZE, _UNROLL = 20, 35  # for the sizes of gradients; those of larger batches are smaller, and want other rates


@dataclass(frozen=True)
class Method:
    """How words are scored.

    dynamic (bool): Dynamic evaluation.
    learn_rate, decay, epsilon (Sequence[float]): Its rates. Of several values the best on validation text is used;
        of none, the default.
    statistics (Optional[int]): Batches of training text that tell the sizes of gradients. None: 100.
    monte_carlo (Optional[int]): Networks that dropout makes from the model. None: the model itself.
    mean (Optional[str]): Of their predictions, "arithmetic" (None) or "geometric".
    temperature (Optional[float]): Of the soft-max. None: 1.
    search_temperature (bool): The best one on validation text.
    window (Optional[int]): Words read at a time. None: 70, a Transformer's own window, or 20 in dynamic evaluation.
    batch_size (int): Columns at most that the text is cut into, each begun with a state of zero.
    max_tokens (Optional[int]): Words that are scored, ends of sentences included. None: all.
    search_tokens (Optional[int]): Words of the validation text that settings are searched on. None: 20,000.
    seed (int): Of dropout.
    """

    dynamic: bool = False
    learn_rate: Sequence[float] = ()
    decay: Sequence[float] = ()
    epsilon: Sequence[float] = ()
    statistics: Optional[int] = None
    monte_carlo: Optional[int] = None
    mean: Optional[str] = None
    temperature: Optional[float] = None
    search_temperature: bool = False
    window: Optional[int] = None
    batch_size: int = 1
    max_tokens: Optional[int] = None
    search_tokens: Optional[int] = None
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("monte_carlo", "statistics", "search_tokens", "window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(Errors.G101.format(name=name, expected="at least 1", value=value))
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise ValueError(Errors.G101.format(name="temperature", expected="above 0", value=self.temperature))
        rates = [name for name in ("learn_rate", "decay", "epsilon", "statistics") if getattr(self, name)]
        for options, why, is_wrong in (
            (rates, "without --dynamic", rates and not self.dynamic),
            (["mean"], "without --monte-carlo", self.mean and not self.monte_carlo),
            (["monte_carlo"], "with --dynamic: a model that learns is one", self.dynamic and self.monte_carlo),
            (
                ["batch_size"],
                "with --dynamic: columns would learn from later ones",
                self.dynamic and self.batch_size > 1,
            ),
            (["temperature"], "with --search-temperature", self.temperature is not None and self.search_temperature),
        ):
            if is_wrong:
                raise ValueError(Errors.G241.format(options=as_typed(options), why=why))


class Setting(NamedTuple):
    """What may be searched. dynamic: None outside dynamic evaluation."""

    temperature: float
    dynamic: "Optional[DynamicSettings]"


def evaluate_mogrifier(
    checkpoint: Path,
    text: Sequence[str],
    *,
    split: str = "dev",
    raw: bool = False,
    lang: str = "en",
    unknown: Optional[str] = None,
    validation: Sequence[str] = (),
    train: Optional[Path] = None,
    device: str = "cpu",
    **method: Any,
) -> Dict[str, Any]:
    """Measure a language model.

    checkpoint (Path): Of kind "mogrifier", with its vocabulary.
    text, split, raw, lang, unknown: As for `open_text`.
    validation (Sequence[str]): Text that settings are searched on. Empty: the dev split, where `text` is a corpus.
    train (Optional[Path]): Corpus whose training split tells the sizes of gradients. None: `text`, if it is one.
    device (str): Torch device.
    **method (Any): The fields of `Method`.
    RETURNS (Dict[str, Any]): As `held_out_perplexity`; `method`, how words were scored; `searched`, the settings that
        were tried, with their perplexity on validation text.
    RAISES: ValueError G100, G101 and G240-G244 for what cannot be done, G318 for a text without tokens; else as
        `load_checkpoint` and `open_text`.
    """
    evaluation = _Evaluation(checkpoint, Method(**method), device=device)
    reading: Dict[str, Any] = {"raw": raw, "lang": lang, "unknown": unknown}
    held_out = open_text(text, split=split, **reading)
    if evaluation.method.dynamic:
        evaluation.measure_gradients(train or _corpus_of(text, "--train"))
    if not evaluation.is_searched and validation:
        why = "where nothing is searched; see --search-temperature, or give several values of a rate"
        raise ValueError(Errors.G241.format(options="--validation", why=why))
    if evaluation.is_searched:
        tried_on = validation or [str(_corpus_of(text, "--validation"))]
        evaluation.search(open_text(tried_on, split="dev", **reading))
    measures = evaluation.measure(held_out, evaluation.setting, max_tokens=evaluation.method.max_tokens)
    if not measures["n_tokens"]:
        raise ValueError(Errors.G318.format(text=", ".join(text)))
    return {**measures, "method": evaluation.description, "searched": evaluation.searched}


class _Evaluation:
    """A model, how it is measured, and what was found out on the way.

    checkpoint (Path): The model.
    method (Method): How.
    device (str): Where.
    RAISES: ValueError G242 for a model that takes ids only; as `load_checkpoint` and `DynamicSettings`.
    """

    def __init__(self, checkpoint: Path, method: Method, *, device: str) -> None:
        from ..evaluation.dynamic import DynamicSettings
        from ..models.checkpoint import load_checkpoint

        self.model: LanguageModel = cast("LanguageModel", load_checkpoint(checkpoint).to(device))
        if self.model.indexer is None:
            raise ValueError(Errors.G242.format(path=checkpoint))
        self.method, self._indexer = method, self.model.indexer
        given = {name: getattr(method, name) for name in ("learn_rate", "decay", "epsilon") if getattr(method, name)}
        settings = [DynamicSettings(**dict(zip(given, values))) for values in product(*given.values())]
        self._candidates = settings if method.dynamic else [None]
        self.setting = Setting(1.0 if method.temperature is None else method.temperature, self._candidates[0])
        self.searched: List[Dict[str, Optional[float]]] = []
        self._sizes: Dict[str, Tensor] = {}

    @property
    def is_searched(self) -> bool:
        """Whether something is to be chosen on validation text."""
        return self.method.search_temperature or len(self._candidates) > 1

    @property
    def description(self) -> Dict[str, Any]:
        """What was done, by the names of options."""
        method, name = self.method, "static"
        rates = {} if self.setting.dynamic is None else asdict(self.setting.dynamic)
        if method.dynamic:
            name = "dynamic"
        elif method.monte_carlo:
            name, rates = "Monte Carlo", {"n_samples": method.monte_carlo, "mean": self._mean, "seed": method.seed}
        shape = {"window": self._window, "batch_size": method.batch_size}
        return {"name": name, **rates, "temperature": self.setting.temperature, **shape}

    def measure_gradients(self, train: Path) -> None:
        """Learn from training text how large gradients are."""
        from ..corpora import SentenceCorpus, TextStreams
        from ..evaluation.dynamic import gradient_sizes

        corpus = SentenceCorpus(train, split="train")
        windows = TextStreams(corpus, batch_size=_BATCH_SIZE, unroll=_UNROLL)
        self._sizes = gradient_sizes(
            self.model, windows, self._words(corpus), n_batches=self.method.statistics or _N_STATISTICS
        )

    def search(self, text: "Text") -> None:
        """Choose the rates first, then the temperature."""
        from ..evaluation.dynamic import search_settings
        from ..evaluation.language_model import search_temperature

        def loss(setting: Setting) -> float:
            return float(self.measure(text, setting, max_tokens=self.method.search_tokens or _SEARCH_TOKENS)["loss"])

        def loss_at(temperature: float) -> float:
            setting = self.setting._replace(temperature=temperature)
            self._note(setting, found := loss(setting))
            return found

        if len(self._candidates) > 1:
            candidates = [self.setting._replace(dynamic=candidate) for candidate in self._candidates]
            self.setting, losses = search_settings(loss, candidates)
            for candidate, found in zip(candidates, losses):
                self._note(candidate, found)
        if self.method.search_temperature:
            self.setting = self.setting._replace(temperature=search_temperature(loss_at))

    def _note(self, setting: Setting, loss: float) -> None:
        rates = {} if setting.dynamic is None else asdict(setting.dynamic)
        perplexity = math.exp(loss) if loss < math.inf else None
        self.searched.append({**rates, "temperature": setting.temperature, "perplexity": perplexity})

    def measure(self, text: "Text", setting: Setting, *, max_tokens: Optional[int]) -> Dict[str, Any]:
        """One pass over a text; as `held_out_perplexity`."""
        import torch

        from ..corpora import EvalTextStreams
        from ..evaluation.dynamic import DynamicScorer
        from ..evaluation.language_model import MonteCarloScorer, Scorer, StaticScorer, held_out_perplexity

        method, temperature = self.method, setting.temperature
        windows = EvalTextStreams(text, batch_size=method.batch_size, unroll=self._window, max_tokens=max_tokens)
        torch.manual_seed(method.seed)  # each temperature meets the same masks
        if setting.dynamic is not None:
            with DynamicScorer(self.model, self._sizes, setting.dynamic, temperature=temperature) as learner:
                return held_out_perplexity(learner, windows, self._words(text))
        scorer: Scorer = StaticScorer(self.model, temperature=temperature)
        if method.monte_carlo:
            scorer = MonteCarloScorer(
                self.model, n_samples=method.monte_carlo, mean=self._mean, temperature=temperature
            )
        return held_out_perplexity(scorer, windows, self._words(text))

    @property
    def _mean(self) -> str:
        return self.method.mean or "arithmetic"

    @property
    def _window(self) -> int:
        config = self.model.config
        usual = config.window if config.cell == "transformer" else _WINDOW
        return self.method.window or (_DYNAMIC_WINDOW if self.method.dynamic else usual)

    def _words(self, text: "Text") -> "WordTable":
        from ..evaluation.language_model import WordTable

        return WordTable(text.types, self._indexer, spelling=self.model.spelling)


def _corpus_of(text: Sequence[str], option: str) -> Path:
    """The corpus that is measured on. RAISES: ValueError G243 if it is not one, and the option is needed."""
    if not is_corpus(text):
        raise ValueError(Errors.G243.format(option=option))
    return Path(text[0])
