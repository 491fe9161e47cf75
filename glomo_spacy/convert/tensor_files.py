"""Read a foreign state dict: safetensors, or a `.pt` file without unpickling objects."""

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any, Dict, Mapping, Union

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import Errors

PathLike = Union[str, Path]

_PARALLEL_PREFIX = "module."  # of networks wrapped for several devices


def read_state_dict(path: PathLike) -> Dict[str, Tensor]:
    """Named tensors of a file, names without the prefix `module.`.

    path (PathLike): `.safetensors`, or anything else as torch saves it; there the dict may stand under "state_dict".
    RETURNS (Dict[str, Tensor]): On the CPU, in the stored types.
    RAISES: FileNotFoundError G220; ValueError G201 for damaged safetensors, G221 for any other file that is not a plain
        dict of tensors, or whose tensors claim to be larger than the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(Errors.G220.format(path=path))
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise ValueError(Errors.G201.format(path=path, reason=error)) from None
    else:
        state = _read_torch(path)
    named = {_bare(name): tensor for name, tensor in state.items()}
    if len(named) < len(state):
        raise ValueError(Errors.G221.format(path=path, reason="some names occur with and without 'module.'"))
    return named


def _read_torch(path: Path) -> Dict[str, Tensor]:
    try:
        with warnings.catch_warnings():  # of other pickle protocols; what cannot be read is an error below
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = f"torch.load with weights_only=True says: {_first_sentence(error)}"
        raise ValueError(Errors.G221.format(path=path, reason=reason)) from None
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise ValueError(Errors.G221.format(path=path, reason=f"it holds {_describe(loaded)}"))
    size = path.stat().st_size
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise ValueError(Errors.G221.format(path=path, reason=f"{name!r} is {_describe(tensor)}"))
        if tensor.numel() * tensor.element_size() > size:
            reason = f"{name} claims the shape {tuple(tensor.shape)}, which is larger than the file"
            raise ValueError(Errors.G221.format(path=path, reason=reason))
    return dict(loaded)


def _bare(name: str) -> str:
    return name[len(_PARALLEL_PREFIX) :] if name.startswith(_PARALLEL_PREFIX) else name


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an empty dict"
    if isinstance(value, Tensor):
        return f"a tensor of layout {value.layout}"
    return f"an object of type {type(value).__name__}"


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(error).__name__
