"""Dynamic evaluation: a language model goes on learning from the text it is measured on, each window once it is scored.

Source: Krause et al. 2018 (arXiv 1709.07432), section 5, and deepmind/lamb. With theta the weights, theta_0 as trained,
and g the gradient of a window's mean loss per word:

    ms = sqrt(mean of g^2 over batches of the training text), for every weight; avg = the mean of ms over all weights
    theta <- theta - learn_rate g / (ms + epsilon) + min(1, decay ms / avg) (theta_0 - theta)

Differs from lamb in its defaults: epsilon 1e-5 and the mean loss per word diverge, since the gradients of rare words'
rows lie far below it.
"""

from dataclasses import asdict, dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar

import torch
from torch import Tensor

from ..errors import Errors
from ..models.mogrifier import LanguageModel
from .language_model import WordTable, to_device_of

Setting = TypeVar("Setting")


@dataclass(frozen=True)
class DynamicSettings:
    """How fast the model learns from what it reads, and forgets it again.

    learn_rate (float): Step size. lamb: 0.001.
    decay (float): How strongly weights are drawn back to the trained ones. lamb: 0.02.
    epsilon (float): Added to what a step is divided by, so that rare gradients make no huge steps. lamb: 1e-5.
    RAISES: ValueError G101 for a value outside its range.
    """

    learn_rate: float = 3e-3
    decay: float = 0.02
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("learn_rate", "decay", "epsilon"):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (name == "epsilon" and not value):
                expected = "above 0" if name == "epsilon" else "0 or above"
                raise ValueError(Errors.G101.format(name=name, expected=expected, value=value))


@torch.enable_grad()
def gradient_sizes(
    model: LanguageModel, windows: Iterable[Any], words: WordTable, *, n_batches: int = 100
) -> Dict[str, Tensor]:
    """The root mean square gradient of every weight, over batches of the training text; nothing is learned from them.

    model (LanguageModel): In evaluation mode, as dropout would blur the sizes.
    windows (Iterable[TextWindow]): As `TextStreams` yields them. Gradients of larger ones are smaller.
    words (WordTable): Of the text's types.
    n_batches (int): Windows to read. lamb: 100.
    RETURNS (Dict[str, Tensor]): By the parameter's name, those that the loss depends on. Shapes: the parameters'.
    RAISES: ValueError G240 for a loss that is no finite number.
    """
    names, parameters = zip(*((name, each) for name, each in model.named_parameters() if each.requires_grad))
    sums: List[Optional[Tensor]] = [None] * len(names)
    state, count = None, 0
    for window in islice(windows, n_batches):
        inputs, targets = to_device_of(model, words.ids[window.inputs], words.ids[window.targets])
        outputs, state = model(inputs, None if window.is_start else state)
        gradients = _gradients(model.losses(outputs.flatten(0, 1), targets.flatten()), parameters, window=count)
        for index, gradient in enumerate(gradients):
            if gradient is not None:
                total = sums[index]
                sums[index] = gradient.square() if total is None else total.addcmul_(gradient, gradient)
        state, count = detached(state), count + 1
    return {name: (total / count).sqrt_() for name, total in zip(names, sums) if total is not None}


class DynamicScorer:
    """Score a window, then learn from it. A context: at its end the model has its weights back, to the bit.

    model (LanguageModel): In evaluation mode.
    sizes (Dict[str, Tensor]): From `gradient_sizes`. Only parameters named there learn.
    settings (DynamicSettings): Rates.
    temperature (float): Logits are divided by it, also in what is learned.
    RAISES: ValueError G240 when called, for a loss that is no finite number.
    """

    def __init__(
        self,
        model: LanguageModel,
        sizes: Dict[str, Tensor],
        settings: DynamicSettings = DynamicSettings(),
        *,
        temperature: float = 1.0,
    ) -> None:
        self.model, self.settings, self.temperature = model, settings, temperature
        self.state: Optional[Any] = None
        self._n_windows = 0
        parameters = dict(model.named_parameters())
        self._parameters = [parameters[name] for name in sizes]
        self._trained = [parameter.detach().clone() for parameter in self._parameters]
        mean = _mean(list(sizes.values()))
        self._rates = [settings.learn_rate / (size + settings.epsilon) for size in sizes.values()]
        self._pulls = [(settings.decay * size / mean).clamp_(max=1) for size in sizes.values()]

    def __enter__(self) -> "DynamicScorer":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        with torch.no_grad():
            for parameter, trained in zip(self._parameters, self._trained):
                parameter.copy_(trained)

    def __call__(self, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        inputs, targets, mask = to_device_of(self.model, inputs, targets, mask)
        with torch.enable_grad():
            outputs, state = self.model(inputs, self.state)  # (columns, window, hidden)
            nats = self.model.losses(outputs[mask], targets[mask], temperature=self.temperature)
            gradients = _gradients(nats, self._parameters, window=self._n_windows, settings=self.settings)
        self.state, self._n_windows = detached(state), self._n_windows + 1
        self._learn(gradients)
        return nats.detach()

    @torch.no_grad()
    def _learn(self, gradients: Sequence[Optional[Tensor]]) -> None:
        for parameter, gradient, trained, rate, pull in zip(
            self._parameters, gradients, self._trained, self._rates, self._pulls
        ):
            parameter.lerp_(trained, pull)  # theta + pull (theta_0 - theta)
            if gradient is not None:
                parameter.addcmul_(gradient, rate, value=-1)


def search_settings(measure: Callable[[Setting], float], candidates: Sequence[Setting]) -> Tuple[Setting, List[float]]:
    """The setting of the lowest loss. What diverges has an infinite one.

    measure (Callable[[Setting], float]): The loss on validation text; test text must not choose a setting.
    candidates (Sequence[Setting]): At least one.
    RETURNS (Tuple[Setting, List[float]]): The best, and the loss of each.
    RAISES: ValueError G240 if all diverge.
    """
    losses, failure = [], None
    for candidate in candidates:
        try:
            losses.append(measure(candidate))
        except DivergedError as error:
            losses.append(float("inf"))
            failure = error
    best = min(range(len(losses)), key=losses.__getitem__)
    if failure is not None and losses[best] == float("inf"):
        raise failure
    return candidates[best], losses


class DivergedError(ValueError):
    """The loss of dynamic evaluation is no finite number any more."""


def detached(state: Any) -> Any:
    """A state of tensors from which no gradient goes back further."""
    return None if state is None else type(state)(*(tensor.detach() for tensor in state))


def _gradients(
    nats: Tensor, parameters: Sequence[Tensor], *, window: int, settings: Optional[DynamicSettings] = None
) -> Tuple[Optional[Tensor], ...]:
    """Of the mean loss per word; None for a parameter it does not depend on.

    RAISES: DivergedError G240 for a loss that is no finite number.
    """
    loss = nats.mean()
    if not bool(torch.isfinite(loss)):
        rates = "before anything was learned"
        if settings is not None:
            rates = "with " + ", ".join(f"{name} {value:g}" for name, value in asdict(settings).items())
        raise DivergedError(Errors.G240.format(loss=loss.item(), window=window, rates=rates))
    return torch.autograd.grad(loss, list(parameters), allow_unused=True)


def _mean(sizes: Sequence[Tensor]) -> float:
    """The mean over all numbers; 1 if they are all 0, which pulls nothing."""
    n_numbers = sum(size.numel() for size in sizes)
    total = sum(float(size.double().sum()) for size in sizes)
    return total / n_numbers if total else 1.0
