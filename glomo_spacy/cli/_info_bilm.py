"""What `info` says of files from bilm-tf: weights and vectors in HDF5, and options.json."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from ..errors import Errors
from ._report import Report, Rows, as_text, flat_rows, size_text

if TYPE_CHECKING:
    from ..convert.hdf5_files import StoredArray
    from ..models.elmo import ElmoConfig

Arrays = Mapping[str, "StoredArray"]

_SUFFIXES = (".hdf5", ".h5")
_MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_SENTENCES = 10_000  # that are looked at in a file of vectors


def find_bilm(path: Path) -> Optional[Path]:
    """The file to report on if a path leads to HDF5 or JSON, itself or as a directory with weights; else None."""
    from ..convert.bilm_hdf5 import WEIGHTS

    path = path / WEIGHTS if (path / WEIGHTS).is_file() else path
    if not path.is_file():
        return None
    with path.open("rb") as file:
        is_hdf5 = file.read(len(_MAGIC)) == _MAGIC
    return path if is_hdf5 or path.suffix in (*_SUFFIXES, ".json") else None


def bilm_report(path: Path) -> Report:
    """Name a file of bilm-tf with its sizes, and check it, without reading data that does not belong there.

    RETURNS (Report): Facts and problems. Damage does not raise; it is listed.
    RAISES: ImportError G228 for HDF5 without h5py.
    """
    from ..convert.hdf5_files import list_arrays, open_hdf5

    if path.suffix == ".json":
        return _options_report(path)
    report = Report("HDF5 file", path, {"File": [("size", size_text(path.stat().st_size))]})

    def look() -> None:
        with open_hdf5(path) as file:
            if next(iter(file), "").isdecimal():
                _add_vectors(report, file)
            else:
                _add_arrays(report, file, list_arrays(file))

    report.attempt(look)
    return report


def _options_report(path: Path) -> Report:
    from ..convert.bilm_options import config_from_options, read_options

    report = Report("JSON file", path)
    options = report.attempt(lambda: read_options(path))
    if options is not None:
        report.sections["Options"] = list(flat_rows(options))
        config = report.attempt(lambda: config_from_options(options, path=path, vocab_size=1))
        if config is not None:
            report.title = "Options of a biLM"
            is_sized = config.token_encoder == "characters" or "n_tokens_vocab" in options
            report.sections["Sizes"] = _size_rows(config) if is_sized else []
    return report


def _size_rows(config: "ElmoConfig") -> Rows:
    from ..convert.bilm_layout import n_parameters
    from ..models.elmo.config import SIZES, ElmoConfig

    count = n_parameters(config)
    released = [name for name in SIZES if n_parameters(ElmoConfig.sized(name)) == count]
    name = f" (the released size {released[0]!r})" if released else ""
    width = f"{config.width:,} in each of {config.n_layers + 1:,} layers"
    return [("reads", config.token_encoder), ("parameters", f"{count:,}{name}"), ("vectors", width)]


def _add_arrays(report: Report, file: Any, found: Arrays) -> None:
    """A file whose arrays have names: weights, a table of words, or something else."""
    from ..convert.bilm_layout import is_of_a_bilm

    names = [name for name in found if is_of_a_bilm(name)]
    if names == ["embedding"]:
        report.title = "Vectors of words (bilm-tf)"
    elif names:
        report.title = "Weights of a biLM (bilm-tf)"
        _add_weights(report, file, found)
    else:
        report.problems.append(Errors.G213.format(path=report.path, missing="all", found=", ".join(found) or "nothing"))
    report.sections["Arrays"] = [(ascii(name)[1:-1], _array_text(array)) for name, array in found.items()]


def _array_text(array: "StoredArray") -> str:
    return f"{' × '.join(f'{size:,}' for size in array.shape) or 'one number'}, {array.dtype}"


def _add_weights(report: Report, file: Any, found: Arrays) -> None:
    from ..convert.bilm_hdf5 import OPTIONS, check_bilm, read_tensors
    from ..convert.bilm_layout import options_from_shapes, usual_name
    from ..convert.bilm_options import read_options

    facts = options_from_shapes({usual_name(name): array.shape for name, array in found.items()})
    beside = report.path.with_name(OPTIONS)
    if beside.is_file():
        settings = report.attempt(lambda: read_options(beside))
    else:
        settings = _nested({"bidirectional": False, "char_cnn.n_characters": 262, **facts})
    report.sections["Sizes, by the arrays"] = [(name, as_text(fact)) for name, fact in facts.items()]
    report.sections["Options"] = [("file", str(beside) if beside.is_file() else f"no {OPTIONS} beside it")]

    def check() -> None:
        config, _ = check_bilm(found, settings, path=report.path, options_path=beside)
        report.sections["Sizes"] = _size_rows(config)
        for _ in read_tensors(file, found, config):
            pass  # each array is looked at and let go

    if settings is not None:
        report.attempt(check)


def _nested(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Options by their full names as options.json holds them, with `char_cnn` if there are characters."""
    nested: Dict[str, Any] = {}
    has_characters = "char_cnn.embedding.dim" in options
    for full_name, value in options.items():
        *sections, name = full_name.split(".")
        if has_characters or sections != ["char_cnn"]:
            place = nested
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = value
    return nested


def _add_vectors(report: Report, file: Any) -> None:
    """A file of vectors by sentence number, as bilm-tf and `extract` write it."""
    from ..convert.hdf5_files import describe_array

    report.title = "Vectors of sentences (bilm-tf's layout)"
    numbers = [name for name in islice(file, _MOST_SENTENCES) if name.isdecimal()]
    arrays = [describe_array(file, name) for name in numbers]
    layouts = sorted({(array.dtype, *array.shape[:-2], "tokens", *array.shape[-1:]) for array in arrays}, key=str)
    n_tokens = sum(array.shape[-2] for array in arrays if len(array.shape) > 1)
    rows: List[Any] = [("sentences", f"{len(file):,}")]
    rows.append(("tokens", f"{n_tokens:,}" + (" in the first of them" if len(file) > len(numbers) else "")))
    rows += [("each", " × ".join(map(str, layout[1:])) + f", {layout[0]}") for layout in layouts[:8]]
    report.sections["Vectors"] = rows
    if len(layouts) > 1 or any(array.storage or len(array.shape) not in (2, 3) for array in arrays):
        reason = "its sentences differ in layers, width or type, or their data is packed or elsewhere"
        report.problems.append(Errors.G236.format(path=report.path, reason=reason))
