"""The loop: it learns, keeps its budget, and what goes wrong ends in one clear line with good checkpoints left."""

import io
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from glomo_spacy.models import load_checkpoint, read_checkpoint
from glomo_spacy.training.glomo import GlomoLoss, GlomoObjective
from glomo_spacy.training.loop import pretrain


def rows(run, event):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_a_run_learns_and_leaves_a_checkpoint_that_loads(tiny, tmp_path):
    result = pretrain(
        tiny(
            pretraining__max_steps=60,
            pretraining__evaluate_every=30,
            pretraining__optimizer__learn_rate=0.05,
            pretraining__objective__n_negatives=None,
            corpora__provenance="made up, CC0",
        )
    )
    evaluations = rows(tmp_path / "run", "evaluation")
    assert [row["step"] for row in evaluations] == [30, 60]
    # Knowing nothing costs log 60 = 4.09 per word; the best is log 2 for the next word, more for later ones.
    assert evaluations[1]["loss"] < evaluations[0]["loss"] < 4.0
    assert evaluations[1]["loss"] < 3.2
    checkpoint = read_checkpoint(tmp_path / "run" / "model-best")
    assert checkpoint.meta["metrics"]["loss"] == result["best_loss"]
    assert checkpoint.meta["provenance"]["text"] == "made up, CC0"
    training = checkpoint.meta["training"]
    assert (training["seed"], training["tokens"]) == (1, result["tokens"])
    assert {"hardware", "versions", "precision"} <= training.keys()
    model = load_checkpoint(tmp_path / "run" / "model-best")
    assert not model.training
    assert model.graphs(torch.zeros(1, 5, dtype=torch.long)).shape == (1, 2, 4, 5, 5)


@pytest.mark.parametrize(
    "limit, reached",
    [
        ({"max_steps": 5}, lambda result: result["step"] == 5),
        ({"max_tokens": 500}, lambda result: 500 <= result["tokens"] < 500 + 4 * 32),
        ({"max_epochs": 0.5}, lambda result: 0.5 <= result["epoch"] < 1),
        ({"max_seconds": 0.3}, lambda result: 0.3 <= result["seconds"] < 3),
        ({"max_steps": 5, "max_tokens": 10**9}, lambda result: result["step"] == 5),
    ],
    ids=["steps", "tokens", "epochs", "seconds", "steps before tokens"],
)
def test_a_run_ends_when_the_first_limit_is_reached_with_an_evaluation(limit, reached, tiny):
    overrides = {"pretraining__max_steps": None} | {f"pretraining__{name}": value for name, value in limit.items()}
    result = pretrain(tiny(pretraining__evaluate_every=10_000, **overrides))
    assert result["is_finished"]
    assert reached(result), result
    assert math.isfinite(result["loss"])


def test_patience_ends_a_run(tiny, tmp_path):
    patience = {"name": "patience", "warmup": 0.0, "patience": 1, "decay": 1000.0, "stop_below": 0.01}
    result = pretrain(
        tiny(
            pretraining__max_steps=1000,
            pretraining__evaluate_every=1,
            pretraining__schedule=patience,
            pretraining__optimizer={
                "name": "sgd",
                "learn_rate": 1e-30,
                "momentum": 0.0,
                "weight_decay": 0.0,
                "multipliers": {},
            },
        )
    )
    # Weights stand still; batch statistics move, so the second evaluation may still be a best.
    assert result["step"] < 1000
    assert rows(tmp_path / "run", "evaluation")[-1]["best_step"] < result["step"]


def test_two_accumulated_batches_give_the_mean_gradient(tiny, tmp_path, monkeypatch):
    seen = []
    original = GlomoLoss.forward

    def record(self, *batch):
        seen.append(batch)
        return original(self, *batch)

    monkeypatch.setattr(GlomoLoss, "forward", record)
    sgd = {"name": "sgd", "learn_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "multipliers": {}}
    constant = {"name": "constant", "warmup": 0.0}
    config = tiny(
        pretraining__max_steps=1, pretraining__accumulate=2, pretraining__clip=None,
        pretraining__optimizer=sgd, pretraining__schedule=constant,
    )  # fmt: skip
    pretrain(config)
    batches = seen[:2]
    torch.manual_seed(1)
    objective = GlomoObjective(config, seed=1)
    loss = sum(original(objective.loss, *batch) for batch in batches) / 2
    loss.backward()
    trained = load_file(tmp_path / "run/model-last/model.safetensors")
    for name, parameter in objective.model.named_parameters():
        torch.testing.assert_close(trained[name], parameter.detach() - parameter.grad, atol=1e-6, rtol=1e-5)


def test_the_gradient_norm_is_clipped(tiny, tmp_path):
    sgd = {"name": "sgd", "learn_rate": 1.0, "momentum": 0.0, "weight_decay": 0.0, "multipliers": {}}
    config = tiny(
        pretraining__max_steps=1, pretraining__clip=1e-3, pretraining__log_every=1,
        pretraining__optimizer=sgd, pretraining__schedule={"name": "constant", "warmup": 0.0},
    )  # fmt: skip
    pretrain(config)
    torch.manual_seed(1)
    start = dict(GlomoObjective(config, seed=1).model.named_parameters())
    trained = load_file(tmp_path / "run/model-last/model.safetensors")
    moved = torch.cat([(trained[name] - start[name].detach()).flatten() for name in start]).norm()
    assert rows(tmp_path / "run", "train")[0]["gradient_norm"] > 1e-2
    assert float(moved) == pytest.approx(1e-3, rel=0.02)


def test_the_average_is_what_is_evaluated_and_kept(tiny, tmp_path):
    fast = {"name": "constant", "warmup": 0.0}
    pretrain(tiny(pretraining__max_steps=3, pretraining__average_decay=0.999999, pretraining__schedule=fast))
    torch.manual_seed(1)
    start = GlomoObjective(tiny(), seed=1).model.embedding.weight.detach()
    kept = load_file(tmp_path / "run/model-last/model.safetensors")["embedding.weight"]
    state = load_file(next((tmp_path / "run/training").iterdir()) / "state.safetensors")
    torch.testing.assert_close(kept, start, atol=1e-6, rtol=0)
    assert float((state["model/embedding.weight"] - start).abs().max()) > 1e-3
    assert torch.equal(state["average/embedding.weight"], kept)


def test_bfloat16_trains_and_keeps_float32_weights(tiny, tmp_path):
    result = pretrain(tiny(system__precision="bf16-mixed"))
    assert math.isfinite(result["loss"])
    assert {tensor.dtype for tensor in load_file(tmp_path / "run/model-last/model.safetensors").values()} == {
        torch.float32
    }


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tiny, tmp_path, monkeypatch):
    original = GlomoLoss.forward
    calls = []

    def break_down(self, *batch):
        calls.append(1)
        return original(self, *batch) * (math.nan if len(calls) > 4 else 1.0)

    monkeypatch.setattr(GlomoLoss, "forward", break_down)
    with pytest.raises(RuntimeError, match=r"\[G307\] The loss is nan at step 6.*lower\s+learn_rate"):
        pretrain(tiny(pretraining__max_steps=20))
    for name in ("model-best", "model-last"):
        weights = load_file(tmp_path / "run" / name / "model.safetensors")
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())
    monkeypatch.setattr(GlomoLoss, "forward", original)
    assert pretrain(tiny(pretraining__max_steps=20), resume=True)["step"] == 20


def test_the_table_has_one_row_per_evaluation(tiny):
    stream = io.StringIO()
    pretrain(tiny(), stream=stream)
    lines = [line for line in stream.getvalue().splitlines() if not line.startswith("[G320]")]
    assert len(lines) == 3
    assert lines[1].endswith("best")


@pytest.mark.parametrize("name", ["corpus", "output"])
def test_a_path_that_is_not_set_is_named(name, tiny):
    with pytest.raises(ValueError, match=rf"\[G147\] paths.{name} is not set"):
        pretrain(tiny(**{f"paths__{name}": None}))


def test_a_corpus_that_is_not_there_is_named(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\[G903\].*nowhere is not a prepared corpus"):
        pretrain(tiny(paths__corpus=str(tmp_path / "nowhere")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device, precision", [("gpu:99", "32-true"), ("tpu", "32-true")])
def test_a_device_that_is_not_there_is_named(device, precision, tiny):
    with pytest.raises(ValueError, match=rf"\[G314\] device '{device}' is not available"):
        pretrain(tiny(system__device=device, system__precision=precision))


def test_an_unknown_precision_lists_the_known_ones(tiny):
    with pytest.raises(ValueError, match=r"\[G100\] system.precision = '8'.*32-true, bf16-mixed"):
        pretrain(tiny(system__precision="8"))


def test_an_unknown_objective_lists_the_known_ones(tiny):
    with pytest.raises(ValueError, match=r"\[G100\] pretraining.objective.name = 'bert'.*glomo"):
        pretrain(tiny(pretraining__objective__name="bert"))


@pytest.mark.parametrize("share, has_moved", [(0.5, True), (1.0, False)])
def test_what_starts_later_stays_as_it_began_until_then(share, has_moved, tiny, tmp_path):
    weights = {}
    for name, rate in (("first", 0.0), ("last", 0.01)):
        optimizer = {"pretraining__optimizer__learn_rate": rate, "pretraining__optimizer__starts": {"*.graph.*": share}}
        pretrain(tiny(pretraining__max_steps=4, **optimizer), output=tmp_path / name)
        weights[name] = load_file(tmp_path / name / "model-last" / "model.safetensors")
    changed = {name for name, value in weights["last"].items() if not torch.equal(value, weights["first"][name])}
    assert "embedding.weight" in changed
    assert any(".decoder." in name for name in changed)
    assert any(".graph.keys." in name for name in changed) == has_moved
