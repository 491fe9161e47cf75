"""The losses of a biLM on windows of running text, for training and for evaluation.

Source: Peters et al. 2018, section 3.1: both directions share the vectors of words and the soft-max. Windows, and the
state that is carried from one to the next, as in bilm-tf's `bilm/training.py`.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import Errors
from ..softmax import FullSoftmax, Negatives
from .bilm import BiLM, BiLMState
from .lstm import State
from .windows import Windows


def window_losses(
    model: BiLM,
    windows: Windows,
    *,
    state: Optional[BiLMState] = None,
    negatives: Optional[Negatives] = None,
    mask: Optional[Tensor] = None,
) -> Tuple[List[Tensor], BiLMState]:
    """Cross-entropy of every target, in nats.

    model (BiLM): With a soft-max.
    windows (Windows): The text.
    state (Optional[BiLMState]): After the windows before. None: zero.
    negatives (Optional[Negatives]): Sampled instead of full soft-max, for training.
    mask (Optional[Tensor]): True for real words, padding at the right. Shape: (batch, seq).
    RETURNS (Tuple[List[Tensor], BiLMState]): Per direction (batch, seq), any number at padding; the state to go on
        from, without gradients.
    RAISES: ValueError G154 for a model without a soft-max.
    """
    if model.softmax is None:
        raise ValueError(Errors.G154)
    tops, state = _top_layers(model, windows, state=state, mask=mask)
    dropout = model.config.dropout
    states = torch.cat([F.dropout(top, dropout, training=model.training).flatten(0, 1) for top in tops])
    targets = torch.cat([targets.flatten() for targets in windows.targets])  # (directions * batch * seq)
    if negatives is None:
        losses = model.softmax.losses(states, targets)
    else:
        losses = _full(model).sampled_losses(states, targets, negatives)
    return list(losses.view(len(tops), *tops[0].shape[:2])), state


def _top_layers(
    model: BiLM, windows: Windows, *, state: Optional[BiLMState], mask: Optional[Tensor]
) -> Tuple[List[Tensor], BiLMState]:
    """Per direction the last layer, (batch, seq, projection); and the state after it."""
    vectors = model.token_vectors(windows.units)  # (different words, projection)
    inputs = F.embedding(torch.stack(windows.words), vectors).unbind()  # per direction (batch, seq, projection)
    forward_layers, backward_layers, end = model.encode(*inputs, mask=mask, state=state)
    tops = [layers[-1] for layers in (forward_layers, backward_layers) if layers]
    return tops, BiLMState(_cut_off(end.forward), None if end.backward is None else _cut_off(end.backward))


def _cut_off(state: State) -> State:
    """The state without the graph it came from, so that gradients end at the window."""
    return State(state.hidden.detach().float(), state.cell.detach().float())


def _full(model: BiLM) -> FullSoftmax:
    if not isinstance(model.softmax, FullSoftmax):
        raise ValueError(Errors.G155.format(softmax=model.config.softmax))
    return model.softmax
