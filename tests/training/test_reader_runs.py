"""Runs of the reader's objective: stopped, killed, shared between processes, and the best by F1."""

import json

import pytest
import torch
from safetensors.torch import load_file
from training.processes import train_in_two_processes, train_until_killed

from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.reader import ReaderObjective
from glomo_spacy.training.resume import list_states

ADADELTA = {
    "pretraining__optimizer": {
        "name": "adadelta", "learn_rate": 0.5, "weight_decay": 0.0, "multipliers": {}, "rho": 0.95, "eps": 1e-6,
    },
    "pretraining__schedule": {"name": "patience", "warmup": 0.0, "patience": 1, "decay": 2.0, "stop_below": 0.01},
}  # fmt: skip


def assert_same(first, second):
    for name in ("model-last", "model-best"):
        left, right = (load_file(run / name / "model.safetensors") for run in (first, second))
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
    assert rows(first) == rows(second)


def rows(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["event"], line["step"], line["loss"], line.get("f1")) for line in lines if "loss" in line]


@pytest.mark.parametrize("kind", ["published recipe", "averaged, with graphs and biLM", "TRNN in bfloat16"])
def test_a_resumed_run_ends_with_the_same_weights_and_log(
    kind, tiny_reader, tmp_path, graph_checkpoint, elmo_checkpoint
):
    frozen = {"model__graph_source": graph_checkpoint, "model__elmo_source": elmo_checkpoint}
    options = {
        "published recipe": ADADELTA,
        "averaged, with graphs and biLM": {"model__graph": "inputs", "pretraining__average_decay": 0.9, **frozen},
        "TRNN in bfloat16": {"model__graph": "states", "system__precision": "bf16-mixed", **frozen},
    }[kind]
    shape = {"corpora__train_fraction": 0.5, "pretraining__evaluate_every": 2, "pretraining__log_every": 1, **options}
    shape["pretraining__evaluation__max_questions"] = 12
    pretrain(tiny_reader(pretraining__max_steps=5, **shape), output=tmp_path / "whole")
    pretrain(tiny_reader(pretraining__max_steps=2, **shape), output=tmp_path / "parts")
    pretrain(tiny_reader(pretraining__max_steps=5, **shape), output=tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(tiny_reader, tmp_path):
    config = tiny_reader(pretraining__max_steps=8, pretraining__evaluate_every=2, pretraining__log_every=2)
    pretrain(config, output=tmp_path / "whole")
    train_until_killed(config, tmp_path / "killed", step=6)
    assert [state.name for state in list_states(tmp_path / "killed")] == ["step-000000002", "step-000000004"]
    pretrain(config, output=tmp_path / "killed", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_equal_one_with_the_joined_batch(tiny_reader, tmp_path, graph_checkpoint):
    rates = dict.fromkeys(("model__dropout", "model__input_dropout", "model__pointer_dropout"), 0.0)
    config = tiny_reader(model__graph="inputs", model__graph_source=graph_checkpoint, **rates, **ADADELTA)
    one = pretrain(config, output=tmp_path / "one")
    train_in_two_processes(config, tmp_path / "two")
    single, double = (load_file(tmp_path / name / "model-last" / "model.safetensors") for name in ("one", "two"))
    for key, tensor in single.items():
        torch.testing.assert_close(double[key], tensor, atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}")
    two = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()][-1]
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
    assert (two["n_questions"], two["f1"], two["exact_match"]) == (one["n_questions"], one["f1"], one["exact_match"])


def test_the_best_model_has_the_highest_f1_whatever_its_loss(tiny_reader, tmp_path, monkeypatch):
    figures = iter([(3.0, 40.0), (5.0, 60.0), (1.0, 50.0)])

    def measured(self, device):
        loss, f1 = next(figures)
        return {"loss": loss, "exact_match": 0.0, "f1": f1, "n_questions": 48}

    monkeypatch.setattr(ReaderObjective, "evaluate", measured)
    stream = []
    result = pretrain(
        tiny_reader(pretraining__max_steps=6, pretraining__evaluate_every=2),
        stream=type("Stream", (), {"write": stream.append, "flush": lambda _: None, "isatty": lambda _: False})(),
    )
    assert (result["best_step"], result["best_score"], result["best_loss"]) == (4, 60.0, 5.0)
    meta = json.loads((tmp_path / "run" / "model-best" / "meta.json").read_text())
    assert meta["metrics"]["f1"] == 60.0
    assert [line.split()[5] for line in stream] == ["f1", "40.0", "60.0", "50.0"]
