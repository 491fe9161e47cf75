"""Files that are whole or not there: written beside their place, synced to disk, then renamed into it.

A full disk, a killed process or a power cut leaves the earlier file or directory as it was.
"""

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator, Optional, Union

from .errors import Errors

PathLike = Union[str, "os.PathLike[str]"]

_HASH_BLOCK = 1 << 20  # bytes read at a time, so that memory does not depend on the file
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # constants of Linux's renameat2


@contextmanager
def atomic_write(path: PathLike, *, text: bool = False, sync: bool = True) -> Iterator[IO[Any]]:
    """Open a file for writing that appears under its name only once it is complete.

    path (PathLike): Where the file shall stand. Its folder must exist; an earlier file is replaced.
    text (bool): Write `str` as UTF-8 with "\\n" line ends instead of bytes.
    sync (bool): Wait until it is on disk. False: a power cut may leave it damaged, for those who would notice.
    YIELDS (IO): The open file. If the block raises, it is removed and an earlier file stays as it was.
    RAISES: G900 (OSError) if the disk is full.
    """
    path = _behind_links(path)
    partial = _partial_name(path)
    try:
        with _clear_if_full(path):
            with _open_new(partial, text=text) as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            partial.replace(path)
            if sync:
                _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: PathLike, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a directory that appears under its name only once it is complete.

    path (PathLike): Where the directory shall stand. Parent folders are made.
    overwrite (bool): Replace a directory that stands there, in one step where the system can exchange names (Linux).
    YIELDS (Path): An empty directory beside `path` to write into. If the block raises, it is removed and an earlier
        directory stays as it was.
    RAISES: G901 (FileExistsError) before anything is written if `path` exists and may not be replaced, or is a file;
        G900 (OSError) if the disk is full.
    """
    path = _behind_links(path)
    if path.exists() and not (overwrite and path.is_dir()):
        raise FileExistsError(Errors.G901.format(path=path))
    partial = _partial_name(path)
    try:
        with _clear_if_full(path):
            partial.mkdir(parents=True)
            yield partial
            _sync_tree(partial)
            if path.exists():
                _exchange(partial, path)  # the earlier directory is now `partial`, removed below
            else:
                partial.rename(path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sha256_of(path: PathLike) -> str:
    """The SHA-256 of a file's bytes in lower-case hexadecimal, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _behind_links(path: PathLike) -> Path:
    """Where a symbolic link leads: what it names is replaced, not the link."""
    path = Path(path)
    return path.resolve() if path.is_symlink() else path


def _partial_name(path: Path) -> Path:
    """A name nobody else uses, in the same folder: a rename is atomic only within one file system."""
    return path.parent / f".{path.name}.partial-{os.getpid()}-{secrets.token_hex(4)}"


def _open_new(path: Path, *, text: bool) -> IO[Any]:
    return path.open("x", encoding="utf-8", newline="\n") if text else path.open("xb")


@contextmanager
def _clear_if_full(path: Path) -> Iterator[None]:
    """Say which file did not fit and that nothing was lost; other errors pass as they are."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE and not isinstance(error, _DiskFullError):
            raise _DiskFullError(error.errno, Errors.G900.format(path=path, reason=error.strerror)) from error
        raise


class _DiskFullError(OSError):
    """A disk-full error that already names its file: atomic writes may be nested."""

    def __str__(self) -> str:
        return str(self.strerror)


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories: in one step on Linux, else by two renames that are undone if the second fails."""
    rename = _linux_rename()
    if rename is not None and not rename(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE
    ):
        return
    aside = _partial_name(second)
    second.rename(aside)
    try:
        first.rename(second)
    except OSError:
        aside.rename(second)
        raise
    aside.rename(first)


def _linux_rename() -> Optional[Any]:
    try:
        return ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # another system or an old C library
        return None


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with Path(root, name).open("rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(root))


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; systems that cannot open a folder do without."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
