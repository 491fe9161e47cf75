"""HDF5 files from elsewhere, looked through before any of their data is read.

Such a file can lead into other files (links, external and virtual storage), unpack to far more than it is (compressed
or never written data) and hold any type. Only arrays that stand in the file itself as they are pass, so that memory is
bounded by the file's own size.
"""

import math
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Set, Tuple, Union

import numpy as np
import numpy.typing as npt

from ..errors import Errors

PathLike = Union[str, Path]
Array = npt.NDArray[np.float32]

MOST_OBJECTS = 10_000  # groups and arrays of a file; a biLM has some dozens
_DEEPEST = 16  # groups within groups


class StoredArray(NamedTuple):
    """What a file says of one of its arrays; the data is not read yet.

    shape (Tuple[int, ...]): As claimed.
    dtype (str): As numpy names it, or why it has no name.
    n_bytes (int): As shape and type claim.
    storage (Optional[str]): What keeps the data from being read safely; None: nothing.
    """

    shape: Tuple[int, ...]
    dtype: str
    n_bytes: int
    storage: Optional[str]


def import_h5py() -> Any:
    """The module h5py. RAISES: ImportError G228 with the line that installs it."""
    try:
        import h5py
    except ImportError:
        raise ImportError(Errors.G228) from None
    return h5py


@contextmanager
def open_hdf5(path: PathLike) -> Iterator[Any]:
    """Open a file for reading.

    YIELDS (h5py.File): For `list_arrays` and `read_arrays`.
    RAISES: FileNotFoundError G208 if there is none; ValueError G209 if it is damaged or no HDF5; ImportError G228.
    """
    h5py = import_h5py()
    if not Path(path).is_file():
        raise FileNotFoundError(Errors.G208.format(path=path))
    with _one_error(path):
        file = h5py.File(path, "r", locking="best-effort")  # a read-only disk may know no locks
    with file:
        yield file


def list_arrays(file: Any) -> Dict[str, StoredArray]:
    """Every array of a file by its full name, in the order of names, without reading data or following links.

    RAISES: ValueError G210 for a link to anywhere, G209 for damage and for a tree that no weights need.
    """
    with _one_error(file.filename):
        root = import_h5py().h5o.get_info(file.id).addr
        return dict(_walk(file, "", {root}))


def check_arrays(arrays: Dict[str, StoredArray], *, path: PathLike) -> None:
    """Refuse what cannot be read safely as 32-bit floats.

    RAISES: ValueError G211 for another type, G212 for data that stands elsewhere, is packed, was never written or
        claims to be larger than the file.
    """
    for name, array in arrays.items():
        if array.dtype not in ("float32", ">f4") or 0 in array.shape:
            found = f"{array.dtype} of shape {array.shape}"
            raise ValueError(Errors.G211.format(path=path, name=name, found=found))
        if array.storage is not None:
            raise ValueError(Errors.G212.format(path=path, name=name, found=array.storage))
    claimed, size = sum(array.n_bytes for array in arrays.values()), Path(path).stat().st_size
    if claimed > size:
        found = f"with the others {claimed:,} bytes in a file of {size:,}"
        raise ValueError(
            Errors.G212.format(path=path, name=max(arrays, key=lambda name: arrays[name].n_bytes), found=found)
        )


def read_arrays(file: Any, names: Iterable[str]) -> Iterator[Tuple[str, Array]]:
    """Read arrays that `check_arrays` let pass, one at a time.

    RAISES: ValueError G209 for damage, G216 for values that are not finite.
    """
    for name in names:
        with _one_error(file.filename):
            array = np.ascontiguousarray(file[name][()], dtype=np.float32)
        if not np.isfinite(array).all():
            raise ValueError(Errors.G216.format(path=file.filename, name=name))
        yield name, array


def describe_array(group: Any, key: Union[str, bytes]) -> StoredArray:
    """What the file says of one array.

    RAISES: ValueError G210 for a link, G209 for damage and for anything but an array.
    """
    with _one_error(group.file.filename):
        item = _open_item(group, key, _as_text(key))
        if not isinstance(item, import_h5py().Dataset):
            raise ValueError(f"{key!r} is no array")
        return _describe(item)


def _walk(group: Any, prefix: str, seen: Set[int]) -> Iterator[Tuple[str, StoredArray]]:
    h5py, path = import_h5py(), group.file.filename
    for key in group:
        name = prefix + _as_text(key)
        item = _open_item(group, key, name)
        address = h5py.h5o.get_info(item.id).addr
        if address in seen or len(seen) > MOST_OBJECTS or name.count("/") > _DEEPEST:
            reason = f"{name!r} stands in it twice or too deep, or it has more than {MOST_OBJECTS:,} groups and arrays"
            raise ValueError(Errors.G209.format(path=path, reason=reason))
        seen.add(address)
        if isinstance(item, h5py.Dataset):
            yield name, _describe(item)
        elif isinstance(item, h5py.Group):
            yield from _walk(item, f"{name}/", seen)


def _open_item(group: Any, key: Union[str, bytes], name: str) -> Any:
    """What a group holds itself under a name. RAISES: ValueError G210 for a link."""
    h5py = import_h5py()
    link = group.id.links.get_info(key.encode("utf8") if isinstance(key, str) else key).type
    if link != h5py.h5l.TYPE_HARD:
        names = {h5py.h5l.TYPE_SOFT: "soft link", h5py.h5l.TYPE_EXTERNAL: "link to another file"}
        raise ValueError(Errors.G210.format(path=group.file.filename, name=name, found=names.get(link, "link")))
    return group[key]


def _as_text(key: Union[str, bytes]) -> str:
    """A name that is no UTF-8 comes as bytes."""
    return key if isinstance(key, str) else key.decode("utf8", "backslashreplace")


def _describe(dataset: Any) -> StoredArray:
    shape = dataset.shape
    if shape is None:
        return StoredArray((), "nothing", 0, None)
    try:
        dtype = dataset.dtype
    except TypeError as error:  # numpy has no such type
        return StoredArray(shape, str(error), 0, None)
    n_bytes = math.prod(shape) * dtype.itemsize
    return StoredArray(shape, str(dtype), n_bytes, _storage(dataset, n_bytes))


def _storage(dataset: Any, n_bytes: int) -> Optional[str]:
    h5py = import_h5py()
    settings = dataset.id.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL:
        return "put together from other arrays or files (virtual)"
    if settings.get_layout() == h5py.h5d.CONTIGUOUS and settings.get_external_count():
        return "kept in another file"
    if settings.get_nfilters():
        return "packed by a filter"
    stored = dataset.id.get_storage_size()
    return None if stored >= n_bytes else f"{n_bytes:,} bytes, of which {stored:,} are there"


@contextmanager
def _one_error(path: PathLike) -> Iterator[None]:
    """Damage comes as many kinds of exception out of the library: make it one of ours."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if str(error).startswith("[G"):
            raise
        reason = str(error).strip("'\" ").splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(Errors.G209.format(path=path, reason=reason)) from None
