"""Runs of the biLM objective: stopped, killed, shared between processes, ended early or broken."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from training.processes import train_in_two_processes, train_until_killed

from glomo_spacy.models import load_checkpoint
from glomo_spacy.training.elmo import ElmoLoss
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.resume import list_states

PAPER = {
    "pretraining__objective__gradient_scale": 10.0,
    "pretraining__clip": 10.0,
    "pretraining__optimizer": {
        "name": "adagrad", "learn_rate": 0.2, "weight_decay": 0.0, "multipliers": {}, "accumulator": 1.0,
    },
}  # fmt: skip


def assert_same(first, second):
    for name in ("model-last", "model-best"):
        left, right = (load_file(run / name / "model.safetensors") for run in (first, second))
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert losses(first) == losses(second)


def losses(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(row["event"], row["step"], row["loss"]) for row in rows if "loss" in row]


@pytest.mark.parametrize(
    "overrides",
    [
        {"model__dropout": 0.2},
        {"pretraining__average_decay": 0.9, "pretraining__accumulate": 2, **PAPER},
        {"model__directions": "forward", "system__precision": "bf16-mixed"},
        {"model__cell": "mogrifier", "model__cell_options": {"rounds": 3, "rank": 2, "input_gate": "capped"}},
    ],
    ids=["dropout", "averaged, accumulated, adagrad", "forward in bfloat16", "mogrifier"],
)
def test_a_resumed_run_ends_with_the_same_weights_and_log(overrides, tiny_elmo, tmp_path):
    shape = {"pretraining__evaluate_every": 4, "pretraining__log_every": 3, **overrides}
    shape["pretraining__schedule"] = {"name": "constant", "warmup": 0.0}
    pretrain(tiny_elmo(pretraining__max_steps=10, **shape), output=tmp_path / "whole")
    pretrain(tiny_elmo(pretraining__max_steps=4, **shape), output=tmp_path / "parts")
    pretrain(tiny_elmo(pretraining__max_steps=10, **shape), output=tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_resumed_run_needs_the_states_of_its_lstms(tiny_elmo, tmp_path, monkeypatch):
    """What the test above would miss if states were close to zero."""
    constant = {"pretraining__schedule": {"name": "constant", "warmup": 0.0}}
    pretrain(tiny_elmo(pretraining__max_steps=3, **constant), output=tmp_path / "run")
    forgetful = tiny_elmo(pretraining__max_steps=6, **constant)
    monkeypatch.setattr("glomo_spacy.training.elmo.ElmoObjective.load_state_dict", lambda self, state: None)
    pretrain(forgetful, output=tmp_path / "run", resume=True)
    monkeypatch.undo()
    pretrain(forgetful, output=tmp_path / "whole")
    assert losses(tmp_path / "run")[:3] == losses(tmp_path / "whole")[:3]
    assert losses(tmp_path / "run")[-1] != losses(tmp_path / "whole")[-1]


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tiny_elmo, tmp_path):
    config = tiny_elmo(pretraining__max_steps=40, pretraining__evaluate_every=10, pretraining__log_every=5)
    pretrain(config, output=tmp_path / "whole")
    train_until_killed(config, tmp_path / "killed", step=27)
    assert [state.name for state in list_states(tmp_path / "killed")] == ["step-000000010", "step-000000020"]
    pretrain(config, output=tmp_path / "killed", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_equal_one_with_the_joined_batch(tiny_elmo, tmp_path):
    config = tiny_elmo(**PAPER)
    one = pretrain(config, output=tmp_path / "one")
    train_in_two_processes(config, tmp_path / "two")
    single, double = (load_file(tmp_path / name / "model-last" / "model.safetensors") for name in ("one", "two"))
    for key, tensor in single.items():
        torch.testing.assert_close(double[key], tensor, atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
    two = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()][-1]
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
    assert (two["n_targets"], two["tokens"]) == (one["n_targets"], one["tokens"])


def test_a_run_ends_early_when_held_out_text_gets_no_better(tiny_elmo, tmp_path):
    still = {"name": "adamw", "learn_rate": 1e-30, "weight_decay": 0.0, "multipliers": {}}
    still |= {"beta1": 0.0, "beta2": 0.9, "eps": 1e-8}
    result = pretrain(
        tiny_elmo(
            pretraining__max_steps=1000,
            pretraining__evaluate_every=2,
            pretraining__patience=3,
            pretraining__optimizer=still,
        )
    )
    assert (result["is_finished"], result["best_step"], result["step"]) == (True, 2, 8)  # the first is a best


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tiny_elmo, tmp_path, monkeypatch):
    original = ElmoLoss.forward
    calls = []

    def break_down(self, *batch):
        calls.append(1)
        return original(self, *batch) * (math.nan if len(calls) > 4 else 1.0)

    monkeypatch.setattr(ElmoLoss, "forward", break_down)
    with pytest.raises(RuntimeError, match=r"\[G307\] The loss is nan at step 6"):
        pretrain(tiny_elmo(pretraining__max_steps=20))
    for name in ("model-best", "model-last"):
        model = load_checkpoint(tmp_path / "run" / name)
        assert all(bool(weight.isfinite().all()) for weight in model.parameters())
    monkeypatch.setattr(ElmoLoss, "forward", original)
    assert pretrain(tiny_elmo(pretraining__max_steps=10), resume=True)["step"] == 10
