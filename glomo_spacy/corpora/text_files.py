"""Raw text files as a stream of lines that know where documents begin; broken files are named before work starts."""

import bz2
import codecs
import gzip
import io
import json
import lzma
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any, Dict, Iterable, Iterator, List, Tuple

from ..errors import Errors
from ..files import sha256_of

DOCUMENT_MARKS = ("blank-line", "line", "file")

_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_JSON_SUFFIX = ".jsonl"
_BLOCK = 1 << 20  # bytes checked at a time
_LONGEST_LINE = 1 << 18  # characters; a longer line is cut at white space, so that memory does not depend on the text


@dataclass(frozen=True)
class TextFile:
    """One file of raw text that was found readable.

    path (Path): Plain text, or one JSON object with a "text" per line (`.jsonl`); either may be packed (.gz .xz .bz2).
    n_bytes (int): Size of the unpacked text.
    """

    path: Path
    n_bytes: int

    @property
    def is_json(self) -> bool:
        """Whether each line is a JSON object."""
        unpacked = self.path.with_suffix("") if self.path.suffix in _OPENERS else self.path
        return unpacked.suffix == _JSON_SUFFIX

    def describe(self) -> Dict[str, Any]:
        """Name, size and SHA-256, for the record of where a corpus comes from."""
        return {"file": self.path.name, "bytes": self.path.stat().st_size, "sha256": sha256_of(self.path)}


def find_text_files(patterns: Iterable[str]) -> List[TextFile]:
    """Find and check the files that paths and glob patterns name.

    patterns (Iterable[str]): Paths or patterns such as "wiki/**/*.txt". The matches of each are sorted; a file named
        twice is read once.
    RETURNS (List[TextFile]): The files, each read through once: text in UTF-8 without NUL bytes.
    RAISES: G004 (FileNotFoundError) if a pattern matches no file; G005 (ValueError) if there is nothing but white space
        in all of them; G006 (ValueError) naming the file and byte offset where text turns out not to be text.
    """
    paths: Dict[Path, None] = {}
    for pattern in patterns:
        matches = [Path(pattern)] if Path(pattern).is_file() else sorted(map(Path, glob(pattern, recursive=True)))  # noqa: PTH207
        matches = [path for path in matches if path.is_file()]
        if not matches:
            raise FileNotFoundError(Errors.G004.format(pattern=pattern))
        paths.update(dict.fromkeys(matches))
    checked = [_check(path) for path in paths]
    if not any(has_text for _, has_text in checked):
        raise ValueError(Errors.G005.format(files=", ".join(map(str, paths)) or "no files"))
    return [file for file, _ in checked]


def read_lines(files: Iterable[TextFile], *, documents: str = "blank-line") -> Iterator[Tuple[str, bool]]:
    """Read text line by line.

    files (Iterable[TextFile]): As `find_text_files` gives them.
    documents (str): What separates documents in plain text: "blank-line", "line" (each line is one) or "file". The
        objects of a `.jsonl` file are one document each.
    YIELDS (Tuple[str, bool]): A line with some text, and whether a new document begins with it.
    """
    for file in files:
        with _open_text(file.path) as stream:
            if file.is_json:
                yield from _json_lines(stream, path=file.path)
            else:
                yield from _plain_lines(stream, documents=documents)


def read_every_line(file: TextFile) -> Iterator[str]:
    """Lines without their ends, empty ones too, so that a line's place is its number; of `.jsonl` its texts."""
    with _open_text(file.path) as stream:
        if file.is_json:
            yield from (line for line, _ in _json_lines(stream, path=file.path))
        else:
            yield from (line.rstrip("\r\n") for line in stream)


def _plain_lines(stream: IO[str], *, documents: str) -> Iterator[Tuple[str, bool]]:
    begins = True
    for line, is_whole_line in _bounded_lines(stream):
        if line.strip():
            yield line, begins or (documents == "line" and is_whole_line)
            begins = False
        elif documents == "blank-line" and is_whole_line:
            begins = True


def _bounded_lines(stream: IO[str]) -> Iterator[Tuple[str, bool]]:
    """Lines and the pieces of very long lines; the flag is true for a line and for the first piece of one."""
    rest, is_first = "", True
    while part := stream.readline(_LONGEST_LINE):
        text = rest + part
        if part.endswith("\n"):
            yield text, is_first
            rest, is_first = "", True
        elif len(part) == _LONGEST_LINE:
            head, _, rest = text.rpartition(" ")
            if not head:  # no white space to cut at, as in Chinese
                head, rest = text, ""
            yield head, is_first
            is_first = False
        else:  # the last line, without a line end
            yield text, is_first
            rest = ""
    if rest:
        yield rest, is_first


def _json_lines(stream: IO[str], *, path: Path) -> Iterator[Tuple[str, bool]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
            text.encode("utf8")  # a lone half of a surrogate pair is valid JSON and no text
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(Errors.G007.format(path=path, line=number)) from error
        begins = True
        for piece in text.split("\n"):
            if piece.strip():
                yield piece, begins
                begins = False


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    with open_packed(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n") as text:
        yield text


def open_packed(path: Path) -> IO[bytes]:
    """Open a file that may be packed (.gz .xz .bz2) for reading its unpacked bytes."""
    opener: Any = _OPENERS.get(path.suffix, open)
    return opener(path, "rb")


def _check(path: Path) -> Tuple[TextFile, bool]:
    """Read a file through once. Returns it with its size, and whether it holds more than white space."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, has_text = 0, False
    try:
        with open_packed(path) as stream:
            while block := stream.read(_BLOCK):
                if (place := block.find(b"\0")) >= 0:
                    raise ValueError(Errors.G006.format(path=path, offset=offset + place, reason="a NUL byte"))
                has_text |= bool(_decode(decoder, block, path=path, offset=offset).strip("\ufeff \t\r\n"))
                offset += len(block)
        _decode(decoder, b"", path=path, offset=offset, final=True)
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ValueError(Errors.G006.format(path=path, offset=offset, reason=f"broken packing ({error})")) from error
    return TextFile(path=path, n_bytes=offset), has_text


def _decode(decoder: Any, block: bytes, *, path: Path, offset: int, final: bool = False) -> str:
    pending = len(decoder.getstate()[0])  # bytes of a character that began in the block before
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        place = offset - pending + error.start
        raise ValueError(Errors.G006.format(path=path, offset=place, reason="a byte that is not UTF-8")) from error
