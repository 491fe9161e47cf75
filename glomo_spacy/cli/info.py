"""`glomo-spacy info`: what a checkpoint, corpus or foreign file is, how large, whence, and what is wrong with it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Union

import typer

from ..errors import Errors
from ._app import Arg
from ._info_mogrifier import mogrifier_rows
from ._report import Report, Rows, as_text, flat_rows, print_report, size_text

if TYPE_CHECKING:
    from ..models.checkpoint import Checkpoint


def info_cli(
    path: str = Arg(
        ..., help="Checkpoint directory, packaged name, prepared corpus, or a biLM's .hdf5 or options.json"
    ),
) -> None:
    """Name a checkpoint, corpus or biLM with its sizes and provenance, and check it. Exits with 1 if it has faults."""
    report = info(path)
    print_report(report)
    if report.problems:
        raise typer.Exit(1)


def info(path: Union[str, Path]) -> Report:
    """Look at a directory or file without changing it.

    path (Union[str, Path]): A checkpoint directory, the name of a packaged checkpoint, what `prepare` wrote, or HDF5 or
        options.json of bilm-tf.
    RETURNS (Report): Facts and problems. Damage does not raise; it is listed.
    RAISES: G122 (FileNotFoundError) if there is no such directory; G040 (ValueError) if it is none of these;
        G228 (ImportError) for HDF5 without h5py.
    """
    from ._info_bilm import bilm_report, find_bilm

    found = _find(path)
    if bilm := find_bilm(found):
        return bilm_report(bilm)
    if (found / "corpus.json").is_file():
        return _corpus_report(found)
    if any((found / name).is_file() for name in ("config.cfg", "model.safetensors")):
        return _checkpoint_report(found)
    inside = sorted(place.parent.relative_to(found).as_posix() for place in found.glob("*/model.safetensors"))
    hint = f" Checkpoints in it: {', '.join(inside)}." if inside else ""
    raise ValueError(Errors.G040.format(path=found, hint=hint))


def _find(path: Union[str, Path]) -> Path:
    if Path(path).exists():
        return Path(path)
    from ..architectures.pretrained import find_pretrained

    return find_pretrained(str(path))


def _checkpoint_report(directory: Path) -> Report:
    from ..models.checkpoint import META, build_model, read_checkpoint

    report = Report("Checkpoint", directory)
    with_sums = _load_json(directory / META)
    checkpoint = report.attempt(lambda: read_checkpoint(directory))
    if checkpoint is not None:
        report.title = f"Checkpoint of kind {checkpoint.kind}"
        report.sections["Model"] = [(name, as_text(value)) for name, value in checkpoint.model.items()]
        if checkpoint.kind == "mogrifier":
            report.sections["Parts"] = mogrifier_rows(checkpoint)
        report.sections["Words"] = _word_rows(checkpoint)
        report.sections["Provenance"] = list(flat_rows(checkpoint.meta, leave_out=("sha256",)))
        report.attempt(lambda: build_model(checkpoint, source=str(directory)))
        report.problems += _unusable_weights(checkpoint, directory)
        report.sections["Weights"] = _weight_rows(checkpoint)
    report.sections["Files"] = _file_rows(directory)
    report.problems += _changed_files(directory, with_sums)
    return report


def _word_rows(checkpoint: "Checkpoint") -> Rows:
    rows = list(flat_rows(checkpoint.indexer))
    words = checkpoint.vocab
    if words is not None:
        return [*rows, ("vocabulary", f"{len(words):,} words: {' '.join(words[:8])} …")]
    reads_any = checkpoint.indexer.get("kind") == "characters"
    return [*rows, ("vocabulary", "none: reads any word by its characters" if reads_any else "none: takes word ids")]


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
    from ..corpora.shards import RECORD_NAME, read_record

    report = Report("Prepared corpus", directory)
    record = report.attempt(lambda: read_record(directory))
    if record is not None:
        splits = record.get("splits", {})
        report.sections["Splits"] = [(split, _split_text(sizes)) for split, sizes in splits.items()]
        facts = {name: value for name, value in record.items() if name not in ("splits", "sources", "sha256")}
        report.sections["Made with"] = list(flat_rows(facts))
        sources = enumerate(record.get("sources", []), start=1)
        report.sections["Sources"] = [(str(place), as_text(source)) for place, source in sources]
        for split in splits:
            report.attempt(lambda split=split: _open_split(directory, split))  # type: ignore[misc]
    report.sections["Files"] = _file_rows(directory)
    report.problems += _changed_files(directory, record, listed_in=RECORD_NAME)
    return report


def _split_text(sizes: Dict[str, Any]) -> str:
    names = [name for name in ("documents", "sentences", "contexts", "questions", "tokens") if name in sizes]
    text = ", ".join(f"{name} {sizes[name]:,}" for name in names)
    if "shards" not in sizes:
        return text
    return f"{text}, shards {len(sizes['shards']):,}, unknown {sizes['unknown_rate']:.2%}"


def _open_split(directory: Path, split: str) -> None:
    """Open a split of a corpus of whichever format, which checks it."""
    from ..corpora.sentence_shards import open_corpus
    from ..corpora.shards import read_record
    from ..corpora.squad_corpus import FORMAT, SquadCorpus

    if read_record(directory).get("format") == FORMAT:
        SquadCorpus(directory).split(split)
    else:
        open_corpus(directory, split=split)


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
    rows = [(path.name, size_text(path.stat().st_size)) for path in files[:12]]
    return [*rows, (f"all {len(files)}", size_text(total))]


def _load_json(path: Path) -> Optional[Dict[str, Any]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # read_checkpoint names the reason
