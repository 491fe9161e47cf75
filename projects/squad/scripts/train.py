"""`glomo-spacy pretrain`, which goes on if the run was stopped before.

    python scripts/train.py ../../configs/squad_reader_sm.cfg training/sm/glove --paths.corpus corpus/trained

Further options override the config, as for `pretrain`.
"""

from pathlib import Path

import typer

from glomo_spacy.cli import clear_errors
from glomo_spacy.cli.pretrain import pretrain
from glomo_spacy.training.resume import list_states

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def main(
    context: typer.Context,
    config: Path = typer.Argument(..., help="Config of the run", exists=True, dir_okay=False),
    output: Path = typer.Argument(..., help="Directory of the run"),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
) -> None:
    """Start, or go on from the newest training state."""
    is_begun = bool(list_states(output))
    pretrain(config, output=output, resume=is_begun, gpu_id=gpu_id, overrides=context.args)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings=CONTEXT, help=__doc__)(main)
    with clear_errors():
        app()
