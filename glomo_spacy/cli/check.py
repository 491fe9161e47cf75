"""`glomo-spacy check`: everything that is wrong with a training config, before time is spent on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

import typer

from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from spacy.language import Language

    from ..pipeline.checks import Finding


def check_cli(
    ctx: typer.Context,
    config_path: Path = Arg(
        ..., metavar="CONFIG", help="Config file for spacy train or glomo-spacy ablate", exists=True, dir_okay=False
    ),
    code: Optional[Path] = Opt(
        None, "--code", "-c", help="Python file with registered functions of your own", exists=True, dir_okay=False
    ),
) -> None:
    """Look for mistakes in a training config: each with the lines to add. Exits with 1 if it cannot work as it stands.

    Encoders that overwrite each other's vectors, frozen ones that do not annotate, widths that differ, sentence
    boundaries that are missing in training, weights that are missing or would be passed over. Nothing is trained, and
    corpora need not exist. Settings are overridden as in spaCy: --paths.train corpus/train.spacy.
    """
    from ..training.config import parse_overrides

    findings = check(config_path, overrides=parse_overrides(ctx.args), code=code)
    for finding in findings:
        mark, colour = ("✘", "red") if finding.is_error else ("⚠", "yellow")
        text = finding.message.replace("\n", "\n  ").replace("\n  \n", "\n\n")
        typer.secho(f"{mark} {text}\n", fg=colour)
    if any(finding.is_error for finding in findings):
        raise typer.Exit(1)
    if not findings:
        typer.secho("✔ No mistake found.", fg="green")


def check(
    config_path: Path, *, overrides: Optional[Dict[str, Any]] = None, code: Optional[Path] = None
) -> List["Finding"]:
    """Build the pipeline of a config and look for mistakes in both.

    config_path (Path): A training config of spaCy.
    overrides (Optional[Dict[str, Any]]): Settings by dotted name.
    code (Optional[Path]): Python file with the user's own registered functions.
    RETURNS (List[Finding]): Of `pipeline.checks.find_mistakes`, and what keeps the pipeline from being built.
    """
    from spacy.util import import_file, load_config, load_model_from_config

    from ..pipeline.checks import Finding, find_mistakes

    if code is not None:
        import_file("python_code", code)
    try:
        config = load_config(config_path, overrides=overrides or {})
        nlp = load_model_from_config(config, auto_fill=True)
    except (ValueError, KeyError, ImportError) as error:  # those of spaCy's configs and registries are ValueErrors
        return [Finding(_as_message(config_path, error))]
    unready = [Finding(_as_message(config_path, error)) for error in _make_ready(nlp)]
    return [*unready, *find_mistakes(nlp, reads_config=True)]


def _make_ready(nlp: "Language") -> Iterator[Exception]:
    """Give the pipeline its word vectors, and thereby widths that depend on them; whatever goes wrong is passed on."""
    from spacy.tokens import Doc
    from spacy.training.initialize import load_vectors_into_model
    from thinc.api import Model

    vectors = nlp.config.interpolate()["initialize"]["vectors"]
    try:
        if vectors is not None:
            load_vectors_into_model(nlp, vectors)
    except (OSError, ValueError) as error:
        yield error
        return
    doc = Doc(nlp.vocab, words=["a"])
    for _, component in nlp.components:
        model = getattr(component, "model", None)
        for node in list(model.walk()) if isinstance(model, Model) else ():
            if node.name == "word_vectors":
                try:
                    node.initialize(X=[doc])
                except ValueError as error:
                    yield error


def _as_message(config_path: Path, error: Exception) -> str:
    """Ours as it is; any other says which config it comes from."""
    text = str(error).strip()
    return text if text.startswith("[G") else Errors.G144.format(path=config_path, reason=text)
