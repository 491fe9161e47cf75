"""The biLM objective: what a batch holds, carried states, scaled gradients, evaluation."""

import math

import pytest
import torch

from glomo_spacy.models.elmo.losses import window_losses
from glomo_spacy.training.elmo_batches import unpack
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.objectives import build_objective


def test_a_run_learns_both_directions(tiny_elmo):
    result = pretrain(tiny_elmo(pretraining__max_steps=150, pretraining__evaluate_every=150))
    # Knowing nothing costs log 43 = 3.76; counts alone cost about 3.4.
    assert result["loss_forward"] < 2.9
    assert result["loss_backward"] < 3.2
    assert result["loss"] == pytest.approx((result["loss_forward"] + result["loss_backward"]) / 2)
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
