"""`glomo-spacy verify`: are these files the ones that were meant?

Projects begin with it: a download may be the official file or one rebuilt elsewhere, so each file may have several
right checksums, and a wrong one stops the workflow.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import typer

from ..errors import Errors
from ..files import sha256_of
from ._app import Arg, Opt

RECORDS = ("corpus.json", "meta.json")  # of a prepared corpus and of a checkpoint
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Verdict:
    """What is known about one file.

    path (Path): The file.
    found (Optional[str]): Its SHA-256; None if it is missing.
    accepted (Sequence[str]): The SHA-256 it may have.
    may_be_missing (bool): Whether its absence is no fault.
    """

    path: Path
    found: Optional[str]
    accepted: Sequence[str]
    may_be_missing: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the file is as listed, or missing and allowed to be."""
        return self.may_be_missing if self.found is None else self.found in self.accepted

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.path}: missing" + (" (optional)" if self.may_be_missing else "")
        if self.is_right:
            return f"{self.path}: {self.found}"
        return f"{self.path}: SHA-256 is {self.found}, expected {' or '.join(self.accepted)}"


def verify_cli(
    path: Path = Arg(..., help="A file (with --sha256), a list of checksums, a prepared corpus or a checkpoint"),
    sha256: List[str] = Opt([], "--sha256", "-s", help="Accepted checksum of the file; may be given several times"),
    or_missing: bool = Opt(False, "--or-missing", "-m", help="Files may be missing, but not different"),
) -> None:
    """
    Check files against SHA-256 checksums. Exits with 1 and one line per file that is missing or different.

    A list of checksums has lines "SHA256 PATH", as sha256sum writes them, paths as seen from the list. Several lines
    for one path mean that any of them is right. A corpus or checkpoint directory is checked against its own record.
    """
    verdicts = verify(path, sha256=sha256, or_missing=or_missing)
    for verdict in verdicts:
        typer.secho(f"{'✔' if verdict.is_right else '✘'} {verdict}", fg=None if verdict.is_right else "red")
    if not all(verdict.is_right for verdict in verdicts):
        raise typer.Exit(1)


def verify(path: Path, *, sha256: Sequence[str] = (), or_missing: bool = False) -> List[Verdict]:
    """Compare files with their checksums.

    path (Path): The file that `sha256` belongs to; without it a list of checksums, or a directory that `prepare` or
        `pretrain` wrote.
    sha256 (Sequence[str]): Accepted checksums, in hexadecimal.
    or_missing (bool): Files may be missing.
    RETURNS (List[Verdict]): One per file, in the order listed.
    RAISES: G909 (ValueError) if there is nothing to compare with: no such list, no record, a line without a checksum.
    """
    if sha256:
        accepted = {path: [_checksum(value, source="--sha256") for value in sha256]}
    elif path.is_dir():
        accepted = _from_record(path)
    else:
        accepted = _from_list(path)
    return [
        Verdict(file, sha256_of(file) if file.is_file() else None, checksums, or_missing)
        for file, checksums in accepted.items()
    ]


def _from_list(path: Path) -> Dict[Path, List[str]]:
    """Read lines of checksum and path; empty ones and those that begin with # are left out."""
    try:
        lines = path.read_text("utf8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "no readable text; to check this file itself, give its checksum with --sha256"
        raise ValueError(Errors.G909.format(path=path, reason=reason)) from error
    accepted: Dict[Path, List[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        checksum, _, name = line.strip().partition(" ")
        name = name.strip().removeprefix("*")  # sha256sum marks binary mode so
        if not name:
            raise ValueError(Errors.G909.format(path=path, reason=f"no path in line {number}"))
        accepted.setdefault(path.parent / name, []).append(_checksum(checksum, source=f"{path}, line {number}"))
    if not accepted:
        raise ValueError(Errors.G909.format(path=path, reason="no lines"))
    return accepted


def _from_record(directory: Path) -> Dict[Path, List[str]]:
    for name in RECORDS:
        if (directory / name).is_file():
            try:
                sums = json.loads((directory / name).read_text("utf8"))["sha256"]
                return {directory / file: [_checksum(value, source=name)] for file, value in sums.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = f"{name} lists no checksums"
                raise ValueError(Errors.G909.format(path=directory, reason=reason)) from error
    raise ValueError(Errors.G909.format(path=directory, reason=f"no {' or '.join(RECORDS)}"))


def _checksum(value: str, *, source: str) -> str:
    if not _CHECKSUM.fullmatch(value.lower()):
        reason = f"{value!r} is not a SHA-256 of 64 hexadecimal digits"
        raise ValueError(Errors.G909.format(path=source, reason=reason))
    return value.lower()
