"""Vectors of sentences in one file, in both formats."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from glomo_spacy.corpora.feature_files import SUFFIXES, read_features, read_record, write_features

ARRAYS = {str(number): np.random.default_rng(number).normal(size=(3, n, 4)) for number, n in enumerate([5, 0, 1])}
RECORD = {"model": "tiny", "tokens": 6}


def write(path: Path, *, dtype: str = "float32") -> Path:
    shapes = {key: array.shape for key, array in ARRAYS.items()}
    with write_features(path, shapes=shapes, dtype=dtype, record=RECORD) as put:
        for key, array in ARRAYS.items():
            put(key, array.astype("float32"))
    return path


@pytest.fixture(params=[*SUFFIXES.values(), ".h5"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"features{request.param}"


@pytest.mark.parametrize("dtype, tolerance", [("float32", 0), ("float16", 2e-3)])
def test_what_is_written_reads_back(path: Path, dtype: str, tolerance: float) -> None:
    with read_features(write(path, dtype=dtype)) as read:
        for key, array in ARRAYS.items():
            assert read(key).dtype == np.float32
            np.testing.assert_allclose(read(key), array.astype("float32"), atol=tolerance)
    assert read_record(path) == RECORD


def test_hdf5_has_the_layout_of_bilm_tf(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "features.hdf5")) as file:
        assert sorted(file) == ["0", "1", "2"]
        assert file["0"].dtype == np.float32
        np.testing.assert_array_equal(file["0"][...], ARRAYS["0"].astype("float32"))
        assert file["1"].shape == (3, 0, 4)


def test_safetensors_is_read_by_its_own_library(tmp_path: Path) -> None:
    tensors = load_file(write(tmp_path / "features.safetensors"))
    assert set(tensors) == set(ARRAYS)
    np.testing.assert_array_equal(tensors["2"], ARRAYS["2"].astype("float32"))


def test_the_same_vectors_make_the_same_bytes(path: Path) -> None:
    assert write(path).read_bytes() == write(path.with_stem("again")).read_bytes()


def test_a_file_that_is_not_finished_is_not_there(path: Path) -> None:
    def write_half() -> None:
        with write_features(path, shapes={"0": (3, 1, 4), "1": (3, 1, 4)}, dtype="float32", record={}) as put:
            put("0", np.zeros((3, 1, 4), dtype="float32"))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_half()
    assert not list(path.parent.iterdir())


def test_a_truncated_file_is_one_clear_error(path: Path) -> None:
    path.write_bytes(write(path).read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"\[G058\] .*features.* is damaged: "), read_features(path) as read:
        [read(key) for key in ARRAYS]


def test_a_missing_sentence_is_one_clear_error(path: Path) -> None:
    write(path)
    with (
        pytest.raises(ValueError, match=r"\[G058\] .* is damaged: .*7.*run extract again"),
        read_features(path) as read,
    ):
        read("7")


@pytest.mark.parametrize("kind", ["external", "soft", "stored elsewhere", "virtual", "text"])
def test_hdf5_that_refers_elsewhere_is_refused(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["0"] = np.ones((3, 1, 4), dtype="float32")
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        if kind == "external":
            file["0"] = h5py.ExternalLink(secret, "0")
        elif kind == "soft":
            file["1"] = np.ones((3, 1, 4), dtype="float32")
            file["0"] = h5py.SoftLink("/1")
        elif kind == "stored elsewhere":
            file.create_dataset("0", shape=(3, 1, 4), dtype="float32", external=[(str(secret), 0, 48)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(3, 1, 4), dtype="float32")
            layout[:] = h5py.VirtualSource(str(secret), "0", shape=(3, 1, 4))
            file.create_virtual_dataset("0", layout)
        else:
            file["0"] = "text"
    with (
        pytest.raises(ValueError, match=r"\[G058\] .* 0 is no array of vectors in this file"),
        read_features(tmp_path / "features.hdf5") as read,
    ):
        read("0")


def test_more_sentences_than_safetensors_can_list_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glomo_spacy.corpora.feature_files._LONGEST_HEADER", 100)
    with pytest.raises(
        ValueError, match=r"\[G059\] .* would hold 3 sentences, more than one safetensors file can list"
    ):
        write(tmp_path / "features.safetensors")


def test_a_missing_h5py_is_named_with_its_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'\[G228\] .*pip install "glomo-spacy\[hdf5\]"'):
        write(tmp_path / "features.hdf5")
