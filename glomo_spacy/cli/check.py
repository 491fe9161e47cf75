"""`glomo-spacy check`: everything that is wrong with a training config, before time is spent on it."""

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Tuple

import typer

from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from spacy.language import Language
    from thinc.api import Config

    from ..pipeline.checks import Finding

_OF_SPACY = ("paths", "system", "nlp", "components", "corpora", "training", "initialize", "pretraining")


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
    corpora need not exist. With an [ablation] section every feature is looked at. Settings are overridden as in spaCy:
    --paths.train corpus/train.spacy.
    """
    from ..training.config import parse_overrides

    findings = check(config_path, overrides=parse_overrides(ctx.args), code=code)
    for finding in findings:
        mark, colour = ("✘", "red") if finding.is_error else ("⚠", "yellow")
        indented = "\n".join(f"  {line}".rstrip() for line in finding.message.splitlines())
        typer.secho(f"{mark} {indented.strip()}\n", fg=colour)
    if any(finding.is_error for finding in findings):
        raise typer.Exit(1)
    if not findings:
        typer.secho("✔ No mistake found.", fg="green")


def check(
    config_path: Path, *, overrides: Optional[Mapping[str, Any]] = None, code: Optional[Path] = None
) -> List["Finding"]:
    """Build the pipeline of a config and look for mistakes in both.

    config_path (Path): A training config of spaCy, with or without an [ablation] section.
    overrides (Optional[Mapping[str, Any]]): Settings by dotted name.
    code (Optional[Path]): Python file with the user's own registered functions.
    RETURNS (List[Finding]): Of `pipeline.checks.find_mistakes`, and what keeps a pipeline from being built; with an
        [ablation] section, each with the names of the features it is said of.
    """
    from spacy.util import import_file

    from ..pipeline.checks import Finding

    if code is not None:
        import_file("python_code", code)
    features: Dict[Finding, List[str]] = {}
    try:
        for feature, config in _configs(config_path, overrides or {}):
            for finding in _find(config_path, config):
                features.setdefault(finding, []).append(feature)
    except ValueError as error:
        return [Finding(_as_message(config_path, error))]
    return [
        finding if names == [""] else replace(finding, message=f"{', '.join(names)}: {finding.message}")
        for finding, names in features.items()
    ]


def _configs(config_path: Path, overrides: Mapping[str, Any]) -> Iterator[Tuple[str, "Config"]]:
    """The config, or with an [ablation] section that of each feature, under its name."""
    from spacy.util import load_config

    from ._ablation_plan import Ablation
    from ._ablation_section import SECTION

    config = load_config(config_path, overrides=dict(overrides))
    if SECTION not in config:
        yield "", config
        return
    ablation = Ablation(config_path, overrides)
    cells = ablation.cells()
    for feature in dict.fromkeys(cell.feature for cell in cells):
        yield feature, ablation.config_of(next(cell for cell in cells if cell.feature == feature))


def _find(config_path: Path, config: "Config") -> List["Finding"]:
    """Everything about one training config."""
    from spacy.util import load_model_from_config

    from ..pipeline.checks import Finding, find_mistakes

    try:
        nlp = load_model_from_config(config, auto_fill=True)
    except (ValueError, KeyError, ImportError) as error:  # those of spaCy's configs and registries are ValueErrors
        return [Finding(_as_message(config_path, error))]
    errors = [*_unknown_settings(config, nlp.config), *_resolve_training(nlp), *_make_ready(nlp)]
    return [*(Finding(_as_message(config_path, error)) for error in errors), *find_mistakes(nlp, reads_config=True)]


def _unknown_settings(config: "Config", filled: "Config") -> Iterator[Exception]:
    """Names that spaCy passes over in silence: settings of its own sections, and sections that look like one."""
    for section in ("nlp", "training", "initialize"):
        for name in config.get(section, {}):
            if name not in filled[section]:
                nearest = get_close_matches(name, filled[section], cutoff=0.5) or list(filled[section])
                yield ValueError(Errors.G140.format(name=f"{section}.{name}", nearest=", ".join(nearest)))
    for section in config:  # others may be there for references
        nearest = get_close_matches(section, _OF_SPACY, cutoff=0.8)
        if nearest and section not in _OF_SPACY:
            yield ValueError(Errors.G140.format(name=section, nearest=", ".join(nearest)))


def _resolve_training(nlp: "Language") -> Iterator[Exception]:
    """Make what [training] names, as training does first; whatever goes wrong is passed on."""
    from spacy.schemas import ConfigSchemaTraining
    from spacy.util import registry

    try:
        registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    except ValueError as error:
        yield error


def _make_ready(nlp: "Language") -> Iterator[Exception]:
    """Give the pipeline its word vectors, and thereby widths that depend on them; whatever goes wrong is passed on."""
    from spacy.pipeline.tok2vec import Tok2Vec
    from spacy.tokens import Doc
    from spacy.training.initialize import load_vectors_into_model
    from thinc.api import Model

    config = nlp.config.interpolate()
    try:
        if config["initialize"]["vectors"] is not None:
            load_vectors_into_model(nlp, config["initialize"]["vectors"])
        sample = [Doc(nlp.vocab, words=["a"])]
        for name, component in nlp.components:
            model = getattr(component, "model", None)
            if not isinstance(model, Model):
                continue
            for node in list(model.walk()):
                if node.name == "word_vectors":
                    node.initialize(X=sample)
            is_initialized = isinstance(component, Tok2Vec) and name not in config["training"]["frozen_components"]
            if is_initialized and not model.maybe_get_dim("nO"):
                model.initialize(X=sample)
    except (OSError, ValueError) as error:
        yield error


def _as_message(config_path: Path, error: Exception) -> str:
    """Ours as it is; any other says which config it comes from."""
    text = str(error).strip()
    return text if text.startswith("[G") else Errors.G144.format(path=config_path, reason=text.rstrip("."))
