"""Arrays found again by a key: in memory, in a folder, within bounds."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, List, Sequence

import numpy as np
import pytest

from glomo_spacy.models.array_cache import Array, ArrayCache, ArrayFolder

SOURCE, OTHER = "a" * 32, "b" * 32
MB = 1 << 20


def key(number: int) -> str:
    return f"{number:032x}"


def array(number: int) -> Array:
    """100 numbers, 400 bytes."""
    return np.random.default_rng(number).normal(size=(4, 25)).astype("float32")


class Asked:
    """Asks a cache for arrays by number, checks them, and says which had to be computed."""

    def __init__(self, cache: ArrayCache, *, source: str = SOURCE) -> None:
        self.cache, self.source = cache, source

    def __call__(self, *numbers: int) -> List[int]:
        computed: List[int] = []

        def compute(places: Sequence[int]) -> List[Array]:
            computed.extend(numbers[place] for place in places)
            return [array(numbers[place]) for place in places]

        found = self.cache.collect(self.source, [key(number) for number in numbers], compute)
        for number, rows in zip(numbers, found, strict=True):
            np.testing.assert_array_equal(rows, array(number))
        return computed


def in_folder(path: Path, *, max_bytes: int = MB) -> ArrayCache:
    """A cache with nothing in memory."""
    return ArrayCache(0, ArrayFolder(path, max_bytes))


def files(path: Path) -> List[Path]:
    return [file for file in path.rglob("*") if file.is_file()]


def test_only_what_is_unknown_is_computed_each_once_and_in_order() -> None:
    ask = Asked(ArrayCache(MB))
    assert ask(3, 1, 3, 2) == [3, 1, 2]
    assert ask(2, 4, 1, 4) == [4]
    assert ask(1, 2, 3, 4) == []
    assert ask() == []


def test_what_is_there_stays_when_the_memory_is_full() -> None:
    cache = ArrayCache(1500)  # room for two arrays with what comes beside them
    ask = Asked(cache)
    ask(*range(10))
    assert len(cache) == 2
    assert cache.n_bytes <= 1500
    assert ask(*range(10)) == [*range(2, 10)]


def test_without_room_in_memory_everything_is_computed() -> None:
    ask = Asked(ArrayCache(0))
    assert ask(1) == ask(1) == [1]


def test_another_source_empties_the_memory() -> None:
    cache = ArrayCache(MB)
    ask, ask_other = Asked(cache), Asked(cache, source=OTHER)
    ask(1, 2)
    assert ask_other(1) == [1]
    assert len(cache) == 1
    assert ask(1) == [1]


def test_threads_may_share_a_cache() -> None:
    cache = ArrayCache(20_000)  # not enough for all
    ask = Asked(cache)
    orders = [np.random.default_rng(seed).permutation(60).tolist() for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda order: ask(*order), orders))
    assert cache.n_bytes <= 20_000


def test_another_cache_finds_what_a_folder_holds(tmp_path: Path) -> None:
    assert Asked(in_folder(tmp_path / "new" / "cache"))(1, 2) == [1, 2]
    later = in_folder(tmp_path / "new" / "cache")
    assert Asked(later)(2, 1, 3) == [3]
    assert Asked(later, source=OTHER)(1) == [1]


def test_what_a_folder_held_is_kept_in_memory(tmp_path: Path) -> None:
    Asked(in_folder(tmp_path))(1)
    cache = ArrayCache(MB, ArrayFolder(tmp_path, MB))
    Asked(cache)(1)
    for file in files(tmp_path):
        file.unlink()
    assert Asked(cache)(1) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:50],
        lambda data: data[:-1],
        lambda data: bytes(len(data)),
        lambda data: data[:-100] + bytes(100),
        lambda data: b"\xff" * 8 + data[8:],  # a header longer than the file
    ],
)
def test_a_damaged_file_counts_as_missing_and_is_written_again(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    Asked(in_folder(tmp_path))(1)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert Asked(in_folder(tmp_path))(1) == [1]
    assert file.read_bytes() == whole


def test_caches_that_share_nothing_but_a_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: Asked(in_folder(tmp_path))(*range(30)), range(4)))
    assert len(files(tmp_path)) == 30
    assert Asked(in_folder(tmp_path))(*range(30)) == []


def test_a_folder_never_grows_beyond_its_room(tmp_path: Path) -> None:
    ask = Asked(in_folder(tmp_path, max_bytes=5000))
    ask(*range(30))
    n_files = len(files(tmp_path))
    assert 5 < n_files < 30
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 5000
    assert len(ask(*range(30))) == 30 - n_files
    assert len(Asked(in_folder(tmp_path, max_bytes=5000))(*range(30))) == 30 - n_files


def test_results_of_other_weights_make_room_the_oldest_first(tmp_path: Path) -> None:
    Asked(in_folder(tmp_path, max_bytes=5000), source=OTHER)(*range(30))
    theirs = files(tmp_path)
    newest = max(theirs)
    for file in theirs:
        os.utime(file, (0, 1_000_000 + (file == newest)))
    Asked(in_folder(tmp_path, max_bytes=5000))(1)
    left = files(tmp_path)
    assert newest in left
    assert len(set(theirs) & set(left)) < len(theirs)
    assert Asked(in_folder(tmp_path))(1) == []


def test_nothing_else_in_the_folder_is_removed_but_abandoned_writes(tmp_path: Path) -> None:
    Asked(in_folder(tmp_path, max_bytes=5000), source=OTHER)(*range(30))
    place = files(tmp_path)[0].parent
    others = [tmp_path / "thesis.txt", place / "notes.safetensors", place / f".{key(1)}.safetensors.partial-2-ab"]
    abandoned = place / f".{key(1)}.safetensors.partial-1-ab"
    for file in (*others, abandoned):
        file.write_bytes(bytes(400))
    os.utime(abandoned, (0, 0))
    Asked(in_folder(tmp_path, max_bytes=5000))(*range(30))
    assert all(file.exists() for file in others)
    assert not abandoned.exists()


def test_a_folder_that_cannot_be_written_to_is_warned_of_once_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = ArrayCache(MB, ArrayFolder(tmp_path / "file", MB))
    with pytest.warns(UserWarning, match="G129.*file: Not a directory.*Nothing more is written there"):
        Asked(cache)(1, 2)
    assert Asked(cache)(1, 2, 3) == [3]  # a second warning would be an error
