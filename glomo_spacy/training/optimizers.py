"""Optimisers by name, with learning rates by parameter name. Choices: `OPTIMIZERS`."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Tuple, Type

import torch
from torch import nn

from ..errors import Errors


@dataclass
class OptimizerSettings:
    """What every optimiser has.

    learn_rate (float): Step size per update before the schedule's factor. > 0.
    weight_decay (float): Share of a weight taken off per update times the learning rate (for "adam" it means something
        else); only for parameters of two or more dimensions, since shrinking biases, thresholds or batch-norm scales
        helps nobody. 0: none.
    multipliers (Dict[str, float]): Factors on the learning rate by pattern of the parameter's name (`*` matches
        anything), the first that fits counts: {"*key_encoder*": 0.25}. A pattern that fits nothing is an error, unless
        it begins with a part that such a model may have and this one has not: {"transfer.*": 0.1} without graphs.
    starts (Dict[str, float]): By the same kind of pattern, the share of the run's budget, 0-1, after which parameters
        begin to learn: {"*.graph.*": 0.5}. Until then they stay as they are and cost no backward pass.
    """

    learn_rate: float
    weight_decay: float
    multipliers: Dict[str, float]
    starts: Dict[str, float] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        for pattern, share in self.starts.items():
            if not 0 <= share <= 1:
                name = f"pretraining.optimizer.starts of {pattern}"
                raise ValueError(Errors.G141.format(name=name, expected="from 0 to 1", value=share))

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser over the parameters of a model, one group per factor, start and kind of decay."""
        return self._optimizer(self._groups(model))

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        raise NotImplementedError

    def _groups(self, model: nn.Module) -> List[Dict[str, Any]]:
        names = [name for name, _ in model.named_parameters()]
        for pattern in (*self.multipliers, *self.starts):
            if not any(fnmatchcase(name, pattern) for name in names) and not _is_of_absent_part(model, pattern):
                raise ValueError(Errors.G300.format(pattern=pattern, names=", ".join(names)))
        groups: Dict[Tuple[float, float, bool], List[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                factor, start = _first_match(self.multipliers, name, 1.0), _first_match(self.starts, name, 0.0)
                groups.setdefault((factor, start, parameter.dim() > 1), []).append(parameter)
        if groups and all(start > 0 for _, start, _ in groups):
            expected = "something that learns from the beginning"
            raise ValueError(
                Errors.G141.format(name="pretraining.optimizer.starts", expected=expected, value=self.starts)
            )
        return [
            {
                "params": parameters,
                "lr": self.learn_rate * factor,
                "base_rate": self.learn_rate * factor,  # the schedule's factor is applied to this one
                "start": start,
                "weight_decay": self.weight_decay if has_decay else 0.0,
            }
            for (factor, start, has_decay), parameters in groups.items()
        ]


def _is_of_absent_part(model: nn.Module, pattern: str) -> bool:
    return getattr(model, pattern.partition(".")[0], model) is None


def _first_match(values: Mapping[str, float], name: str, default: float) -> float:
    return next((float(value) for pattern, value in values.items() if fnmatchcase(name, pattern)), default)


@dataclass
class SGDSettings(OptimizerSettings):
    """Stochastic gradient descent with momentum: the published recipe (lr 8, momentum 0.2).

    momentum (float): Share of the last step that is taken again, 0-1.
    """

    momentum: float

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=self.learn_rate, momentum=self.momentum)


@dataclass
class AdamWSettings(OptimizerSettings):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    beta1 (float): Decay of the mean of gradients, 0-1.
    beta2 (float): Decay of the mean of squared gradients, 0-1.
    eps (float): Added to the root of the latter. > 0.
    """

    beta1: float
    beta2: float
    eps: float

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, lr=self.learn_rate, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)


@dataclass
class AdamSettings(OptimizerSettings):
    """Adam (Kingma & Ba 2015) with an L2 penalty; beta1 0, beta2 .999, eps 1e-8 is the "rmsprop" of deepmind/lamb.

    weight_decay (float): The penalty's factor: so many times a weight are added to its gradient, after norms are
        clipped (lamb: before). Published: 2.5e-4 for PTB, where `gradient_scale` is 70. 0: none.
    beta1 (float): Decay of the mean of gradients, 0-1. 0 was far ahead of 0.9 in short runs at equal rates.
    beta2 (float): Decay of the mean of squared gradients, 0-1.
    eps (float): Added to the root of the latter. > 0.
    """

    beta1: float
    beta2: float
    eps: float

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=self.learn_rate, betas=(self.beta1, self.beta2), eps=self.eps, fused=True)


@dataclass
class AdagradSettings(OptimizerSettings):
    """Adagrad (Duchi et al. 2011) as TensorFlow has it: the recipe of bilm-tf (lr 0.2, accumulator 1).

    accumulator (float): What sums of squared gradients begin with, at least 0; it bounds the first steps.
    """

    accumulator: float

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        # TensorFlow adds nothing to the root; with an accumulator of 0 a gradient of 0 would divide 0 by 0.
        eps = 0.0 if self.accumulator > 0 else 1e-10
        return torch.optim.Adagrad(
            groups, lr=self.learn_rate, initial_accumulator_value=self.accumulator, eps=eps, foreach=True
        )


@dataclass
class AdadeltaSettings(OptimizerSettings):
    """Adadelta (Zeiler 2012): the recipe of the GLoMo reader (lr 0.5, rho 0.95). The rate is a factor on its own steps.

    rho (float): Share kept of the means of squared gradients and squared steps, 0-1. Published: 0.95.
    eps (float): Added to both before their roots. > 0. Published: 1e-6.
    """

    rho: float
    eps: float

    def _optimizer(self, groups: List[Dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(groups, lr=self.learn_rate, rho=self.rho, eps=self.eps, foreach=True)


OPTIMIZERS: Dict[str, Type[OptimizerSettings]] = {
    "sgd": SGDSettings,
    "adam": AdamSettings,
    "adamw": AdamWSettings,
    "adagrad": AdagradSettings,
    "adadelta": AdadeltaSettings,
}


def awaken(optimizer: torch.optim.Optimizer, used: float, *, is_shared: bool) -> None:
    """Let exactly the groups learn whose start has come. Before each step.

    optimizer (Optimizer): Built by `OptimizerSettings.build`.
    used (float): Share of the budget, 0-1.
    is_shared (bool): Processes exchange gradients, and need all of them: sleepers have theirs computed in vain.
    """
    for group in optimizer.param_groups:
        group["is_awake"] = used >= group["start"]
        if not is_shared:
            for parameter in group["params"]:
                parameter.requires_grad_(group["is_awake"])


def set_factor(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's rate to its base rate times the schedule's factor; that of sleepers to 0.

    optimizer (Optimizer): Built by `OptimizerSettings.build`.
    factor (float): From the schedule.
    RETURNS (float): The rate of the first group, for the log.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor if group.get("is_awake", True) else 0.0
    return float(optimizer.param_groups[0]["lr"])
