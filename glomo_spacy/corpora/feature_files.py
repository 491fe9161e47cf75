"""Vectors of sentences in one file: HDF5 in bilm-tf's layout, or safetensors. Written and read with flat memory.

Either holds one array per sentence under its number as text: "0", "1", …, of shape (layers, tokens, width) or, for one
layer, (tokens, width). Shapes are known before the first vector is, from the numbers of tokens; so safetensors, whose
header comes first, is written as one goes, too.
"""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from ..files import atomic_write

Array = npt.NDArray[Any]
Write = Callable[[str, Array], None]
Read = Callable[[str], Array]

SUFFIXES = {"hdf5": ".hdf5", "safetensors": ".safetensors"}
FORMATS = {".hdf5": "hdf5", ".h5": "hdf5", ".safetensors": "safetensors"}  # by the suffix of a file
DTYPES = ("float32", "float16")

_SAFETENSORS_TYPES = {"float32": "F32", "float16": "F16"}
_NOTE = "glomo_spacy"  # under which the record stands
_LONGEST_HEADER = 100_000_000  # bytes that readers of safetensors accept


@contextmanager
def write_features(
    path: Path, *, shapes: Mapping[str, Tuple[int, ...]], dtype: str, record: Mapping[str, Any]
) -> Iterator[Write]:
    """Open a file that appears once every sentence is in it.

    path (Path): Its suffix decides the format: .hdf5, .h5 or .safetensors. An earlier file is replaced.
    shapes (Mapping[str, Tuple[int, ...]]): The shape of each sentence's array, in the order in which they are written.
    dtype (str): Type of the stored numbers: "float32" or "float16".
    record (Mapping[str, Any]): Where the vectors come from; stored with them.
    YIELDS (Write): Takes number and array of one sentence after the other.
    RAISES: G228 (ImportError) without h5py; G059 (ValueError) for more sentences than one safetensors file can list;
        G900 (OSError) if the disk is full.
    """
    writer = _write_hdf5 if FORMATS[path.suffix] == "hdf5" else _write_safetensors
    with writer(path, shapes=shapes, dtype=dtype, note=json.dumps(record, sort_keys=True)) as write:
        yield write


@contextmanager
def read_features(path: Path) -> Iterator[Read]:
    """Open a file for reading sentence by sentence.

    path (Path): As `write_features` wrote it.
    YIELDS (Read): Gives the array of a sentence number as float32.
    RAISES: G228 (ImportError) without h5py; G058 (ValueError) for a damaged file, one without the sentence, or one that
        refers to other files.
    """
    reader = _read_hdf5 if FORMATS[path.suffix] == "hdf5" else _read_safetensors
    try:
        with reader(path) as read:
            yield read
    except (OSError, KeyError) as error:
        if str(error).startswith("[G"):
            raise
        raise ValueError(Errors.G058.format(path=path, reason=error)) from error


def read_record(path: Path) -> Dict[str, Any]:
    """What `write_features` stored as `record`; empty if there is none.

    RAISES: G228 (ImportError) without h5py; G058 (ValueError) for a file of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if FORMATS[path.suffix] == "safetensors":
            with safe_open(path, framework="np") as file:
                note = (file.metadata() or {}).get(_NOTE, "{}")
        else:
            with require_h5py().File(path, "r") as file:
                note = file.attrs.get(_NOTE, "{}")
        return dict(json.loads(note))
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise ValueError(Errors.G058.format(path=path, reason=error)) from error


def require_h5py() -> Any:
    """The module h5py. RAISES: G228 (ImportError) with the line that installs it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(Errors.G228) from error
    return h5py


def _as_stored(array: Array, dtype: str, shape: Tuple[int, ...]) -> Array:
    """In the type of the file, little-endian on any machine, and of the shape that was announced."""
    return array.astype(np.dtype(dtype).newbyteorder("<"), copy=False).reshape(shape)


@contextmanager
def _write_hdf5(path: Path, *, shapes: Mapping[str, Tuple[int, ...]], dtype: str, note: str) -> Iterator[Write]:
    h5py = require_h5py()
    # The handle of `atomic_write` keeps the place; HDF5 opens the same file once more and fills it.
    with atomic_write(path) as place, h5py.File(place.name, "w") as file:
        file.attrs[_NOTE] = note

        def write(key: str, array: Array) -> None:
            file.create_dataset(key, data=_as_stored(array, dtype, shapes[key]))

        yield write


@contextmanager
def _read_hdf5(path: Path) -> Iterator[Read]:
    h5py = require_h5py()
    with h5py.File(path, "r") as file:

        def read(key: str) -> Array:
            data: Any = file[key] if file.get(key, getlink=True).__class__ is h5py.HardLink else None
            is_vectors = (
                isinstance(data, h5py.Dataset) and not (data.external or data.is_virtual) and data.dtype.kind == "f"
            )
            if not is_vectors or data.nbytes > path.stat().st_size:  # else it would unpack to more than there is
                raise ValueError(Errors.G058.format(path=path, reason=f"{key} is no array of vectors in this file"))
            return np.asarray(data[()], dtype=np.float32)

        yield read


@contextmanager
def _write_safetensors(path: Path, *, shapes: Mapping[str, Tuple[int, ...]], dtype: str, note: str) -> Iterator[Write]:
    head = _safetensors_head(shapes, dtype=dtype, note=note)
    if len(head) > _LONGEST_HEADER:
        raise ValueError(Errors.G059.format(path=path, found=len(shapes)))
    expected = iter(shapes)
    with atomic_write(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)

        def write(key: str, array: Array) -> None:
            if key != next(expected, None):
                raise RuntimeError(f"{key} is written out of its turn")  # cannot happen: both come from one list
            file.write(_as_stored(array, dtype, shapes[key]).tobytes())

        yield write


def _safetensors_head(shapes: Mapping[str, Tuple[int, ...]], *, dtype: str, note: str) -> bytes:
    entries: Dict[str, Any] = {"__metadata__": {_NOTE: note}}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + int(np.prod(shape)) * np.dtype(dtype).itemsize
        entries[key] = {"dtype": _SAFETENSORS_TYPES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    head = json.dumps(entries, separators=(",", ":")).encode("utf8")
    return head + b" " * (-len(head) % 8)  # the data begin on a multiple of eight


@contextmanager
def _read_safetensors(path: Path) -> Iterator[Read]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            yield lambda key: np.asarray(file.get_tensor(key), dtype=np.float32)
    except SafetensorError as error:
        raise ValueError(Errors.G058.format(path=path, reason=error)) from error
