"""Training state on disk: everything a run needs to go on as if it had never stopped.

A state is a directory `training/step-000004000` with `state.safetensors` (weights, optimiser moments, averages) and
`state.json` (counters, schedule, random generators, position in the data, per process). It is written whole or not at
all, holds no pickles, and the last two are kept, so that a run survives being killed at any moment.
"""

import base64
import json
import random
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import Errors
from ..files import atomic_directory
from .averaging import WeightAverage

FORMAT_VERSION = 1
FOLDER, TENSORS, VALUES = "training", "state.safetensors", "state.json"
N_KEPT = 2  # the newest, and the one before in case a disk damages the newest


def save_state(output: Path, *, step: int, tensors: Dict[str, Tensor], values: Dict[str, Any]) -> Path:
    """Write the state of a step and drop all but the last two.

    output (Path): The run's directory.
    step (int): Updates done; names the state.
    tensors (Dict[str, Tensor]): By name.
    values (Dict[str, Any]): JSON values, and tensors or arrays small enough to stand in JSON.
    RETURNS (Path): The state's directory.
    RAISES: OSError G900 if the disk is full; earlier states stay.
    """
    folder = output / FOLDER / f"step-{step:09d}"
    text = json.dumps({"format_version": FORMAT_VERSION, **_to_json(values)})
    with atomic_directory(folder, overwrite=True) as partial:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / TENSORS)
        (partial / VALUES).write_text(text, encoding="utf8")
    for old in list_states(output)[:-N_KEPT]:
        shutil.rmtree(old)
    return folder


def list_states(output: Path) -> List[Path]:
    """The complete states of a run, oldest first."""
    return sorted(folder for folder in (output / FOLDER).glob("step-*") if folder.is_dir())


def load_state(folder: Path) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Read a state.

    folder (Path): One of `list_states`.
    RETURNS (Tuple[Dict[str, Tensor], Dict[str, Any]]): Tensors on the CPU, and values.
    RAISES: ValueError G301 if it cannot be read or is of another format.
    """
    try:
        values = _from_json(json.loads((folder / VALUES).read_text(encoding="utf8")))
        # Copies: tensors that point into the file may be unaligned, and another alignment rounds differently.
        tensors = {name: tensor.clone() for name, tensor in load_file(folder / TENSORS).items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(Errors.G301.format(path=folder, reason=error)) from error
    if values.get("format_version") != FORMAT_VERSION:
        reason = f"format {values.get('format_version')}, expected {FORMAT_VERSION}"
        raise ValueError(Errors.G301.format(path=folder, reason=reason))
    return tensors, values


def check_output(output: Path, *, resume: bool) -> None:
    """Never start over a run by accident, and never resume one that is not there.

    RAISES: ValueError G308 if `output` holds states and the run is new, G309 if it holds none and is to be resumed.
    """
    states = list_states(output)
    if states and not resume:
        raise ValueError(Errors.G308.format(output=output, step=int(states[-1].name.partition("-")[2])))
    if resume and not states:
        raise ValueError(Errors.G309.format(output=output))


def load_newest(
    output: Path, *, config: Mapping[str, Any], world_size: int
) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Read the newest state and check that this run continues that one.

    output (Path): The run's directory.
    config (Mapping[str, Any]): Of this run. Budgets, rhythm, paths and rates may differ; what is learned, from what and
        in which order may not.
    world_size (int): Processes of this run.
    RETURNS (Tuple[Dict[str, Tensor], Dict[str, Any]]): As `load_state`.
    RAISES: ValueError G301 if it cannot be read, G310 for other settings, G311 for another number of processes.
    """
    folder = list_states(output)[-1]
    tensors, values = load_state(folder)
    before, now = _fixed_settings(values["config"]), _fixed_settings(config)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
        raise ValueError(Errors.G310.format(changes=changes))
    if len(values["ranks"]) != world_size:
        raise ValueError(Errors.G311.format(path=folder, found=len(values["ranks"]), expected=world_size))
    return tensors, values


def _fixed_settings(config: Mapping[str, Any]) -> Dict[str, Any]:
    """What must not change between sessions of a run, by dotted name."""
    pretraining = config["pretraining"]
    values = {f"model.{name}": value for name, value in config["model"].items()}
    values |= {f"corpora.{name}": value for name, value in config["corpora"].items() if name != "provenance"}
    values |= {f"pretraining.objective.{name}": value for name, value in pretraining["objective"].items()}
    values |= {f"pretraining.{part}.name": pretraining[part]["name"] for part in ("optimizer", "schedule")}
    for name in ("multipliers", "starts"):  # they order the groups
        values[f"pretraining.optimizer.{name}"] = pretraining["optimizer"].get(name) or {}
    values["pretraining.average_decay"] = pretraining["average_decay"]
    values["pretraining.average"] = pretraining.get("average")
    values["system.seed"] = config["system"]["seed"]
    return values


def gather(own: Dict[str, Any], *, world_size: int) -> List[Any]:
    """The JSON forms of every process's values, in order of rank; each process must call it."""
    text = json.dumps(_to_json(own))
    if world_size == 1:
        return [_from_json(json.loads(text))]
    texts: List[Any] = [None] * world_size
    torch.distributed.all_gather_object(texts, text)
    return [_from_json(json.loads(entry)) for entry in texts]


def run_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage) -> Dict[str, Tensor]:
    """All tensors of a run, under the prefixes model, optimizer and average."""
    return {
        **with_prefix("model", model.state_dict()),
        **with_prefix("optimizer", optimizer_tensors(optimizer)),
        **with_prefix("average", average.state_dict()),
    }


def load_run_tensors(
    tensors: Dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage
) -> None:
    """Undo `run_tensors`."""
    model.load_state_dict(without_prefix("model", tensors))
    load_optimizer_tensors(optimizer, without_prefix("optimizer", tensors))
    average.load_state_dict(without_prefix("average", tensors))


def parameter_names(optimizer: torch.optim.Optimizer, model: nn.Module) -> List[str]:
    """Names of an optimiser's parameters in the order in which its state numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Dict[str, Tensor]:
    """An optimiser's moments by `parameter/name`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}/{name}": value
        for index, moments in state.items()
        for name, value in moments.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`; rates and other settings stay those of the config."""
    state: Dict[int, Dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def with_prefix(prefix: str, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Put a prefix before each name."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Take what stands under a prefix."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")}


def random_state(device: torch.device) -> Dict[str, Any]:
    """The global random generators: torch on the processor and on the device, numpy, Python."""
    return {
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def set_random_state(state: Dict[str, Any], device: torch.device) -> None:
    """Undo `random_state`; a device generator is left alone if the state comes from another kind of device."""
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["device"] is not None:
        torch.cuda.set_rng_state(state["device"], device)
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def _to_json(value: Any) -> Any:
    """JSON with tuples, arrays and tensors marked, so that `_from_json` gives back the same types."""
    if isinstance(value, dict):
        return {str(key): _to_json(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return {"__tuple__": [_to_json(entry) for entry in value]}
    if isinstance(value, list):
        return [_to_json(entry) for entry in value]
    if isinstance(value, Tensor):
        return {"__tensor__": _to_json(value.detach().cpu().numpy())}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"__array__": data, "dtype": value.dtype.str, "shape": list(value.shape)}
    return value.item() if isinstance(value, np.generic) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "__tuple__" in value:
        return tuple(_from_json(entry) for entry in value["__tuple__"])
    if "__tensor__" in value:
        return torch.from_numpy(_from_json(value["__tensor__"]))
    if "__array__" in value:
        data = np.frombuffer(base64.b64decode(value["__array__"]), dtype=np.dtype(value["dtype"]))
        return data.reshape(value["shape"]).copy()
    return {key: _from_json(entry) for key, entry in value.items()}
