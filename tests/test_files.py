"""Files that are whole or not there."""

import errno
import hashlib
from pathlib import Path

import pytest

from glomo_spacy import files
from glomo_spacy.files import atomic_directory, atomic_write, sha256_of


def _fail_with_full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_atomic_write_replaces_a_file(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("old")
    with atomic_write(path, text=True) as file:
        file.write("é\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == "é\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["vocab.txt"]


def test_atomic_write_keeps_the_old_file_if_the_block_raises(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines([b"half", "not bytes"])
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.bin"]


def test_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", _fail_with_full_disk)
    message = r"^\[G900\].*model\.bin could not be written: No space left.*unchanged"
    with pytest.raises(OSError, match=message), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.bin"]


@pytest.mark.parametrize("one_step", [True, False])
def test_atomic_directory_replaces_a_directory_whole(tmp_path, monkeypatch, one_step):
    if not one_step:
        monkeypatch.setattr(files, "_linux_rename", lambda: None)
    path = tmp_path / "checkpoint"
    for text in ("old", "new"):
        with atomic_directory(path, overwrite=True) as folder:
            (folder / f"{text}.txt").write_text(text)
    assert [entry.name for entry in path.iterdir()] == ["new.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_atomic_directory_refuses_a_taken_place_before_the_block(tmp_path):
    with pytest.raises(FileExistsError, match=r"^\[G901\].*exists already"), atomic_directory(tmp_path):
        pytest.fail("the block must not run")


def test_atomic_directory_does_not_replace_a_file(tmp_path):
    (tmp_path / "notes").write_text("old")
    with pytest.raises(FileExistsError, match=r"^\[G901\]"), atomic_directory(tmp_path / "notes", overwrite=True):
        pytest.fail("the block must not run")
    assert (tmp_path / "notes").read_text() == "old"


def test_what_a_link_names_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_directory(tmp_path / "link", overwrite=True) as folder:
        (folder / "new.txt").write_text("new")
    (tmp_path / "to_file").symlink_to("real/new.txt")
    with atomic_write(tmp_path / "to_file", text=True) as file:
        file.write("newer")
    assert (tmp_path / "real" / "new.txt").read_text() == "newer"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "real", "to_file"]
    assert (tmp_path / "link").is_symlink()


def test_full_disk_keeps_the_old_directory(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with atomic_directory(path) as folder:
        (folder / "weights").write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", _fail_with_full_disk)
    message = r"^\[G900\].*weights could not be written"
    with (
        pytest.raises(OSError, match=message),
        atomic_directory(path, overwrite=True) as folder,
        atomic_write(folder / "weights") as file,
    ):
        file.write(b"new")
    assert (path / "weights").read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_failed_second_rename_puts_the_old_directory_back(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with atomic_directory(path) as folder:
        (folder / "weights").write_bytes(b"old")
    rename = Path.rename

    def fail_for_the_new_one(source, target):
        if target == path and (source / "broken").exists():
            raise OSError(errno.EIO, "broken")
        return rename(source, target)

    monkeypatch.setattr(files, "_linux_rename", lambda: None)
    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="broken"), atomic_directory(path, overwrite=True) as folder:
        (folder / "broken").write_bytes(b"new")
    assert (path / "weights").read_bytes() == b"old"


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    content = b"glomo" * 300_000  # more than one block
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
