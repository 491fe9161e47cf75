"""Files that are damaged, or made to do harm: one clear error each, before any of their data is read."""

import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Tuple, Type

import numpy as np
import pytest

from glomo_spacy.convert import convert_bilm

h5py = pytest.importorskip("h5py")

FIXTURE = Path(__file__).parents[1] / "fixtures" / "elmo" / "bilm_tf"
BIAS = "RNN_0/RNN/MultiRNNCell/Cell0/LSTMCell/B"
FLOATS = np.zeros(256, np.float32)

Change = Callable[[Any], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sound biLM in it."""
    for path in FIXTURE.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def convert(folder: Path) -> None:
    convert_bilm(folder / "weights.hdf5", folder / "out")


def replace_bias(**dataset: Any) -> Change:
    def change(file: Any) -> None:
        del file[BIAS]
        file.create_dataset(BIAS, **dataset)

    return change


def replace_by(name: str, value: Any) -> Change:
    def change(file: Any) -> None:
        del file[name]
        file[name] = value

    return change


def delete(name: str) -> Change:
    return lambda file: file.pop(name)


def make_virtual(file: Any) -> None:
    del file[BIAS]
    layout = h5py.VirtualLayout((256,), "f4")
    layout[:] = h5py.VirtualSource("other.hdf5", "secret", (256,))
    file.create_virtual_dataset(BIAS, layout)


def cut_table(rows: slice) -> Change:
    return lambda file: replace_by("char_embed", file["char_embed"][rows])(file)


def set_first_row(file: Any) -> None:
    table = file["char_embed"][()]
    replace_by("char_embed", np.concatenate([np.ones((1, 4), np.float32), table]))(file)


def nest(file: Any) -> None:
    for _ in range(40):
        file = file.create_group("deeper")


FILES: Dict[str, Tuple[Change, str]] = {
    "soft link": (replace_by("char_embed", h5py.SoftLink("/CNN_proj")), r"G210.* a soft link at 'char_embed'"),
    "dangling link": (replace_by("char_embed", h5py.SoftLink("/none")), r"G210.* a soft link at 'char_embed'"),
    "external link": (replace_by(BIAS, h5py.ExternalLink("/etc/passwd", "/x")), rf"G210.*to another file at '{BIAS}'"),
    "external group": (replace_by("RNN_0", h5py.ExternalLink("o.hdf5", "/")), r"G210.*another file at 'RNN_0'"),
    "unused link": (lambda file: file.update({"x": h5py.SoftLink("/none")}), r"G210.* a soft link at 'x'"),
    "ring of groups": (lambda file: file.update({"CNN/again": file["CNN"]}), r"G209.*'CNN/again' stands in it twice"),
    "ring at the root": (lambda file: file.update({"again": file["/"]}), r"G209.*'again' stands in it twice"),
    "depth": (nest, r"G209.*too deep"),
    "double precision": (replace_bias(data=np.zeros(256)), rf"G211.*'{BIAS}' as float64 of shape"),
    "half precision": (replace_bias(data=np.zeros(256, np.float16)), r"G211.* as float16"),
    "whole numbers": (replace_bias(data=np.zeros(256, np.int32)), r"G211.* as int32"),
    "text": (replace_bias(data=["a"] * 256), r"G211.* as object"),
    "ragged": (replace_bias(shape=(256,), dtype=h5py.vlen_dtype(np.float32)), r"G211.* as object"),
    "references": (replace_bias(shape=(256,), dtype=h5py.ref_dtype), r"G211.* as object"),
    "records": (replace_bias(shape=(256,), dtype=np.dtype([("a", "f4")])), r"G211.*\('a', '<f4'\)"),
    "bytes": (replace_bias(data=np.zeros(256, "V4")), r"G211.* as \|V4"),
    "nothing": (replace_bias(data=h5py.Empty("f4")), r"G211.* as nothing"),
    "no rows": (replace_bias(shape=(0,), dtype="f4"), r"G211.* of shape \(0,\), but"),
    "claims a terabyte": (replace_bias(shape=(10**12,), dtype="f4", chunks=(9,)), r"G212.*4,000,000,000,000 bytes, of"),
    "never written": (replace_bias(shape=(256,), dtype="f4"), r"G212.*1,024 bytes, of which 0 are there"),
    "packed": (replace_bias(data=FLOATS, compression="gzip"), r"G212.*packed by a filter"),
    "shuffled": (replace_bias(data=FLOATS, shuffle=True, chunks=(9,)), r"G212.*packed by a filter"),
    "kept elsewhere": (
        replace_bias(shape=(256,), dtype="f4", external=[("/etc/passwd", 0, 1024)]),
        r"G212.*kept in another file",
    ),
    "virtual": (make_virtual, r"G212.*put together from other arrays or files \(virtual\)"),
    "no backward direction": (delete("RNN_1"), r"G213.*Missing: RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/W_0, "),
    "no forward direction": (delete("RNN_0"), r"G213.*Missing: RNN_0/.*/W_P_0\. Found: CNN/W_cnn_0"),
    "half a layer": (delete("RNN_1/RNN/MultiRNNCell/Cell1"), r"G213.*Missing: RNN_1/.*/Cell1/LSTMCell/W_0"),
    "no convolutions": (delete("CNN"), r"G213.*Missing: CNN/W_cnn_0"),
    "no characters": (delete("char_embed"), r"G213.*Missing: char_embed"),
    "no projection": (delete("CNN_proj"), r"G213.*Missing: CNN_proj/W_proj, CNN_proj/b_proj"),
    "no bias": (delete(BIAS), rf"G213.*Missing: {BIAS}\."),
    "group for an array": (lambda file: file.pop(BIAS) and file.create_group(BIAS), rf"G213.*Missing: {BIAS}\."),
    "one highway less": (delete("CNN_high_1"), r"G214.*char_cnn\.n_highway is 2, but the weights have 1"),
    "longer array": (replace_bias(data=np.zeros(512, np.float32)), rf"G215.*{BIAS} \(512,\), expected \(256,\)"),
    "more axes": (replace_bias(data=np.zeros((256, 1), np.float32)), rf"G215.*{BIAS} \(256, 1\), expected 1 axes"),
    "one number": (replace_bias(data=np.float32(1)), rf"G215.*{BIAS} \(\), expected 1 axes"),
    "260 characters": (cut_table(slice(1, None)), r"G218.*char_embed with 260 rows"),
    "used first row": (set_first_row, r"G218.*char_embed with 262 rows, of which the first is not zero"),
    "not finite": (lambda file: file[BIAS].__setitem__(3, np.nan), rf"G216.*not finite in '{BIAS}'"),
}


@pytest.mark.parametrize("kind", FILES)
def test_hostile_file_is_one_clear_error(kind: str, folder: Path) -> None:
    change, message = FILES[kind]
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=message):
        convert(folder)
    assert not (folder / "out").exists()


def test_data_is_not_read_before_all_of_the_file_is_known_to_fit(folder: Path, monkeypatch: Any) -> None:
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        del file["RNN_1"]
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("data was read"))
    with pytest.raises(ValueError, match="G213"):
        convert(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (lambda whole: whole[: len(whole) // 2], "truncated file"),
        (lambda whole: whole[:-1], "truncated file"),
        (lambda whole: b"", "signature not found"),
        (lambda whole: b"no weights here" * 99, "signature not found"),
    ],
)
def test_damaged_file_is_one_clear_error(content: Callable[[bytes], bytes], message: str, folder: Path) -> None:
    weights = folder / "weights.hdf5"
    weights.write_bytes(content(weights.read_bytes()))
    with pytest.raises(ValueError, match=rf"\[G209\] .*cannot be read as HDF5: .*{message}"):
        convert(folder)


@pytest.mark.parametrize("start", range(0, 4000, 250))
def test_damage_anywhere_in_the_structure_never_shows_a_foreign_error(start: int, folder: Path) -> None:
    weights = folder / "weights.hdf5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:start] + b"\xff" * 60 + whole[start + 60 :])
    try:
        convert(folder)
        message = "[G2: nothing that matters was hit]"
    except ValueError as error:
        message = str(error)
    assert message.startswith("[G2")


@pytest.mark.parametrize(
    "gone, error, code", [("weights.hdf5", FileNotFoundError, "G208"), ("options.json", FileNotFoundError, "G219")]
)
def test_absent_file_is_one_clear_error(gone: str, error: Type[Exception], code: str, folder: Path) -> None:
    (folder / gone).unlink()
    with pytest.raises(error, match=code):
        convert(folder)


OPTIONS: Dict[str, Tuple[str, Any, str]] = {
    "wider cells": ("lstm.dim", 128, r"G214.*lstm\.dim is 128, but the weights have 64"),
    "wider outputs": ("lstm.projection_dim", 32, r"G214.*lstm\.projection_dim is 32, but the weights have 16"),
    "one layer more": ("lstm.n_layers", 3, r"G214.*lstm\.n_layers is 3, but the weights have 2"),
    "endless layers": ("lstm.n_layers", 10**12, r"G214.*but the weights have 2"),
    "endless cells": ("lstm.dim", 10**15, r"G214.*but the weights have 64"),
    "endless highways": ("char_cnn.n_highway", 10**12, r"G214.*but the weights have 2"),
    "other filters": ("char_cnn.filters", [[1, 4], [2, 9]], r"G214.*filters is \[\[1, 4\], \[2, 9\]\], but the w"),
    "wider characters": ("char_cnn.embedding.dim", 5, r"G214.*char_cnn\.embedding\.dim is 5, but the weights have 4"),
    "forward only": ("bidirectional", False, r"G214.*bidirectional is false, but the weights have true"),
    "260 characters": ("char_cnn.n_characters", 260, r"G218.*has n_characters 260\. The characters .* are 261, or 262"),
    "text": ("lstm.n_layers", "2", r"G217.*: lstm\.n_layers must be a whole number above 0, but is '2'\.$"),
    "fraction": ("lstm.dim", 64.5, r"G217.*: lstm\.dim must be a whole number"),
    "no dim": ("lstm.dim", ..., r"G217.*: lstm\.dim is missing\.$"),
    "no filters": ("char_cnn.filters", ..., r"G217.*: char_cnn\.filters is missing"),
    "no characters": ("char_cnn", ..., r"G217.*: char_cnn is missing"),
    "filters as text": ("char_cnn.filters", "1:4", r"G217.*: char_cnn\.filters must be pairs"),
    "list for a section": ("lstm", [], r"G217.*: lstm must be a JSON object, but is \[\]"),
    "null for a section": ("char_cnn", None, r"G217.*: char_cnn must be a JSON object, but is None"),
    "clip below zero": ("lstm.cell_clip", -1, r"G217.*: lstm\.cell_clip must be a number above 0"),
    "clip as text": ("lstm.proj_clip", "3", r"G217.*: lstm\.proj_clip must be a number above 0"),
    "no truth": ("lstm.use_skip_connections", "yes", r"G217.*use_skip_connections must be true or false, but is 'yes'"),
    "unknown activation": ("char_cnn.activation", "gelu", r"G217.*: char_cnn\.activation = 'gelu' is not available"),
    "endless words": (
        "char_cnn.max_characters_per_token",
        10**9,
        r"G217.*is 1,000,000,000, and at most 1,000 are read",
    ),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_wrong_options_are_one_clear_error(kind: str, folder: Path) -> None:
    full_name, value, message = OPTIONS[kind]
    options = json.loads((folder / "options.json").read_text(encoding="utf8"))
    place = options
    *sections, name = full_name.split(".")
    for section in sections:
        place = place[section]
    place.pop(name, None)
    if value is not ...:
        place[name] = value
    (folder / "options.json").write_text(json.dumps(options), encoding="utf8")
    with pytest.raises(ValueError, match=message):
        convert(folder)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("{not json", "Expecting property name"),
        ("[1]", "it holds no JSON object"),
        ("[" * 100_000, "recursion"),
        (" " * (1 << 21), "it is larger than 1,048,576 bytes"),
        ("\ud800", "codec can't decode"),
    ],
)
def test_options_that_are_no_json_object_are_one_clear_error(text: str, message: str, folder: Path) -> None:
    (folder / "options.json").write_bytes(text.encode("utf8", "surrogatepass"))
    with pytest.raises(ValueError, match=rf"\[G217\].*{message}"):
        convert(folder)


def test_endless_layers_are_refused_also_where_no_layer_is_left_to_compare(folder: Path) -> None:
    options = json.loads((folder / "options.json").read_text(encoding="utf8"))
    options["lstm"]["n_layers"] = 10**12
    (folder / "options.json").write_text(json.dumps(options), encoding="utf8")
    with h5py.File(folder / "weights.hdf5", "r+") as file:
        del file["RNN_0"]
    with pytest.raises(ValueError, match="G213"):
        convert(folder)


def test_missing_h5py_is_named_with_its_install_line(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r'\[G228\] .*pip install "glomo-spacy\[hdf5\]"'):
        convert(folder)
