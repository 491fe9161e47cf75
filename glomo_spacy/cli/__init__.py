"""Commands, one file each. `_app.py` lists them."""

from ._app import NAME, app, clear_errors

__all__ = ["app", "clear_errors", "main"]


def main() -> None:
    """Run `glomo-spacy …`."""
    app(prog_name=NAME)
