"""Training state: whole or absent, without pickles, and a killed run continues to the same weights."""

import io
import json
import random
import signal
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training.processes import train_until_killed

from glomo_spacy.training import resume
from glomo_spacy.training.glomo import GlomoLoss, GlomoObjective
from glomo_spacy.training.interrupt import stop_on_signal
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.resume import list_states, load_state, random_state, save_state, set_random_state


def test_values_come_back_with_their_types(tmp_path):
    values = {
        "tuple": (1, (2.5, None)),
        "array": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "tensor": torch.tensor([1, 255], dtype=torch.uint8),
        "sum": torch.tensor(0.1, dtype=torch.float64),
        "number": np.float64(0.1),
        "large": 2**100,
        "list": [True, "x"],
    }
    tensors = {"weight": torch.randn(3, 2), "step": torch.tensor(4.0)}
    found_tensors, found = load_state(save_state(tmp_path, step=3, tensors=tensors, values=values))
    assert all(torch.equal(found_tensors[name], tensors[name]) for name in tensors)
    assert found["tuple"] == values["tuple"]
    np.testing.assert_array_equal(found["array"], values["array"])
    assert found["array"].dtype == np.uint32
    assert torch.equal(found["tensor"], values["tensor"])
    assert torch.equal(found["sum"], values["sum"])
    assert (found["number"], found["large"], found["list"]) == (0.1, 2**100, [True, "x"])


def test_random_generators_continue_where_they_were():
    state = random_state(torch.device("cpu"))
    first = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    set_random_state(state, torch.device("cpu"))
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == first


def test_the_last_two_states_are_kept_and_a_half_written_one_is_not_seen(tmp_path, monkeypatch):
    for step in (5, 10, 20):
        save_state(tmp_path, step=step, tensors={"x": torch.zeros(1)}, values={})
    assert [folder.name for folder in list_states(tmp_path)] == ["step-000000010", "step-000000020"]

    def fail(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "save_file", fail)
    with pytest.raises(OSError, match=r"\[G900\].*No space left"):
        save_state(tmp_path, step=30, tensors={"x": torch.zeros(1)}, values={})
    kept = sorted(folder.name for folder in (tmp_path / "training").iterdir())
    assert kept == ["step-000000010", "step-000000020"]


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("state.safetensors", b"\x05\x00", "cannot be read as training state"),
        ("state.json", b"{", "cannot be read as training state"),
        ("state.json", b'{"format_version": 9}', "format 9, expected 1"),
    ],
)
def test_a_damaged_state_is_named(name, content, reason, tmp_path):
    folder = save_state(tmp_path, step=1, tensors={"x": torch.zeros(1)}, values={})
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"\[G301\].*{reason}"):
        load_state(folder)


def test_training_never_unpickles(tiny, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    pretrain(tiny(pretraining__max_steps=3))
    pretrain(tiny(), resume=True)
    assert {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()} == {
        ".cfg", ".json", ".jsonl", ".lock", ".safetensors", ".txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"pretraining__average_decay": 0.9, "pretraining__accumulate": 2},
        {"model__dropout": 0.2, "pretraining__objective__n_negatives": None},
    ],
    ids=["plain", "averaged and accumulated", "with dropout"],
)
def test_a_resumed_run_ends_with_the_same_weights_and_log(overrides, tiny, tmp_path):
    shape = {"pretraining__evaluate_every": 4, "pretraining__log_every": 3, **overrides}
    schedule = {"pretraining__schedule": {"name": "linear", "warmup": 0.0, "hold": 1.0, "floor": 0.0}}
    whole = pretrain(tiny(pretraining__max_steps=12, **shape, **schedule), output=tmp_path / "whole")
    pretrain(tiny(pretraining__max_steps=4, **shape, **schedule), output=tmp_path / "parts")
    parts = pretrain(tiny(pretraining__max_steps=12, **shape, **schedule), output=tmp_path / "parts", resume=True)
    for name in ("model-last", "model-best"):
        assert_same_weights(tmp_path / "whole" / name, tmp_path / "parts" / name)
    for key in ("loss", "train_loss", "best_loss", "best_step", "tokens", "epoch"):
        assert parts[key] == whole[key], key
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


@pytest.mark.parametrize("starts", [{}, {"*.graph.*": 0.7}], ids=["all learn", "graphs begin after the seam"])
def test_a_killed_run_resumes_to_the_same_weights_bit_for_bit(starts, tiny, tmp_path):
    steps = {"pretraining__max_steps": 28, "pretraining__evaluate_every": 8, "pretraining__log_every": 4}
    config = tiny(**steps, pretraining__optimizer__starts=starts)
    pretrain(config, output=tmp_path / "whole")
    train_until_killed(config, tmp_path / "killed", step=21)
    assert [state.name for state in list_states(tmp_path / "killed")] == ["step-000000008", "step-000000016"]
    result = pretrain(config, output=tmp_path / "killed", resume=True)
    assert result["step"] == 28
    for name in ("model-last", "model-best"):
        assert_same_weights(tmp_path / "whole" / name, tmp_path / "killed" / name)
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


def test_states_between_evaluations_are_gone_on_from_bit_for_bit(tiny, tmp_path):
    shape = {"pretraining__max_steps": 14, "pretraining__evaluate_every": 6, "pretraining__log_every": 4}
    pretrain(tiny(**shape), output=tmp_path / "whole")
    config = tiny(pretraining__save_every=5, **shape)
    train_until_killed(config, tmp_path / "killed", step=12)
    assert [state.name for state in list_states(tmp_path / "killed")] == ["step-000000006", "step-000000010"]
    result = pretrain(config, output=tmp_path / "killed", resume=True)
    assert result["step"] == 14
    assert_same_weights(tmp_path / "whole/model-last", tmp_path / "killed/model-last")
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


def test_a_run_that_came_apart_is_not_saved_between_evaluations(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(GlomoObjective, "worst_loss", 0.1)
    with pytest.raises(RuntimeError, match=r"\[G307\]"):
        pretrain(tiny(pretraining__save_every=1, pretraining__log_every=100, pretraining__evaluate_every=100))
    assert list_states(tmp_path / "run") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_saves_says_how_to_go_on_and_continues_exactly(number, tiny, tmp_path, monkeypatch):
    config = tiny(pretraining__max_steps=9)
    pretrain(config, output=tmp_path / "whole")
    original = GlomoLoss.forward
    calls = []

    def interrupt(self, *batch):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(number)
        return original(self, *batch)

    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(GlomoLoss, "forward", interrupt)
        stopped = pretrain(config, stream=stream, resume_hint="glomo-spacy pretrain run.cfg --resume")
    assert (stopped["step"], stopped["is_finished"]) == (5, False)  # the step in hand is finished
    assert "Stopped at step 5. Continue with: glomo-spacy pretrain run.cfg --resume" in stream.getvalue()
    pretrain(config, resume=True)
    assert_same_weights(tmp_path / "whole/model-last", tmp_path / "run/model-last")
    assert losses(tmp_path / "whole") == losses(tmp_path / "run")


def test_a_stopped_run_is_judged_by_its_mean_loss_not_by_the_sum(tiny, tmp_path, monkeypatch):
    original = GlomoLoss.forward
    calls = []

    def interrupt(self, *batch):
        calls.append(1)
        if len(calls) == 20:
            signal.raise_signal(signal.SIGTERM)
        return original(self, *batch)

    monkeypatch.setattr(GlomoLoss, "forward", interrupt)
    monkeypatch.setattr(GlomoObjective, "worst_loss", 20.0)  # each batch has less than 5
    stopped = pretrain(tiny(pretraining__max_steps=30, pretraining__log_every=100, pretraining__evaluate_every=100))
    assert stopped["step"] == 20
    assert [state.name for state in list_states(tmp_path / "run")] == ["step-000000020"]


def test_a_second_interrupt_ends_the_program_at_once():
    before = signal.getsignal(signal.SIGINT)  # a program started in the background ignores it
    with stop_on_signal() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_outside_the_main_thread_hears_no_signals():
    requests = []

    def run():
        with stop_on_signal() as stop:
            requests.append(stop.is_set)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert requests == [False]


def test_a_run_is_never_started_over_by_accident(tiny):
    pretrain(tiny(pretraining__max_steps=2))
    with pytest.raises(ValueError, match=r"\[G308\].*already holds a run \(step 2\). Continue it with --resume"):
        pretrain(tiny())


def test_there_must_be_something_to_resume(tiny):
    with pytest.raises(ValueError, match=r"\[G309\] There is no training state in .*run to resume"):
        pretrain(tiny(), resume=True)


@pytest.mark.parametrize(
    "name, value",
    [("model.width", 32), ("system.seed", 2), ("corpora.bptt", 24), ("pretraining.objective.n_positions", 3)],
)
def test_a_run_cannot_be_resumed_with_settings_that_change_what_it_learns(name, value, tiny):
    pretrain(tiny(pretraining__max_steps=2))
    with pytest.raises(ValueError, match=rf"\[G310\].*{name} was .* and is {value}"):
        pretrain(tiny(**{name.replace(".", "__"): value}), resume=True)


def test_a_run_cannot_be_resumed_by_another_number_of_processes(tiny, tmp_path):
    pretrain(tiny(pretraining__max_steps=2))
    path = list_states(tmp_path / "run")[0] / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "ranks": state["ranks"] * 2}))
    with pytest.raises(ValueError, match=r"\[G311\].*written by 2 processes, but this run has 1"):
        pretrain(tiny(), resume=True)


def assert_same_weights(first, second):
    left, right = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert different == []


def losses(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(row["event"], row["step"], row["loss"]) for row in rows if "loss" in row]
