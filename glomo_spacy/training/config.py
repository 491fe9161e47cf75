"""A pretraining config: read, overridden from the command line and checked, before any work starts.

Every section is a dataclass, so that its fields, their types and their docstring are the reference of the config file.
A name that no dataclass knows is an error with the nearest known names; so is a missing name or a wrong type.
"""

import difflib
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import (
    Any,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from confection import Config

from ..errors import Errors

SectionT = TypeVar("SectionT")

_TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Paths:
    """[paths]

    corpus (Optional[str]): Directory written by `prepare`.
    output (Optional[str]): Directory for checkpoints, training state and logs; made if absent.
    """

    corpus: Optional[str]
    output: Optional[str]


@dataclass(frozen=True)
class System:
    """[system]

    seed (int): Start of every random sequence: weights, dropout, data order, positions, negatives.
    device (str): "auto" (the first GPU if there is one), "cpu", "gpu" or "gpu:N".
    precision (str): "32-true" or "bf16-mixed" (bfloat16 products, float32 weights); evaluation is always float32.
    threads (Optional[int]): Threads of torch on the CPU; null: torch's default. With one, resuming is exact to the bit.
    compile (bool): Fuse the step with `torch.compile`; pays off only in long runs with `corpora.vary = false`.
    """

    seed: int
    device: str
    precision: str
    threads: Optional[int]
    compile: bool


@dataclass(frozen=True)
class Pretraining:
    """[pretraining]: budget, rhythm and the parts of the loop. At least one `max_` must be a number; the first one
    that is reached ends the run, and schedules are laid over it.

    max_epochs (Optional[float]): Passes over the training text.
    max_steps (Optional[int]): Updates of the weights.
    max_tokens (Optional[int]): Tokens in all windows seen; windows overlap, so this counts most tokens of a text twice.
    max_seconds (Optional[float]): Seconds spent in training steps, evaluation and saving left out.
    accumulate (int): Batches per update.
    clip (Optional[float]): Largest norm of all gradients together; null: no limit.
    average_decay (Optional[float]): Evaluate and keep an exponential moving average of the weights, this share of it
        kept per update, e.g. 0.999; null: the weights themselves.
    average (Optional[Dict]): Sub-section: a plain mean of the weights in its place, whose `name` chooses when it
        begins; null or no such section: none.
    log_every (int): Steps between lines of the log. Reading the loss makes the processor wait for the GPU.
    evaluate_every (int): Steps between evaluations; each also writes the training state and the checkpoints.
    save_every (Optional[int]): Steps between training states besides those of evaluations, so that a run that is killed
        loses less; null: none.
    patience (Optional[int]): The run ends after so many evaluations without a new best; null: never early.
    tensorboard (bool): Also write TensorBoard event files.
    objective, optimizer, schedule, evaluation (Dict): Sub-sections; `name` chooses, the rest are its settings.
    """

    max_epochs: Optional[float]
    max_steps: Optional[int]
    max_tokens: Optional[int]
    max_seconds: Optional[float]
    accumulate: int
    clip: Optional[float]
    average_decay: Optional[float]
    log_every: int
    evaluate_every: int
    tensorboard: bool
    objective: Dict[str, Any]
    optimizer: Dict[str, Any]
    schedule: Dict[str, Any]
    evaluation: Dict[str, Any]
    patience: Optional[int] = None
    average: Optional[Dict[str, Any]] = None
    save_every: Optional[int] = None

    def __post_init__(self) -> None:
        budget = (self.max_epochs, self.max_steps, self.max_tokens, self.max_seconds)
        if all(limit is None for limit in budget):
            raise ValueError(Errors.G145)
        for name in (
            "max_epochs",
            "max_steps",
            "max_tokens",
            "max_seconds",
            "accumulate",
            "clip",
            "log_every",
            "evaluate_every",
            "save_every",
            "patience",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(Errors.G141.format(name=f"pretraining.{name}", expected="above 0", value=value))
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            expected = "between 0 and 1, or null"
            raise ValueError(
                Errors.G141.format(name="pretraining.average_decay", expected=expected, value=self.average_decay)
            )
        if self.average and self.average_decay:
            raise ValueError(Errors.G331)


def load_config(path: Union[str, Path], *, overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """Read a config file and lay overrides over it.

    path (Union[str, Path]): The file, in the format of spaCy's configs.
    overrides (Optional[Mapping[str, Any]]): Values by dotted name, e.g. {"model.width": 64}; they are in place before
        `${section.name}` references are resolved.
    RETURNS (Config): All sections, references resolved. Names and types are checked later, section by section.
    RAISES: G144 (ValueError) if the file cannot be read; G140 if an override names an unknown section.
    """
    return resolve_references(read_config(path, overrides=overrides), path=path)


def read_config(path: Union[str, Path], *, overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """As `load_config`, with `${section.name}` references left as they are written."""
    try:
        config = Config().from_disk(path, interpolate=False)
    except (OSError, ValueError) as error:
        raise ValueError(Errors.G144.format(path=path, reason=_one_line(error))) from error
    for name, value in (overrides or {}).items():
        set_value(config, name, value)
    return config


def resolve_references(config: Config, *, path: Union[str, Path]) -> Config:
    """A config with the values that its references name. RAISES: G144 (ValueError) if one names nothing."""
    try:
        return config.interpolate()
    except ValueError as error:
        raise ValueError(Errors.G144.format(path=path, reason=_one_line(error))) from error


def set_value(config: Config, name: str, value: Any) -> None:
    """Set one value, new or not, by its dotted name. RAISES: G140 (ValueError) without such a section."""
    *sections, key = name.split(".")
    node: Any = config
    for depth, section in enumerate(sections):
        if not isinstance(node.get(section), dict):
            where = ".".join(sections[: depth + 1])
            raise ValueError(Errors.G140.format(name=name, nearest=_nearest(where, _section_names(config))))
        node = node[section]
    node[key] = value


def parse_overrides(arguments: Sequence[str]) -> Dict[str, Any]:
    """Read spaCy-style overrides from the command line.

    arguments (Sequence[str]): E.g. ["--model.width", "64", "--system.device=cpu"]. Values are read as JSON where they
        are JSON (numbers, true, null, lists), else as text.
    RETURNS (Dict[str, Any]): Values by dotted name.
    RAISES: G143 (ValueError) for an argument of another form.
    """
    overrides: Dict[str, Any] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument[2:].partition("=")
        if not argument.startswith("--") or "." not in name:
            raise ValueError(Errors.G143.format(argument=argument))
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise ValueError(Errors.G143.format(argument=argument))
            value = waiting.pop(0)
        try:
            overrides[name] = json.loads(value)
        except ValueError:
            overrides[name] = value
    return overrides


def build_section(section: Type[SectionT], *, name: str, values: Any, extra: Tuple[str, ...] = ()) -> SectionT:
    """Make a section's dataclass from the values of the config, checked by name and type.

    section (Type): The dataclass. Fields without a default must be in the config.
    name (str): The section's dotted name, for messages.
    values (Any): What the config holds under that name; None if the section is missing.
    extra (Tuple[str, ...]): Names that belong to somebody else and are skipped, e.g. "name" of a choice.
    RETURNS (SectionT): The section.
    RAISES: G140 (ValueError) for an unknown name, G142 for missing names, G141 for a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ValueError(Errors.G142.format(section=name, names="the section itself"))
    types = get_type_hints(section)
    entries: Tuple[Any, ...] = fields(cast(Any, section))
    known = [entry.name for entry in entries]
    for key in values:
        if key not in known and key not in extra:
            nearest = _nearest(f"{name}.{key}", [f"{name}.{option}" for option in [*known, *extra]])
            raise ValueError(Errors.G140.format(name=f"{name}.{key}", nearest=nearest))
    required = [entry.name for entry in entries if entry.default is MISSING and entry.default_factory is MISSING]
    missing = [key for key in required if key not in values]
    if missing:
        raise ValueError(Errors.G142.format(section=name, names=", ".join(missing)))
    return section(**{key: _checked(values[key], types[key], f"{name}.{key}") for key in known if key in values})


def build_choice(table: Mapping[str, Type[SectionT]], *, name: str, values: Any) -> SectionT:
    """Make the dataclass that a section's `name` chooses from a table.

    table (Mapping[str, Type]): Dataclasses by the name that configs use.
    name (str): The section's dotted name.
    values (Any): What the config holds under that name.
    RETURNS (SectionT): The section.
    RAISES: G142 (ValueError) without a `name`, G100 for one that is not in the table, else as `build_section`.
    """
    if not isinstance(values, Mapping) or "name" not in values:
        raise ValueError(Errors.G142.format(section=name, names="name"))
    if values["name"] not in table:
        raise ValueError(Errors.G100.format(name=f"{name}.name", value=values["name"], options=", ".join(table)))
    return build_section(table[values["name"]], name=name, values=values, extra=("name",))


def check_sections(config: Mapping[str, Any], *, known: Sequence[str]) -> None:
    """Raise G140 for a top-level section that nobody reads."""
    for section in config:
        if section not in known:
            raise ValueError(Errors.G140.format(name=section, nearest=_nearest(section, known)))


def _checked(value: Any, expected: Any, name: str) -> Any:
    """The value in its declared type; whole numbers may be written as 2e7, and a number may be whole."""
    options = get_args(expected) if get_origin(expected) is Union else (expected,)
    for option in options:
        origin = get_origin(option) or option
        if origin is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if origin is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if origin is tuple and isinstance(value, list):
            return tuple(value)
        if option is Any or (isinstance(value, origin) and not (origin is int and isinstance(value, bool))):
            return value
    wanted = " or ".join(
        _TYPE_NAMES.get(option, "a table" if get_origin(option) is dict else "a list") for option in options
    )
    raise ValueError(Errors.G141.format(name=name, expected=wanted, value=value))


def _nearest(name: str, known: Sequence[str]) -> str:
    return ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known)


def _section_names(config: Mapping[str, Any], prefix: str = "") -> List[str]:
    names = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            names += [prefix + key, *_section_names(value, f"{prefix}{key}.")]
    return names


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
