"""The options.json of a biLM: sizes and variant beside bilm-tf's weights, in and out.

Source: allenai/bilm-tf README and `bin/train_elmo.py`. The table of characters has 261 rows while training; prediction
puts a row of zeros before them and counts 262. Either number is read, and 262 is written, which readers expect.
"""

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from ..errors import Errors
from ..models.elmo import ElmoConfig

PathLike = Union[str, Path]
Options = Dict[str, Any]

N_STORED_CHARACTERS, N_CHARACTERS = 261, 262  # without and with the row that means "no token"
_LARGEST = 1 << 20  # bytes; published files have some hundred
_MOST_CHARACTERS = 1000  # of a word: rows of ids are that wide
# What a training run has put down, kept as provenance.
_HISTORY = ("n_train_tokens", "n_epochs", "batch_size", "unroll_steps", "dropout", "n_negative_samples_batch")


def read_options(path: PathLike) -> Options:
    """Read options.json, bounded and as a JSON object; `config_from_options` looks at what it says.

    RAISES: FileNotFoundError G219 if there is none; ValueError G217 if it is no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(Errors.G219.format(path=path))
    if path.stat().st_size > _LARGEST:
        raise ValueError(Errors.G217.format(path=path, reason=f"it is larger than {_LARGEST:,} bytes"))
    try:
        options = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(Errors.G217.format(path=path, reason=error)) from None
    if not isinstance(options, dict):
        raise ValueError(Errors.G217.format(path=path, reason="it holds no JSON object"))
    return options


def config_from_options(options: Mapping[str, Any], *, path: PathLike, vocab_size: Optional[int] = None) -> ElmoConfig:
    """Our sizes and variant, as far as options.json tells them.

    options (Mapping[str, Any]): As `read_options` gives them. Without `char_cnn` the model takes words.
    path (PathLike): Named in errors.
    vocab_size (Optional[int]): Words of a model that takes words, if not in the options.
    RETURNS (ElmoConfig): Without softmax.
    RAISES: ValueError G217 for a missing, unknown or impossible value, G218 for another number of characters.
    """
    lstm = _section(options, "lstm", path)
    fields: Dict[str, Any] = {
        "cell_width": _required(lstm, "lstm.dim", path),
        "projection_width": _required(lstm, "lstm.projection_dim", path),
        "n_layers": _required(lstm, "lstm.n_layers", path),
        "cell_clip": lstm.get("cell_clip"),
        "proj_clip": lstm.get("proj_clip"),
        "use_skip_connections": _flag(lstm.get("use_skip_connections"), "lstm.use_skip_connections", path),
        "directions": "both" if _flag(options.get("bidirectional", True), "bidirectional", path) else "forward",
    }
    if "char_cnn" in options:
        fields.update(_character_fields(_section(options, "char_cnn", path), path))
    else:
        fields.update(token_encoder="words", vocab_size=options.get("n_tokens_vocab", vocab_size))
    try:
        return ElmoConfig(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(Errors.G217.format(path=path, reason=error)) from None


def options_from_config(config: ElmoConfig) -> Options:
    """What bilm-tf and AllenNLP need to read the weights of a model."""
    lstm = {
        "dim": config.cell_width,
        "projection_dim": config.projection_width,
        "n_layers": config.n_layers,
        "cell_clip": config.cell_clip,
        "proj_clip": config.proj_clip,
        "use_skip_connections": config.use_skip_connections,
    }
    options: Options = {"bidirectional": config.directions == "both", "lstm": lstm}
    if config.token_encoder == "words":
        return {**options, "n_tokens_vocab": config.vocab_size}
    options["char_cnn"] = {
        "embedding": {"dim": config.char_width},
        "filters": [list(group) for group in config.filters],
        "n_highway": config.n_highway,
        "n_characters": N_CHARACTERS,
        "max_characters_per_token": config.max_characters,
        "activation": config.activation,
    }
    return options


def write_options(path: PathLike, options: Options) -> None:
    """Write options.json."""
    Path(path).write_text(json.dumps(options, indent=2) + "\n", encoding="utf8")


def flat(options: Mapping[str, Any], *, prefix: str = "") -> Dict[str, Any]:
    """Every option by its full name, such as `lstm.dim`."""
    found: Dict[str, Any] = {}
    for name, value in options.items():
        found.update(flat(value, prefix=f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def history(options: Mapping[str, Any]) -> Dict[str, Any]:
    """What the options tell of the training run, as provenance."""
    return {name: options[name] for name in _HISTORY if isinstance(options.get(name), (int, float))}


def _character_fields(char_cnn: Mapping[str, Any], path: PathLike) -> Dict[str, Any]:
    n_characters = _required(char_cnn, "char_cnn.n_characters", path)
    if n_characters not in (N_STORED_CHARACTERS, N_CHARACTERS):
        raise ValueError(Errors.G218.format(path=path, found=f"n_characters {n_characters!r}"))
    max_characters = char_cnn.get("max_characters_per_token", 50)
    if isinstance(max_characters, int) and max_characters > _MOST_CHARACTERS:
        reason = f"char_cnn.max_characters_per_token is {max_characters:,}, at most {_MOST_CHARACTERS:,} are read"
        raise ValueError(Errors.G217.format(path=path, reason=reason))
    return {
        "char_width": _required(_section(char_cnn, "char_cnn.embedding", path), "char_cnn.embedding.dim", path),
        "filters": _required(char_cnn, "char_cnn.filters", path),
        "n_highway": char_cnn.get("n_highway") or 0,
        "max_characters": max_characters,
        "activation": char_cnn.get("activation", "relu"),
    }


def _section(values: Mapping[str, Any], name: str, path: PathLike) -> Mapping[str, Any]:
    section = _required(values, name, path)
    if not isinstance(section, dict):
        raise ValueError(Errors.G217.format(path=path, reason=f"{name} is no JSON object"))
    return section


def _required(values: Mapping[str, Any], name: str, path: PathLike) -> Any:
    """A value by the last part of its full name."""
    key = name.rpartition(".")[2]
    if key not in values:
        raise ValueError(Errors.G217.format(path=path, reason=f"{name} is missing"))
    return values[key]


def _flag(value: Any, name: str, path: PathLike) -> bool:
    if value not in (None, True, False):
        raise ValueError(Errors.G217.format(path=path, reason=f"{name} must be true or false, but is {value!r}"))
    return bool(value)
