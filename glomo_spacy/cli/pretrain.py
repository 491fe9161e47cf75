"""`glomo-spacy pretrain`: train a model on a prepared corpus, as a config says."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import typer

from ._app import Arg, Opt


def pretrain_cli(
    # fmt: off
    ctx: typer.Context,
    config_path: Path = Arg(
        ..., metavar="CONFIG", help="Config file, see configs/pretrain_*.cfg", exists=True, dir_okay=False
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Directory of the run; default: paths.output"),
    resume: bool = Opt(False, "--resume", help="Go on from the newest training state in the output directory"),
    init_from: Optional[Path] = Opt(None, "--init-from", help="Checkpoint directory whose weights are the start"),
    exclude: List[str] = Opt(
        [], "--exclude", help="Pattern of weights that --init-from leaves alone, or 'optimizer'; may be repeated"
    ),
    gpu_id: Optional[int] = Opt(None, "--gpu-id", "-g", help="GPU to use, -1 for the CPU; default: system.device"),
    # fmt: on
) -> None:
    """Pretrain a model on a corpus written by `prepare`.

    Settings are overridden as in spaCy: --section.name VALUE, e.g. --paths.corpus corpus --pretraining.max_steps 1000.
    """
    pretrain(
        config_path,
        overrides=ctx.args,
        output=output,
        resume=resume,
        init_from=init_from,
        exclude=exclude,
        gpu_id=gpu_id,
    )


def pretrain(
    config_path: Path,
    *,
    overrides: Sequence[str] = (),
    output: Optional[Path] = None,
    resume: bool = False,
    init_from: Optional[Path] = None,
    exclude: Sequence[str] = (),
    gpu_id: Optional[int] = None,
) -> Dict[str, Any]:
    """Train and show a table on the terminal. Arguments and result as `training.command.pretrain_config`."""
    import sys

    from ..training.command import pretrain_config

    return pretrain_config(
        config_path,
        overrides=overrides,
        output=output,
        resume=resume,
        init_from=init_from,
        exclude=exclude,
        gpu_id=gpu_id,
        stream=sys.stdout,
    )
