"""spaCy's `spacy_cli` entry point: importing this module makes the commands available as `python -m spacy glomo …`."""

from spacy.cli._util import app as spacy_app

from ._app import HELP
from ._app import app as glomo_cli

spacy_app.add_typer(glomo_cli, name="glomo", help=HELP, no_args_is_help=True)

__all__ = ["glomo_cli"]
