"""The options.json of a biLM, which stands beside bilm-tf's weights: sizes and variant, in and out.

Source: allenai/bilm-tf README and `bin/train_elmo.py`. The table of characters has 261 rows while training; prediction
puts a row of zeros before them and counts 262. Either number is read; 262 is written, as readers expect it.
"""

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from ..errors import Errors
from ..models.elmo import ElmoConfig

PathLike = Union[str, Path]
Options = Dict[str, Any]

N_STORED_CHARACTERS, N_CHARACTERS = 261, 262  # without and with the row that means "no token"

# Our setting, their option by its full name, and what it is where the option is missing (... : it must be there).
_LSTM = (
    ("cell_width", "lstm.dim", ...),
    ("projection_width", "lstm.projection_dim", ...),
    ("n_layers", "lstm.n_layers", ...),
    ("cell_clip", "lstm.cell_clip", None),
    ("proj_clip", "lstm.proj_clip", None),
    ("use_skip_connections", "lstm.use_skip_connections", False),
)
_CHARACTERS = (
    ("char_width", "char_cnn.embedding.dim", ...),
    ("filters", "char_cnn.filters", ...),
    ("n_highway", "char_cnn.n_highway", 0),
    ("max_characters", "char_cnn.max_characters_per_token", 50),
    ("activation", "char_cnn.activation", "relu"),
)
_WORDS = (("vocab_size", "n_tokens_vocab", None),)

_LARGEST = 1 << 20  # bytes; published files have some hundred
_MOST_CHARACTERS = 1000  # of a word: every word's ids take that room
# What the options tell of the training run, kept as provenance.
_HISTORY = ("n_train_tokens", "n_epochs", "batch_size", "unroll_steps", "dropout", "n_negative_samples_batch")


def read_options(path: PathLike) -> Options:
    """Read options.json as a JSON object; `config_from_options` looks at what it says.

    RAISES: FileNotFoundError G219 if there is none; ValueError G217 if it is no JSON object or very large.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(Errors.G219.format(path=path))
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST:,} bytes")
        options = json.loads(path.read_text(encoding="utf8"))
        if not isinstance(options, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(Errors.G217.format(path=path, reason=error)) from None
    return options


def write_options(path: PathLike, options: Options) -> None:
    """Write options.json."""
    Path(path).write_text(json.dumps(options, indent=2) + "\n", encoding="utf8")


def config_from_options(options: Options, *, path: PathLike, vocab_size: Optional[int] = None) -> ElmoConfig:
    """Our sizes and variant, as far as options.json tells them.

    options (Options): As `read_options` gives them. Without `char_cnn` the model takes words.
    path (PathLike): Named in errors.
    vocab_size (Optional[int]): Words of a model that takes words, where the options do not say it.
    RETURNS (ElmoConfig): Without softmax.
    RAISES: ValueError G217 for a missing, unknown or impossible value, G218 for another number of characters.
    """
    reads = "characters" if "char_cnn" in options else "words"
    table = (*_LSTM, *(_CHARACTERS if reads == "characters" else _WORDS))
    fields = {ours: _look_up(options, theirs, default, path) for ours, theirs, default in table}
    for name, least in (("n_highway", 0), ("vocab_size", vocab_size), ("use_skip_connections", False)):
        if name in fields and fields[name] is None:  # null says the same as leaving it out
            fields[name] = least
    n_characters = _look_up(options, "char_cnn.n_characters", ..., path) if reads == "characters" else N_CHARACTERS
    if n_characters not in (N_STORED_CHARACTERS, N_CHARACTERS):
        raise ValueError(Errors.G218.format(path=path, found=f"n_characters {n_characters!r}"))
    is_both = _look_up(options, "bidirectional", True, path)
    for name, flag in (("bidirectional", is_both), ("lstm.use_skip_connections", fields["use_skip_connections"])):
        if not isinstance(flag, bool):
            raise ValueError(Errors.G217.format(path=path, reason=f"{name} must be true or false, but is {flag!r}"))
    longest = fields.get("max_characters", 0)
    if isinstance(longest, int) and longest > _MOST_CHARACTERS:
        reason = f"char_cnn.max_characters_per_token is {longest:,}, and at most {_MOST_CHARACTERS:,} are read"
        raise ValueError(Errors.G217.format(path=path, reason=reason))
    try:
        return ElmoConfig(token_encoder=reads, directions="both" if is_both else "forward", **fields)
    except ValueError as error:
        raise ValueError(Errors.G217.format(path=path, reason=_in_their_names(str(error)))) from None


def options_from_config(config: ElmoConfig) -> Options:
    """What bilm-tf and AllenNLP need to read the weights of a model."""
    options: Options = {"bidirectional": config.directions == "both"}
    for ours, theirs, _ in (*_LSTM, *(_CHARACTERS if config.token_encoder == "characters" else _WORDS)):
        *sections, name = theirs.split(".")
        place = options
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = getattr(config, ours)
    if config.token_encoder == "characters":
        options["char_cnn"]["filters"] = [list(group) for group in config.filters]
        options["char_cnn"]["n_characters"] = N_CHARACTERS
    return options


def flat(options: Mapping[str, Any], *, prefix: str = "") -> Dict[str, Any]:
    """Every option by its full name, such as `lstm.dim`."""
    found: Dict[str, Any] = {}
    for name, value in options.items():
        found.update(flat(value, prefix=f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def history(options: Options) -> Dict[str, Any]:
    """What the options tell of the training run, as provenance."""
    return {name: options[name] for name in _HISTORY if isinstance(options.get(name), (int, float))}


def _look_up(options: Options, full_name: str, default: Any, path: PathLike) -> Any:
    place: Any = options
    for depth, name in enumerate(parts := full_name.split(".")):
        if not isinstance(place, dict):
            reason = f"{'.'.join(parts[:depth])} must be a JSON object, but is {place!r:.40}"
            raise ValueError(Errors.G217.format(path=path, reason=reason))
        if name not in place:
            if default is ...:
                raise ValueError(Errors.G217.format(path=path, reason=f"{full_name} is missing"))
            return default
        place = place[name]
    return place


def _in_their_names(message: str) -> str:
    """What is wrong with a setting of ours, as a part of a sentence about their option."""
    reason = message.partition("] ")[2].removesuffix(".")
    for ours, theirs, _ in (*_LSTM, *_CHARACTERS, *_WORDS):
        if reason.startswith(f"{ours} "):
            return theirs + reason.removeprefix(ours)
    return reason
