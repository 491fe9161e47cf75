"""The command-line app: one table of commands, each loaded when it is run.

The same app answers as `glomo-spacy …` and, through `_spacy.py`, as `python -m spacy glomo …`. It is imported before
every spaCy command, so nothing here imports spaCy, Thinc, torch or a command's module before that command is asked for.
"""

from contextlib import contextmanager
from importlib import import_module
from typing import Any, Iterator, List, Sequence

import typer
from typer.core import TyperGroup

Arg = typer.Argument
Opt = typer.Option

NAME = "glomo-spacy"
HELP = """Relational graphs and language-model features, learned from raw text, for spaCy pipelines."""

# Command name -> where its function is; in the order in which they are used.
COMMANDS = {
    "demo": "glomo_spacy.cli.demo:demo_cli",
    "visualize": "glomo_spacy.cli.visualize:visualize_cli",
    "prepare": "glomo_spacy.cli.prepare:prepare_cli",
    "pretrain": "glomo_spacy.cli.pretrain:pretrain_cli",
    "evaluate-lm": "glomo_spacy.cli.evaluate_lm:evaluate_lm_cli",
    "evaluate-qa": "glomo_spacy.cli.evaluate_qa:evaluate_qa_cli",
    "similar": "glomo_spacy.cli.similar:similar_cli",
    "map": "glomo_spacy.cli.map:map_cli",
    "surprisal": "glomo_spacy.cli.surprisal:surprisal_cli",
    "ask": "glomo_spacy.cli.ask:ask_cli",
    "extract": "glomo_spacy.cli.extract:extract_cli",
    "check": "glomo_spacy.cli.check:check_cli",
    "ablate": "glomo_spacy.cli.ablate:ablate_cli",
    "convert": "glomo_spacy.cli.convert:convert_cli",
    "info": "glomo_spacy.cli.info:info_cli",
    "verify": "glomo_spacy.cli.verify:verify_cli",
}

# These take config overrides such as `--pretraining.seed 1`: their function finds the unparsed rest in `ctx.args`.
WITH_OVERRIDES = frozenset({"pretrain", "check", "ablate"})


def as_typed(names: Sequence[str]) -> str:
    """Arguments of a function as the options that people type."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


class LazyGroup(TyperGroup):
    """A group of commands that imports a command's module when that command, or the list of all, is asked for."""

    def list_commands(self, ctx: Any) -> List[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load_command(cmd_name)
        return self.commands.get(cmd_name)


def _load_command(name: str) -> Any:
    """Import a command's function and make it a Typer command."""
    module_name, _, function_name = COMMANDS[name].partition(":")
    function = getattr(import_module(module_name), function_name)
    overrides = {"allow_extra_args": True, "ignore_unknown_options": True} if name in WITH_OVERRIDES else None
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, context_settings=overrides)(clear_errors()(function))
    return typer.main.get_command(single)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Show an error of ours (its text starts with a code, `[G…]`) as one line and exit with 1.

    Any other exception is a defect and keeps its traceback. For scripts, too: `with clear_errors(): typer.run(main)`.
    """
    try:
        yield
    except Exception as error:
        if not str(error).startswith("[G"):
            raise
        typer.secho(f"✘ {error}", fg="red", err=True)
        raise SystemExit(1) from error


app = typer.Typer(
    name=NAME, help=HELP, cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Make the app a group although its commands are registered by name only."""
