"""Commands, one file each. `_app.py` lists them."""

from ._app import NAME, app

__all__ = ["app", "main"]


def main() -> None:
    """Run `glomo-spacy …`."""
    app(prog_name=NAME)
