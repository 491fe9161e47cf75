"""The story of a run for meta.json: which text, which settings, which machine, how far, how good."""

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Mapping

import torch

from .budget import Progress
from .devices import Fabric, fabric_version
from .objectives import Objective


def describe_run(
    config: Mapping[str, Any],
    *,
    objective: Objective,
    progress: Progress,
    fabric: Fabric,
    measures: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> Dict[str, Any]:
    """What a checkpoint says about its origin.

    config (Mapping[str, Any]): The whole config.
    objective (Objective): Knows the text.
    progress (Progress): Tokens seen, steps, seconds.
    fabric (Fabric): Knows the machine.
    measures (Mapping[str, Any]): Of the evaluation it was written after.
    origin (Mapping[str, Any]): Of the checkpoint it went on from; empty if there was none.
    RETURNS (Dict[str, Any]): `provenance`, `training`, `metrics`.
    """
    return {
        "provenance": {"text": objective.provenance, "corpus": objective.corpus_record},
        "training": {
            **asdict(progress),
            **describe_machine(fabric),
            "seed": config["system"]["seed"],
            "precision": config["system"]["precision"],
            "config": {name: config[name] for name in ("corpora", "pretraining")},
            **({"initialized_from": dict(origin)} if origin else {}),
        },
        "metrics": dict(measures),
    }


def describe_machine(fabric: Fabric) -> Dict[str, Any]:
    """Device, processes and versions, for meta.json."""
    device = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else _processor()
    return {
        "hardware": f"{fabric.world_size} x {device}",
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning_fabric": fabric_version,
        },
    }


def _processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
