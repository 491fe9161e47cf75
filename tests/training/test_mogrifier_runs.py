"""Runs of the objective of word language models: resumed, shared between processes, averaged, broken, warm-started."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from training.processes import train_in_two_processes, train_until_killed

from glomo_spacy.models import load_checkpoint
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.mogrifier import MogrifierLoss

CONSTANT = {"name": "constant", "warmup": 0.0}
# Plain steps whose rate falls by three quarters, on the way to a mean of weights (Merity et al. 2018).
AWD = {
    "pretraining__optimizer": {
        "name": "sgd", "learn_rate": 1.0, "weight_decay": 1.2e-6, "multipliers": {}, "momentum": 0.0,
    },
    "pretraining__schedule": {"name": "patience", "warmup": 0.0, "patience": 2, "decay": 4.0, "stop_below": 1e-6},
    "pretraining__average": {"name": "non-monotone", "patience": 1},
    "pretraining__objective__activation_penalty": 2.0,
    "pretraining__objective__slowness_penalty": 1.0,
    "corpora__vary": True,
}  # fmt: skip
LAMB = {
    "pretraining__schedule": CONSTANT,
    "pretraining__average": {"name": "stagnation", "patience": 50, "at_latest": 1},
    "pretraining__objective__gradient_scale": 10.0,
    "pretraining__clip": 10.0,
    "pretraining__optimizer__weight_decay": 2.5e-4,
    "model__n_layers": 2,
    "model__layer_dropout": 0.2,
    "model__state_dropout": 0.2,
    "model__reset_probability": 0.2,
}


def weights(run, name="model-last"):
    return load_file(run / name / "model.safetensors")


def losses(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(row["event"], row["step"], row["loss"]) for row in rows if "loss" in row]


def assert_same(first, second):
    for name in ("model-last", "model-best"):
        left, right = weights(first, name), weights(second, name)
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert losses(first) == losses(second)


@pytest.mark.parametrize(
    "overrides",
    [AWD, LAMB, {"pretraining__schedule": CONSTANT, "system__precision": "bf16-mixed", "model__cell": "gru"}],
    ids=["awd", "lamb", "gru in bfloat16"],
)
def test_a_resumed_run_ends_with_the_same_weights_and_log(overrides, tiny_mogrifier, tmp_path):
    shape = {"pretraining__evaluate_every": 4, "pretraining__log_every": 3, **overrides}
    pretrain(tiny_mogrifier(pretraining__max_steps=10, **shape), output=tmp_path / "whole")
    pretrain(tiny_mogrifier(pretraining__max_steps=4, **shape), output=tmp_path / "parts")
    pretrain(tiny_mogrifier(pretraining__max_steps=10, **shape), output=tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("what", ["state", "batches"])
def test_a_resumed_run_needs_what_the_model_remembers_and_where_it_was(what, tiny_mogrifier, tmp_path, monkeypatch):
    """What the test above would miss if states were close to zero, or all windows alike."""
    pretrain(tiny_mogrifier(pretraining__max_steps=3, pretraining__schedule=CONSTANT), output=tmp_path / "run")
    longer = tiny_mogrifier(pretraining__max_steps=6, pretraining__schedule=CONSTANT)
    place = {"state": "mogrifier.MogrifierObjective", "batches": "mogrifier_batches.MogrifierBatches"}[what]
    monkeypatch.setattr(f"glomo_spacy.training.{place}.load_state_dict", lambda self, state: None)
    pretrain(longer, output=tmp_path / "run", resume=True)
    monkeypatch.undo()
    pretrain(longer, output=tmp_path / "whole")
    assert losses(tmp_path / "run")[:3] == losses(tmp_path / "whole")[:3]
    assert losses(tmp_path / "run")[-1] != losses(tmp_path / "whole")[-1]


def test_the_average_is_evaluated_and_saved_while_training_goes_on_from_the_weights(tiny_mogrifier, tmp_path):
    shape = {"pretraining__schedule": CONSTANT, "pretraining__evaluate_every": 1}
    seen = {}
    for n_steps in (2, 3):  # raw weights, which averaging must not touch
        pretrain(tiny_mogrifier(pretraining__max_steps=n_steps, **shape), output=tmp_path / f"raw{n_steps}")
        seen[n_steps] = weights(tmp_path / f"raw{n_steps}")
    average = {"name": "stagnation", "patience": 9, "at_latest": 1}
    pretrain(tiny_mogrifier(pretraining__max_steps=3, pretraining__average=average, **shape), output=tmp_path / "mean")
    saved = weights(tmp_path / "mean")
    for name, weight in saved.items():
        torch.testing.assert_close(weight, (seen[2][name] + seen[3][name]) / 2)  # after the first evaluation
    assert losses(tmp_path / "mean")[:2] == losses(tmp_path / "raw3")[:2]
    trained = [row for row in losses(tmp_path / "mean") if row[0] == "train"]
    assert trained == [row for row in losses(tmp_path / "raw3") if row[0] == "train"]


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tiny_mogrifier, tmp_path):
    config = tiny_mogrifier(**{"pretraining__max_steps": 12, "pretraining__evaluate_every": 4, **AWD})
    pretrain(config, output=tmp_path / "whole")
    train_until_killed(config, tmp_path / "killed", step=10)
    pretrain(config, output=tmp_path / "killed", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_equal_one_with_the_joined_batch(tiny_mogrifier, tmp_path):
    config = tiny_mogrifier(**{name: value for name, value in LAMB.items() if not name.startswith("model")})
    one = pretrain(config, output=tmp_path / "one")
    train_in_two_processes(config, tmp_path / "two")
    double = weights(tmp_path / "two")
    for key, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(double[key], tensor, atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
    two = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()][-1]
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
    assert (two["n_targets"], two["tokens"]) == (one["n_targets"], one["tokens"])


@pytest.mark.parametrize("factor, loss", [(math.nan, "nan"), (1e3, r"\d{4}\.\d+")], ids=["not a number", "exploding"])
def test_a_loss_that_comes_apart_stops_the_run_and_keeps_the_last_good_checkpoint(
    factor, loss, tiny_mogrifier, tmp_path, monkeypatch
):
    original = MogrifierLoss.forward
    calls = []

    def break_down(self, *batch):
        calls.append(1)
        return original(self, *batch) * (factor if len(calls) > 4 else 1.0)

    monkeypatch.setattr(MogrifierLoss, "forward", break_down)
    with pytest.raises(
        RuntimeError, match=rf"\[G307\] The loss is {loss} at step 6. Resume .* with a lower learn_rate"
    ):
        pretrain(tiny_mogrifier(pretraining__max_steps=20))
    for name in ("model-best", "model-last"):
        model = load_checkpoint(tmp_path / "run" / name)
        assert all(bool(weight.isfinite().all()) for weight in model.parameters())
    monkeypatch.setattr(MogrifierLoss, "forward", original)
    assert pretrain(tiny_mogrifier(pretraining__max_steps=8), resume=True)["step"] == 8


@pytest.mark.parametrize(
    "overrides, by_word",
    [
        ({}, {"embedding.weight", "output.bias"}),
        ({"model__tied": False}, {"embedding.weight", "output.weight", "output.bias"}),
        (
            {"model__tied": False, "model__softmax": "adaptive", "model__adaptive_cutoffs": [10, 25]},
            {
                "embedding.weight",
                "output.softmax.clusters.head.bias",
                *(f"output.softmax.clusters.{part}.weight" for part in ("head", "tail.0.1", "tail.1.1")),
            },
        ),
    ],
    ids=["tied", "untied", "adaptive"],
)
def test_a_run_goes_on_with_another_vocabulary(overrides, by_word, tiny_mogrifier, write_sentences, tmp_path):
    pretrain(tiny_mogrifier(**overrides), output=tmp_path / "first")
    words = [f"{'abcde'[index % 5] * (1 + index % 7)}{index}" for index in range(20, 70)]
    corpus = write_sentences(tmp_path / "other" / "corpus", words=words, seed=1)
    still = {"name": "sgd", "learn_rate": 1e-30, "weight_decay": 0.0, "multipliers": {}, "momentum": 0.0}
    config = tiny_mogrifier(
        paths__corpus=str(corpus), pretraining__optimizer=still, pretraining__max_steps=3, **overrides
    )
    pretrain(config, output=tmp_path / "second", init_from=tmp_path / "first" / "model-last")
    rows = [json.loads(line) for line in (tmp_path / "second" / "log.jsonl").read_text().splitlines()]
    report = next(row for row in rows if row["event"] == "initialize")
    assert set(report["by_word"]) == by_word
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    old, new = ((tmp_path / run / "model-last" / "vocab.txt").read_text().splitlines() for run in ("first", "second"))
    shared = set(old) & set(new)
    assert 10 < len(shared) < len(new) - 5
    for name in (name for name in by_word if "clusters" not in name):
        assert all(torch.equal(after[name][new.index(word)], before[name][old.index(word)]) for word in shared)
    name = "body.layers.0.hidden_weight"
    assert torch.equal(before[name], after[name])
