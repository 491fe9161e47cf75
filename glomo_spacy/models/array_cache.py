"""Arrays that were computed before, found again by a key: in bounded memory and, if asked, in a folder."""

import re
import time
import warnings
import zlib
from pathlib import Path
from threading import RLock
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ..errors import Warnings
from ..files import atomic_write

Array = npt.NDArray[np.float32]
ComputeArrays = Callable[[List[int]], Sequence[Array]]

_PER_ARRAY = 256  # bytes of an entry beside its numbers, about
_SOURCE_LENGTH = 16  # letters of a source that name its folder
_SHARE = 16  # of a folder's room: what is freed at once, and written before others' files are counted again
_ABANDONED = 3600.0  # seconds after which a half-written file has nobody left to finish it
_OWN_NAME = re.compile(r"[0-9a-f]{32}\.safetensors|\.[0-9a-f]{32}\.safetensors\.partial-.*")


class ArrayCache:
    """Keep arrays as they come until there is no more room, and then what there is.

    The texts of a corpus return once an epoch, in another order each time. Whoever makes room by throwing out what was
    not used for longest finds next to nothing of a corpus that is larger than the room; this finds the share it holds.
    Threads may share it.

    max_bytes (int): Room in memory. 0: nothing is kept there.
    folder (Optional[ArrayFolder]): Where arrays are kept as well.
    """

    def __init__(self, max_bytes: int, folder: Optional["ArrayFolder"] = None) -> None:
        self.max_bytes = max_bytes
        self.folder = folder
        self.n_bytes = 0
        self._source = ""
        self._arrays: Dict[str, Array] = {}
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._arrays)

    def collect(self, source: str, keys: Sequence[str], compute: ComputeArrays) -> List[Array]:
        """Arrays by their keys, of which only unknown ones are computed: in one call, each once.

        source (str): What computes them, in hexadecimal. Another one empties the memory.
        keys (Sequence[str]): 32 hexadecimal letters each, equal for equal arrays.
        compute (ComputeArrays): Gives the arrays at some places of `keys`, ascending.
        RETURNS (List[Array]): Not to be written to: others may have the same.
        """
        found: Dict[str, Array] = {}
        missing: Dict[str, int] = {}  # key: its first place
        for place, key in enumerate(keys):
            if key not in found and key not in missing:
                array = self._find(source, key)
                if array is None:
                    missing[key] = place
                else:
                    found[key] = array
        if missing:
            for key, array in zip(missing, compute(list(missing.values()))):
                found[key] = array
                self._keep(source, key, array)
                if self.folder is not None:
                    self.folder.write(source, key, array)
        return [found[key] for key in keys]

    def _find(self, source: str, key: str) -> Optional[Array]:
        with self._lock:
            array = self._arrays.get(key) if source == self._source else None
        if array is None and self.folder is not None:
            array = self.folder.read(source, key)
            if array is not None:
                self._keep(source, key, array)
        return array

    def _keep(self, source: str, key: str, array: Array) -> None:
        size = array.nbytes + _PER_ARRAY
        with self._lock:
            if source != self._source:
                self._arrays, self.n_bytes, self._source = {}, 0, source
            if key not in self._arrays and self.n_bytes + size <= self.max_bytes:
                self._arrays[key] = array
                self.n_bytes += size


class ArrayFolder:
    """Arrays in a folder, a safetensors file each, which processes may share.

    A file appears under its name only once it is whole; a damaged one counts as missing and is written again. When
    there is no room, files that other sources left make some, the oldest first, and then no more is kept. Anything
    else in the folder is left alone.

    path (Path): Made once something is written.
    max_bytes (int): Room on disk. Each process may go beyond it by a sixteenth, as it does not see at once what others
        write.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._is_closed = False
        self._n_bytes = 0
        self._n_unseen = max_bytes + 1  # bytes written since the files were counted; at first they never were
        self._lock = RLock()

    def read(self, source: str, key: str) -> Optional[Array]:
        """An array that was written whole, else None."""
        try:
            return _unpack(self._place(source, key).read_bytes())
        except OSError:
            return None

    def write(self, source: str, key: str, array: Array) -> None:
        """Keep an array if there is room. If the disk does not take it, warn and write no more: it was a copy."""
        if self._is_closed:
            return
        data, place = _pack(array), self._place(source, key)
        try:
            with self._lock:
                if not self._has_room(source, len(data)):
                    self._is_closed = True
                    return
                self._n_bytes += len(data)
                self._n_unseen += len(data)
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(place, sync=False) as file:
                file.write(data)
        except OSError as error:
            self._is_closed = True
            warnings.warn(Warnings.G129.format(path=self.path, reason=error.strerror or error), stacklevel=2)

    def _place(self, source: str, key: str) -> Path:
        return self.path / source[:_SOURCE_LENGTH] / key[:2] / f"{key}.safetensors"

    def _has_room(self, source: str, size: int) -> bool:
        if self._n_unseen > self.max_bytes // _SHARE:
            self._n_bytes, self._n_unseen = sum(size for _, size, _ in self._files()), 0
        if self._n_bytes + size > self.max_bytes:
            self._make_room(source, self._n_bytes + size - self.max_bytes)
        return self._n_bytes + size <= self.max_bytes

    def _make_room(self, source: str, n_bytes: int) -> None:
        """Remove files of other sources, the oldest first, and half-written ones that nobody will finish."""
        left_over = time.time() - _ABANDONED
        for modified, size, path in sorted(self._files()):
            is_other = path.parts[-3] != source[:_SOURCE_LENGTH]
            if is_other if path.suffix == ".safetensors" else modified < left_over:
                path.unlink(missing_ok=True)
                self._n_bytes -= size
                n_bytes -= size
            if n_bytes <= -self.max_bytes // _SHARE:
                return

    def _files(self) -> Iterator[Tuple[float, int, Path]]:
        """When each file was written, its bytes and its path."""
        for path in self.path.glob(f"{'[0-9a-f]' * _SOURCE_LENGTH}/[0-9a-f][0-9a-f]/*"):
            if _OWN_NAME.fullmatch(path.name):
                try:
                    about = path.stat()
                except OSError:  # removed by another process meanwhile
                    continue
                yield about.st_mtime, about.st_size, path


def _pack(array: Array) -> bytes:
    packed: bytes = save_arrays({"array": array, "crc32": _checksum(array)})
    return packed


def _unpack(data: bytes) -> Optional[Array]:
    """None if the data is not what was packed. Memory is bounded by the data itself."""
    try:
        arrays: Dict[str, Any] = load_arrays(data)
    except (SafetensorError, ValueError):
        return None
    array, checksum = arrays.get("array"), arrays.get("crc32")
    if array is None or checksum is None or array.dtype != np.float32 or checksum != _checksum(array):
        return None
    return np.asarray(array)


def _checksum(array: Array) -> npt.NDArray[np.uint32]:
    """Shape: (1,)."""
    return np.asarray([zlib.crc32(array.tobytes())], dtype=np.uint32)
