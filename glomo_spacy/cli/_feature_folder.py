"""A folder of features: which sentences each shard holds, how one is made, and which are there.

The text is cut into shards before any vector is computed, by the numbers of its tokens alone. Each shard is then made
by itself, from its tokens and the weights, with one thread and a fresh cache of words: however often the work was
interrupted and however many processes shared it, the files are the same to the byte.

extract.json                 settings, weights and texts; sizes of all shards
features-00000.tokens.txt    one sentence per line, tokens separated by single spaces
features-00000.hdf5          its vectors, or .safetensors
features-00000.done          the vectors are complete: their size and SHA-256
"""

import json
import math
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Tuple

from ..corpora.feature_files import DTYPES, SUFFIXES, read_features, write_features
from ..embedder import STATES
from ..errors import Errors
from ..files import atomic_write, sha256_of

if TYPE_CHECKING:
    from ..embedder import Embedder, Layer

RECORD = "extract.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FeatureSettings:
    """What decides the contents of the files, beside text and weights.

    raw (bool): The text is tokenised and cut into sentences by spaCy; else its lines are tokenised sentences.
    lang (str): Language of the tokeniser, for raw text.
    file_format (str): "hdf5" or "safetensors".
    layer (str): "all", "mean" or the number of one layer.
    dtype (str): Type of the stored numbers: "float32" or "float16".
    state (str): "zero" or "carry", as for `Embedder`.
    shard_tokens (int): Tokens per shard, about. >= 1.
    RAISES: G100 (ValueError) for a value that is not among these; G101 (ValueError) for a size below 1.
    """

    raw: bool = False
    lang: str = "en"
    file_format: str = "hdf5"
    layer: str = "all"
    dtype: str = "float32"
    state: str = "zero"
    shard_tokens: int = 100_000

    def __post_init__(self) -> None:
        for name, options in (("file_format", tuple(SUFFIXES)), ("dtype", DTYPES), ("state", STATES)):
            value = getattr(self, name)
            if value not in options:
                raise ValueError(Errors.G100.format(name=name, value=value, options=", ".join(options)))
        if self.shard_tokens < 1:
            raise ValueError(Errors.G101.format(name="shard_tokens", expected="at least 1", value=self.shard_tokens))
        parse_layer(self.layer)


def parse_layer(text: str) -> "Layer":
    """The layer a command line names: "all", "mean" or a number. RAISES: G100 (ValueError) for anything else."""
    if text in ("all", "mean"):
        return None if text == "all" else "mean"
    try:
        return int(text)
    except ValueError:
        options = "all, mean, or the number of a layer: 0 is the words without context, -1 the topmost"
        raise ValueError(Errors.G100.format(name="layer", value=text, options=options)) from None


@dataclass(frozen=True)
class Shard:
    """A run of consecutive sentences.

    name (str): Such as "features-00000".
    first (int): Number of its first sentence in the whole text, from 0.
    sentences (int): How many there are.
    tokens (int): How many tokens they have.
    """

    name: str
    first: int
    sentences: int
    tokens: int

    @property
    def keys(self) -> List[str]:
        """Under what its sentences are stored."""
        return [str(number) for number in range(self.first, self.first + self.sentences)]


class FeatureFolder:
    """A folder with its record read.

    path (Path): The folder, as `create` made it.
    RAISES: G058 (ValueError) if its record is damaged or of another format.

    Attributes:
    record (Dict[str, Any]): What stands in `extract.json`.
    settings (FeatureSettings): How it is made.
    shards (List[Shard]): All of them, whether made or not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = read_record(path / RECORD)
        try:
            self.settings = FeatureSettings(**{name.name: self.record[name.name] for name in fields(FeatureSettings)})
            self.shards = [Shard(**shard) for shard in self.record["shards"]]
            self._layers = () if parse_layer(self.settings.layer) is not None else (int(self.record["n_layers"]),)
            self._width = int(self.record["width"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(Errors.G058.format(path=path / RECORD, reason=repr(error))) from error

    @classmethod
    def create(cls, path: Path, sentences: Iterable[List[str]], *, header: Dict[str, Any]) -> "FeatureFolder":
        """Make the folder with the tokens of each shard and the record. It appears whole.

        path (Path): If an equal folder was made there by another process in the meantime, that one stays.
        sentences (Iterable[List[str]]): All of the text; it is read once and not kept.
        header (Dict[str, Any]): What the record says beside the shards: settings, `n_layers`, `width` and whatever
            tells one extraction from another.
        """
        partial = path.parent / f".{path.name}.partial-{os.getpid()}-{secrets.token_hex(4)}"
        partial.mkdir(parents=True)
        try:
            # A carried state depends on all of the text before: there is one shard then, whatever its size.
            limit = math.inf if header["state"] == "carry" else header["shard_tokens"]
            shards = list(_write_tokens(partial, sentences, shard_tokens=limit))
            totals = {name: sum(getattr(shard, name) for shard in shards) for name in ("sentences", "tokens")}
            record = {"format_version": FORMAT_VERSION, **header, **totals}
            _write_json(partial / RECORD, {**record, "shards": [asdict(shard) for shard in shards]})
            try:
                partial.rename(path)
            except OSError:
                if not (path / RECORD).is_file():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    @property
    def summary(self) -> Dict[str, Any]:
        """The record without its list of shards, as stored in each file."""
        return {name: value for name, value in self.record.items() if name != "shards"}

    def tokens(self, shard: Shard) -> Iterator[List[str]]:
        """The sentences of a shard."""
        with (self.path / f"{shard.name}.tokens.txt").open(encoding="utf8", newline="\n") as lines:
            for line in lines:
                yield line[:-1].split(" ") if len(line) > 1 else []

    def features(self, shard: Shard) -> Path:
        """Where the vectors of a shard stand."""
        return self.path / f"{shard.name}{SUFFIXES[self.settings.file_format]}"

    def is_made(self, shard: Shard) -> bool:
        """Whether the marker of a shard is there and its vectors have the size the marker says."""
        try:
            marker = json.loads(self._marker(shard).read_text(encoding="utf8"))
            return bool(self.features(shard).stat().st_size == marker["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def missing(self) -> List[Shard]:
        """The shards that are not made yet."""
        return [shard for shard in self.shards if not self.is_made(shard)]

    def make(self, shard: Shard, *, embedder: "Embedder", progress: Callable[[int], Any]) -> None:
        """Compute the vectors of one shard and mark it.

        embedder (Embedder): With the weights and the state of the record.
        progress (Callable[[int], Any]): Called with the number of tokens of each sentence.
        RAISES: OSError G900 if the disk is full.
        """
        vectors = embedder.stream(self.tokens(shard), layer=parse_layer(self.settings.layer))
        path, shapes = self.features(shard), self._shapes([shard])
        with write_features(path, shapes=shapes, dtype=self.settings.dtype, record=self.summary) as write:
            for key, array in zip(shard.keys, vectors, strict=True):
                write(key, array)
                progress(array.shape[-2])
        _write_json(self._marker(shard), {"bytes": path.stat().st_size, "sha256": sha256_of(path)})

    def read(self, shard: Shard) -> "Iterator[Tuple[List[str], Any]]":
        """The sentences of a shard, each with its array, float32."""
        with read_features(self.features(shard)) as read:
            for key, sentence in zip(shard.keys, self.tokens(shard), strict=True):
                yield sentence, read(key)

    def join(self, path: Path) -> None:
        """Copy all shards into one file, and their tokens into NAME.tokens.txt beside it."""
        shapes = self._shapes(self.shards)
        with atomic_write(path.with_suffix(".tokens.txt")) as together:
            for shard in self.shards:
                together.write((self.path / f"{shard.name}.tokens.txt").read_bytes())
        with write_features(path, shapes=shapes, dtype=self.settings.dtype, record=self.summary) as write:
            for shard in self.shards:
                with read_features(self.features(shard)) as read:
                    for key in shard.keys:
                        write(key, read(key))

    def _shapes(self, shards: Iterable[Shard]) -> Dict[str, Tuple[int, ...]]:
        return {
            key: (*self._layers, len(sentence), self._width)
            for shard in shards
            for key, sentence in zip(shard.keys, self.tokens(shard), strict=True)
        }

    def _marker(self, shard: Shard) -> Path:
        return self.path / f"{shard.name}.done"


def read_record(path: Path) -> Dict[str, Any]:
    """What a folder's `extract.json` says. RAISES: G058 (ValueError) if it is damaged or of another format."""
    try:
        record = dict(json.loads(path.read_text(encoding="utf8")))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(Errors.G058.format(path=path, reason=error)) from error
    if record.get("format_version") != FORMAT_VERSION:
        reason = f"it is of format {record.get('format_version')}, but this version reads {FORMAT_VERSION}"
        raise ValueError(Errors.G058.format(path=path, reason=reason))
    return record


def _write_tokens(folder: Path, sentences: Iterable[List[str]], *, shard_tokens: float) -> Iterator[Shard]:
    """Write the sentences of shard after shard; one ends with the sentence that reaches `shard_tokens`."""
    waiting = iter(sentences)
    sentence = next(waiting, None)
    number = first = 0
    while sentence is not None:
        n_sentences = n_tokens = 0
        name = f"features-{number:05}"
        with (folder / f"{name}.tokens.txt").open("w", encoding="utf8", newline="\n") as file:
            while sentence is not None and n_tokens < shard_tokens:
                file.write(" ".join(map(_without_spaces, sentence)) + "\n")
                n_sentences, n_tokens = n_sentences + 1, n_tokens + len(sentence)
                sentence = next(waiting, None)
        yield Shard(name, first=first, sentences=n_sentences, tokens=n_tokens)
        number, first = number + 1, first + n_sentences


def _without_spaces(token: str) -> str:
    """Some tokenisers give tokens with a space inside; with a no-break space it stays one token of the file."""
    return "\u00a0".join(token.split()) if any(letter.isspace() for letter in token) else token


def _write_json(path: Path, content: Dict[str, Any]) -> None:
    with atomic_write(path, text=True) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
