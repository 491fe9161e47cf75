"""Write the shards of a corpus and the record that describes them; the format is that of `shards.py`."""

import json
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..files import atomic_write, sha256_of
from .shards import IDS_SUFFIX, OFFSETS_SUFFIX, RECORD_NAME

_BLOCK = 1 << 20  # ids written at a time


def write_shards(
    folder: Path,
    *,
    split: str,
    tokens: npt.NDArray[np.uint32],
    ends: Sequence[int],
    documents: npt.NDArray[np.int64],
    final_ids: npt.NDArray[Any],
    is_unknown: npt.NDArray[np.bool_],
    shard_tokens: int,
) -> Dict[str, Any]:
    """Write one split.

    folder (Path): The corpus directory.
    split (str): Such as "train"; file names begin with it.
    tokens (ndarray): Provisional ids of all documents, one after the other.
    ends (Sequence[int]): For each document the position in `tokens` after its last.
    documents (ndarray): The documents of this split, in the order in which they are written.
    final_ids (ndarray): The final id of each provisional one, in the type that is written.
    is_unknown (ndarray): For each final id whether it is counted as unknown.
    shard_tokens (int): Tokens per shard, about.
    RETURNS (Dict[str, Any]): Sizes, unknown tokens and shard names, for the record.
    """
    stops = np.asarray(ends, dtype=np.int64)
    begins = np.concatenate([[0], stops[:-1]])[documents]
    lengths = stops[documents] - begins
    n_tokens, n_unknown = int(lengths.sum()), 0
    names: List[str] = []
    for part in _parts(lengths, shard_tokens=shard_tokens):
        name = f"{split}-{len(names):05}"
        offsets = np.concatenate([[0], np.cumsum(lengths[part])]).astype(np.int64)
        _write_array(folder / f"{name}{OFFSETS_SUFFIX}", [offsets], dtype=offsets.dtype, length=len(offsets))
        ids = _Counted((final_ids[block] for block in _blocks(tokens, begins[part], lengths[part])), is_unknown)
        _write_array(folder / f"{name}{IDS_SUFFIX}", ids, dtype=final_ids.dtype, length=int(offsets[-1]))
        n_unknown += ids.n_found
        names.append(name)
    return {
        "documents": len(documents),
        "tokens": n_tokens,
        "unknown": n_unknown,
        "unknown_rate": round(n_unknown / n_tokens, 6),
        "shards": names,
    }


def write_record(folder: Path, *, record: Mapping[str, Any]) -> Dict[str, Any]:
    """Write `corpus.json` with the SHA-256 of every file beside it; returns what was written."""
    sums = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    whole = {**record, "sha256": sums}
    with atomic_write(folder / RECORD_NAME, text=True) as file:
        file.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    return whole


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a whole text file, one item a line."""
    with atomic_write(path, text=True) as file:
        file.writelines(f"{line}\n" for line in lines)


class _Counted:
    """Blocks of ids, passed on while some ids are counted in them."""

    def __init__(self, blocks: Iterable[npt.NDArray[Any]], wanted: npt.NDArray[np.bool_]) -> None:
        self.blocks = blocks
        self.wanted = wanted
        self.n_found = 0

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for block in self.blocks:
            self.n_found += int(self.wanted[block].sum())
            yield block


def _parts(lengths: npt.NDArray[np.int64], *, shard_tokens: int) -> Iterator[slice]:
    """Runs of documents with about the same number of tokens each, at most `shard_tokens` but for one document."""
    n_shards = max(1, -(-int(lengths.sum()) // shard_tokens))
    share = int(lengths.sum()) / n_shards
    shard_of = np.minimum((np.cumsum(lengths) - lengths) // share, n_shards - 1)  # by where a document begins
    edges = np.concatenate([[0], np.flatnonzero(np.diff(shard_of)) + 1, [len(lengths)]])
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield slice(begin, end)


def _blocks(
    tokens: npt.NDArray[np.uint32], begins: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.uint32]]:
    """The tokens of documents, one after the other, in blocks of bounded size."""
    stops = np.cumsum(lengths)  # of documents in what is written
    for start in range(0, int(lengths.sum()), _BLOCK):
        stop = min(start + _BLOCK, int(stops[-1]))
        inside = slice(np.searchsorted(stops, start, side="right"), np.searchsorted(stops, stop) + 1)
        starts = stops[inside] - lengths[inside]
        n_inside = np.minimum(stops[inside], stop) - np.maximum(starts, start)  # tokens of each document in this block
        yield np.asarray(tokens)[np.arange(start, stop) + np.repeat(begins[inside] - starts, n_inside)]


def _write_array(path: Path, blocks: Iterable[npt.NDArray[Any]], *, dtype: np.dtype[Any], length: int) -> None:
    """Write a `.npy` file block by block: unlike a mapped file, a full disk raises here instead of killing us."""
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
        )
        for block in blocks:
            file.write(block.tobytes())
