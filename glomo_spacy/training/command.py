"""Pretraining from a config file and command-line overrides: what both commands, with and without spaCy, call."""

import shlex
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, TextIO, Union

from .config import load_config, parse_overrides
from .loop import pretrain


def pretrain_config(
    config_path: Union[str, Path],
    *,
    overrides: Sequence[str] = (),
    output: Optional[Union[str, Path]] = None,
    resume: bool = False,
    init_from: Optional[Union[str, Path]] = None,
    exclude: Sequence[str] = (),
    gpu_id: Optional[int] = None,
    stream: Optional[TextIO] = None,
) -> Dict[str, Any]:
    """Train as a config file says.

    config_path (Union[str, Path]): The config.
    overrides (Sequence[str]): E.g. ["--paths.corpus", "corpus"]; they go before the file.
    gpu_id (Optional[int]): GPU to use, -1 for the CPU; None: `system.device`.
    output, resume, init_from, exclude, stream: As for `pretrain`.
    RETURNS (Dict[str, Any]): As `pretrain`.
    RAISES: As `pretrain`, `load_config` and `parse_overrides`.
    """
    values = parse_overrides(overrides)
    if gpu_id is not None:
        values["system.device"] = "cpu" if gpu_id < 0 else f"gpu:{gpu_id}"
    options = [] if output is None else ["--output", str(output)]
    options += [] if gpu_id is None else ["--gpu-id", str(gpu_id)]
    return pretrain(
        load_config(config_path, overrides=values),
        output=output,
        resume=resume,
        init_from=init_from,
        exclude=exclude,
        stream=stream,
        resume_hint=shlex.join(["glomo-spacy", "pretrain", str(config_path), *options, *overrides, "--resume"]),
    )
