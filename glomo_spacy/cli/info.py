"""`glomo-spacy info`: what a checkpoint or prepared corpus is, how large, where from, and what is wrong with it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import typer

from ..errors import Errors
from ._app import Arg

if TYPE_CHECKING:
    from ..models.checkpoint import Checkpoint

Rows = List[Tuple[str, str]]

_LONGEST_VALUE = 160  # characters of a value in the table


@dataclass
class Report:
    """What was found.

    title (str): What it is, e.g. "GLoMo checkpoint".
    path (Path): Where.
    sections (Dict[str, Rows]): Facts by heading, as pairs of name and value.
    problems (List[str]): Everything that is wrong, as messages with their codes. Empty: nothing.
    """

    title: str
    path: Path
    sections: Dict[str, Rows] = field(default_factory=dict)
    problems: List[str] = field(default_factory=list)


def info_cli(path: str = Arg(..., help="Checkpoint directory, packaged name, or prepared corpus")) -> None:
    """Name a checkpoint or corpus with its sizes and provenance, and check it. Exits with 1 if something is wrong."""
    report = info(path)
    print_report(report)
    if report.problems:
        raise typer.Exit(1)


def info(path: Union[str, Path]) -> Report:
    """Look at a directory without changing it.

    path (Union[str, Path]): A checkpoint directory, the name of a packaged checkpoint, or what `prepare` wrote.
    RETURNS (Report): Facts and problems. Damage does not raise; it is listed.
    RAISES: G122 (FileNotFoundError) if there is no such directory; G040 (ValueError) if it is neither kind.
    """
    directory = _find(path)
    if (directory / "corpus.json").is_file():
        return _corpus_report(directory)
    if any((directory / name).is_file() for name in ("config.cfg", "model.safetensors")):
        return _checkpoint_report(directory)
    inside = sorted(found.parent.relative_to(directory).as_posix() for found in directory.glob("*/model.safetensors"))
    hint = f" Checkpoints in it: {', '.join(inside)}." if inside else ""
    raise ValueError(Errors.G040.format(path=directory, hint=hint))


def print_report(report: Report) -> None:
    """Print facts as aligned columns, then problems or their absence."""
    print(f"{report.title}: {report.path}")
    for heading, rows in report.sections.items():
        print(f"\n{heading}")
        widest = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            print(f"  {name:<{widest}}  {_shorten(value)}")
    print()
    for problem in report.problems:
        typer.secho(f"✘ {problem}", fg="red")
    if not report.problems:
        typer.secho("✔ All files are whole and fit each other.", fg="green")


def _find(path: Union[str, Path]) -> Path:
    directory = Path(path)
    if directory.is_dir():
        return directory
    from ..architectures.pretrained import find_pretrained

    return find_pretrained(str(path))


def _checkpoint_report(directory: Path) -> Report:
    from ..models.checkpoint import META, build_model, read_checkpoint

    report = Report("Checkpoint", directory)
    with_sums = _load_json(directory / META)
    checkpoint = _attempt(report, lambda: read_checkpoint(directory))
    if checkpoint is not None:
        report.title = f"Checkpoint of kind {checkpoint.kind}"
        report.sections["Model"] = [(name, _as_text(value)) for name, value in checkpoint.model.items()]
        report.sections["Words"] = _word_rows(checkpoint)
        report.sections["Provenance"] = list(_flat(checkpoint.meta, leave_out=("sha256",)))
        _attempt(report, lambda: build_model(checkpoint, source=str(directory)))
        report.problems += _unusable_weights(checkpoint, directory)
        report.sections["Weights"] = _weight_rows(checkpoint)
    report.sections["Files"] = _file_rows(directory)
    report.problems += _changed_files(directory, with_sums)
    return report


def _word_rows(checkpoint: "Checkpoint") -> Rows:
    rows = list(_flat(checkpoint.indexer))
    words = checkpoint.vocab
    if words is None:
        return [*rows, ("vocabulary", "none: takes word ids, not words")]
    return [*rows, ("vocabulary", f"{len(words):,} words: {' '.join(words[:8])} …")]


def _weight_rows(checkpoint: "Checkpoint") -> Rows:
    tensors = checkpoint.state.values()
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors})
    count = sum(tensor.numel() for tensor in tensors)
    return [("tensors", f"{len(checkpoint.state):,}"), ("numbers", f"{count:,}"), ("stored as", ", ".join(kinds))]


def _unusable_weights(checkpoint: "Checkpoint", directory: Path) -> List[str]:
    """A run that diverged leaves NaN or infinite weights behind, which load without complaint."""
    import torch

    damaged = [
        name
        for name, tensor in checkpoint.state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    return [Errors.G041.format(path=directory, names=", ".join(damaged))] if damaged else []


def _corpus_report(directory: Path) -> Report:
    from ..corpora.shards import RECORD_NAME, ShardedCorpus, read_record

    report = Report("Prepared corpus", directory)
    record = _attempt(report, lambda: read_record(directory))
    if record is not None:
        splits = record.get("splits", {})
        report.sections["Splits"] = [(split, _split_text(sizes)) for split, sizes in splits.items()]
        facts = {name: value for name, value in record.items() if name not in ("splits", "sources", "sha256")}
        report.sections["Made with"] = list(_flat(facts))
        sources = enumerate(record.get("sources", []), start=1)
        report.sections["Sources"] = [(str(place), _as_text(source)) for place, source in sources]
        for split in splits:
            _attempt(report, lambda split=split: ShardedCorpus(directory, split=split))  # type: ignore[misc]
    report.sections["Files"] = _file_rows(directory)
    report.problems += _changed_files(directory, record, listed_in=RECORD_NAME)
    return report


def _split_text(sizes: Dict[str, Any]) -> str:
    counts = (("documents", sizes["documents"]), ("tokens", sizes["tokens"]), ("shards", len(sizes["shards"])))
    return ", ".join(f"{name} {count:,}" for name, count in counts) + f", unknown {sizes['unknown_rate']:.2%}"


def _attempt(report: Report, action: Callable[[], Any]) -> Any:
    """Do something that may find damage; an error of ours becomes a problem, once."""
    try:
        return action()
    except (ValueError, OSError) as error:
        if not str(error).startswith("[G"):
            raise
        if str(error) not in report.problems:
            report.problems.append(str(error))
        return None


def _changed_files(directory: Path, record: Optional[Dict[str, Any]], *, listed_in: str = "meta.json") -> List[str]:
    """Compare each file with its listed checksum."""
    from ..files import sha256_of

    problems = []
    for name, expected in ((record or {}).get("sha256") or {}).items():
        path = directory / name
        if not path.is_file():
            problems.append(Errors.G042.format(path=path, record=listed_in))
        elif (found := sha256_of(path)) != expected:
            problems.append(Errors.G043.format(path=path, found=found, expected=expected, record=listed_in))
    return problems


def _file_rows(directory: Path) -> Rows:
    files = sorted(path for path in directory.iterdir() if path.is_file())
    total = sum(path.stat().st_size for path in files)
    rows = [(path.name, _size_text(path.stat().st_size)) for path in files[:12]]
    return [*rows, (f"all {len(files)}", _size_text(total))]


def _size_text(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.2f} MB" if n_bytes >= 10_000 else f"{n_bytes:,} bytes"


def _flat(values: Dict[str, Any], *, prefix: str = "", leave_out: Tuple[str, ...] = ()) -> Iterator[Tuple[str, str]]:
    """Nested values under dotted names."""
    for name, value in values.items():
        if name in leave_out:
            continue
        if isinstance(value, dict):
            yield from _flat(value, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(value: str) -> str:
    """One line of bounded length: provenance is free text."""
    line = " ".join(value.split())
    return line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 1] + "…"


def _load_json(path: Path) -> Optional[Dict[str, Any]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # read_checkpoint names the reason
