"""Markdown whose code runs: what a reader would copy, run as it stands, in order, and compared with what is shown.

- `bash` blocks are typed into a terminal. `python -m …` and `glomo-spacy …` run in this process, the rest in bash.
- `python` blocks of a page are one session.
- `text` blocks are what the block before prints. "…" stands for anything. Numbers may be off by two units of their last
  digit or 3 %; in a `text varies` block, by anything.
"""

import re
import shlex
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

from running import captured, exit_code, run_python

FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", flags=re.MULTILINE)
NUMBER = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:k\b)?")
COLOURS = re.compile(r"\x1b\[[\d;]*m")
PROGRESS = re.compile(r".*\r.*\n?")  # a line that is written over and over
OPERATORS = set("|<>;&$*~")


class Block(NamedTuple):
    """A block of code or output in a page.

    language (str): What stands behind the opening fence.
    text (str): Its lines.
    place (str): File and line, for messages.
    """

    language: str
    text: str
    place: str


def read_blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    content = page.read_text(encoding="utf8")
    for fence in FENCE.finditer(content):
        line = content.count("\n", 0, fence.start()) + 1
        yield Block(fence[1], fence[2], f"{page.name}:{line}")


def run_recipe(page: Path) -> None:
    """Run all blocks of a page in the working directory.

    RAISES: AssertionError if a command fails or prints something else than the page shows.
    """
    session: Dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in read_blocks(page):
        if block.language == "bash":
            printed = "".join(_run_line(line, block) for line in _commands(block.text))
        elif block.language == "python":
            run = captured(partial(_run_session, block, session))
            assert run.code == 0, f"{block.place} ends with {run.code}\n{run.output}"
            printed = run.output
        else:
            assert block.language in ("text", "text varies"), f"{block.place}: nothing is known of {block.language!r}"
            _compare(block, PROGRESS.sub("", COLOURS.sub("", printed)))


def matches(expected: str, found: str, *, numbers_vary: bool = False) -> bool:
    """Whether output is as shown: "…" stands for anything, blanks for any blanks, numbers may be a little off."""
    expected, found = " ".join(expected.split()), " ".join(found.split())
    pieces = re.split(f"(…|{NUMBER.pattern})", expected)
    pattern = "".join(
        ".*?" if piece == "…" else f"({NUMBER.pattern})" if NUMBER.fullmatch(piece) else re.escape(piece)
        for piece in pieces
    )
    match = re.fullmatch(pattern, found)
    if match is None:
        return False
    numbers = [piece for piece in pieces if NUMBER.fullmatch(piece)]
    return numbers_vary or all(_is_close(*pair) for pair in zip(numbers, match.groups()))


def _is_close(expected: str, found: str) -> bool:
    decimals = len(expected.rstrip("k").partition(".")[2])
    tolerance = max(2.01 * 10.0**-decimals if decimals else 0, 0.03 * _value(expected))
    return abs(_value(expected) - _value(found)) <= tolerance


def _value(number: str) -> float:
    return float(number.rstrip("k").replace(",", "")) * (1000 if number.endswith("k") else 1)


def _commands(text: str) -> List[str]:
    """The commands of a block, without comments; lines that end in a backslash go on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _run_line(line: str, block: Block) -> str:
    """Run one command. Returns what it prints."""
    words = shlex.split(line, comments=True)
    if words[0] == "glomo-spacy":
        words = ["python", "-m", "glomo_spacy", *words[1:]]
    if words[:2] == ["python", "-m"]:
        assert not OPERATORS & set(re.sub(r"'[^']*'|\"[^\"]*\"", "", line)), f"{block.place}: needs a shell: {line}"
        run = captured(lambda: run_python(words[1:]))
        assert run.code == 0, f"{block.place}: {line}\n{run.output}"
        return run.output
    shell = subprocess.run(["bash", "-euc", line], capture_output=True, text=True)
    assert shell.returncode == 0, f"{block.place}: {line}\n{shell.stderr}"
    return shell.stdout


def _run_session(block: Block, session: Dict[str, Any]) -> int:
    code = compile(block.text, block.place, "exec")
    return exit_code(lambda: exec(code, session))  # noqa: S102  # the test is that it runs


def _compare(block: Block, printed: str) -> None:
    fits = matches(block.text, printed, numbers_vary=block.language == "text varies")
    assert fits, f"{block.place} shows\n{block.text}\nbut this was printed:\n{printed}"
