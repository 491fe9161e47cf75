"""Several processes give what one gives on the joined batch."""

import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from glomo_spacy.training.loop import pretrain

# The published recipe at an eighth of its rate: at 8 a model as small as this multiplies rounding errors.
PUBLISHED = {
    "model__scale_grad_by_freq": True,
    "pretraining__clip": 0.25,
    "pretraining__optimizer": {
        "name": "sgd",
        "learn_rate": 1.0,
        "momentum": 0.2,
        "weight_decay": 0.0,
        "multipliers": {},
    },
    "pretraining__schedule": {"name": "patience", "warmup": 0.0, "patience": 3, "decay": 2.0, "stop_below": 0.01},
}


@pytest.mark.slow
def test_two_processes_equal_one_with_the_joined_batch(tiny, tmp_path):
    config = tiny(pretraining__max_steps=6, pretraining__evaluate_every=3, pretraining__log_every=3, **PUBLISHED)
    config.to_disk(tmp_path / "run.cfg")
    one = pretrain(config, output=tmp_path / "one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    command += ["--master_port", str(port), "-m", "glomo_spacy.training", str(tmp_path / "run.cfg")]
    done = subprocess.run([*command, "--output", str(tmp_path / "two")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("model-last", "model-best"):
        single = load_file(tmp_path / "one" / name / "model.safetensors")
        double = load_file(tmp_path / "two" / name / "model.safetensors")
        for key, tensor in single.items():
            torch.testing.assert_close(
                double[key], tensor, atol=1e-5, rtol=0, msg=lambda text, key=key: f"{key}: {text}"
            )
    assert len(done.stdout.splitlines()) >= 3  # one header, one row per evaluation, from one process
    assert done.stdout.count("held-out") == 1
    assert f"{one['loss']:.4f}" in done.stdout
