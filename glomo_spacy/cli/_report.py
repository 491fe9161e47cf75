"""What `info` finds out about files, and how it is printed."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import typer

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

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Do something that may find damage; an error of ours becomes a problem, once, and the result None."""
        try:
            return action()
        except (ValueError, OSError) as error:
            if not str(error).startswith("[G"):
                raise
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None


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


def size_text(n_bytes: int) -> str:
    """A file's size in a readable unit."""
    return f"{n_bytes / 1e6:,.2f} MB" if n_bytes >= 10_000 else f"{n_bytes:,} bytes"


def flat_rows(
    values: Dict[str, Any], *, prefix: str = "", leave_out: Tuple[str, ...] = ()
) -> Iterator[Tuple[str, str]]:
    """Nested values under dotted names."""
    for name, value in values.items():
        if name in leave_out:
            continue
        if isinstance(value, dict):
            yield from flat_rows(value, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", as_text(value)


def as_text(value: Any) -> str:
    """One value, as people write it."""
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return json.dumps(value)
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(value: str) -> str:
    """One line of bounded length: provenance is free text."""
    line = " ".join(value.split())
    return line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 1] + "…"
