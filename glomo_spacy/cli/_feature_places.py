"""What stands where features shall go: nothing, those of an earlier call, or something that must not be touched."""

import shutil
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

from ..corpora.feature_files import read_record
from ..errors import Errors
from ._feature_folder import RECORD, FeatureFolder


def open_folder(path: Path, sentences: Iterable[List[str]], *, header: Dict[str, Any]) -> FeatureFolder:
    """The folder of an earlier call with the same text, weights and settings; else a new one.

    path (Path): Where it stands or shall stand.
    sentences (Iterable[List[str]]): The text; not read if the folder is there.
    header (Dict[str, Any]): All that decides the contents.
    RAISES: G047 (ValueError) if the folder was made otherwise; G050 (FileExistsError) if something else stands there.
    """
    if (path / RECORD).is_file():
        folder = FeatureFolder(path)
        check_same(folder.record, header, path=path)
        return folder
    if path.exists():
        if not path.is_dir() or any(path.iterdir()):
            raise FileExistsError(Errors.G050.format(path=path))
        path.rmdir()
    return FeatureFolder.create(path, sentences, header=header)


def check_same(record: Dict[str, Any], header: Dict[str, Any], *, path: Path) -> None:
    """See that features were made from the same text and weights with the same settings.

    RAISES: G050 (FileExistsError) if there is no record; G047 (ValueError) with what differs.
    """
    if not record:
        raise FileExistsError(Errors.G050.format(path=path))
    changes = [
        f"{name} was {_short(record.get(name))}, is {_short(value)}"
        for name, value in header.items()
        if record.get(name) != value and name != "model"  # a copy elsewhere has the same weights
    ]
    if changes:
        raise ValueError(Errors.G047.format(path=path, changes="; ".join(changes)))


def remove_features(folder: Path, single: Optional[Path]) -> None:
    """Remove earlier features, and nothing else."""
    if (folder / RECORD).is_file():
        shutil.rmtree(folder)
    if single is not None and single.is_file() and read_record(single):
        single.unlink()


def _short(value: Any) -> str:
    is_files = isinstance(value, list)
    text = ", ".join(f"{file['file']} (SHA-256 {file['sha256'][:8]}…)" for file in value) if is_files else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
