"""Layers of a biLM that were extracted once, found again by the words of a text: what `extract` wrote, for training."""

import json
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Tuple

import torch
from torch import Tensor

from ..errors import Errors
from ..files import PathLike
from ..models.qa.sources import pad_layers
from .feature_files import SUFFIXES, Read, read_features
from .squad_alignment import training_window, windows
from .squad_corpus import NO_ANSWER, SquadCorpus, SquadSplit

RECORD = "extract.json"


class StoredLayers:
    """The layers of every text of a corpus, on disk. What is remembered of a text is its digest and its place.

    directory (PathLike): Folder written by `glomo-spacy extract`, all layers, whole.
    weights (str): SHA-256 of the biLM's weights.
    source (str): The biLM, for messages.
    RAISES: ValueError G356 if it was extracted from other weights, G357 if it is not whole or holds something else.
    """

    def __init__(self, directory: PathLike, *, weights: str, source: str) -> None:
        self.directory = Path(directory)
        record = _read_record(self.directory)
        if record["weights"] != weights:
            found = {"path": directory, "found": record["weights"][:12], "source": source, "expected": weights[:12]}
            raise ValueError(Errors.G356.format(**found))
        suffix = SUFFIXES[record["file_format"]]
        self._files = [self.directory / f"{shard['name']}{suffix}" for shard in record["shards"]]
        self._places: Dict[bytes, Tuple[int, int]] = {}
        for number, shard in enumerate(record["shards"]):
            if not (self.directory / f"{shard['name']}.done").is_file() or not self._files[number].is_file():
                raise ValueError(Errors.G357.format(path=directory, reason=f"{shard['name']} is missing"))
            tokens = self.directory / f"{shard['name']}.tokens.txt"
            for place, line in enumerate(tokens.read_text(encoding="utf8").split("\n")[:-1], start=shard["first"]):
                self._places[_digest(line)] = (number, place)
        self._open: Dict[int, Read] = {}
        self._stack = ExitStack()

    def layers(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """The layers of some texts, float32.

        texts (Sequence[Sequence[str]]): Tokens of each.
        RETURNS (Tensor): Token vectors first, 0 at padding. Shape: (batch, layers + 1, seq, width).
        RAISES: ValueError G355 for a text that was not extracted, G058 for a damaged file.
        """
        return pad_layers([torch.from_numpy(self._read(text)) for text in texts])

    def require(self, texts: Iterable[Sequence[str]]) -> None:
        """See that texts were extracted. RAISES: ValueError G355 for the first that was not."""
        for text in texts:
            self._place(text)

    def _place(self, text: Sequence[str]) -> Tuple[int, int]:
        """The shard of a text and its number."""
        place = self._places.get(_digest(" ".join(text)))
        if place is None:
            begin = " ".join(text[:5])
            raise ValueError(Errors.G355.format(path=self.directory, n_tokens=len(text), text=begin))
        return place

    def _read(self, text: Sequence[str]) -> Any:
        shard, number = self._place(text)
        if shard not in self._open:
            self._open[shard] = self._stack.enter_context(read_features(self._files[shard]))
        return self._open[shard](str(number))


def corpus_texts(corpus: SquadCorpus, *, max_context: int, stride: int) -> Iterator[List[str]]:
    """Every text that a reader of a corpus reads, each once: contexts or their windows, and questions.

    corpus (SquadCorpus): The questions.
    max_context (int), stride (int): As in the reader's [corpora].
    YIELDS (List[str]): Tokens.
    """
    seen = set()
    for name in corpus.record["splits"]:
        for ids in _split_texts(corpus.split(name), max_context=max_context, stride=stride):
            text = [corpus.types[index] for index in ids.tolist()]
            digest = _digest(" ".join(text))
            if digest not in seen:
                seen.add(digest)
                yield text


def _split_texts(split: SquadSplit, *, max_context: int, stride: int) -> Iterable[Any]:
    lengths = split.context_lengths
    for context in range(split.n_contexts):
        for begin, end in windows(int(lengths[context]), size=max_context, stride=stride):
            yield split.context(context)[begin:end]
    for question, (context, span) in enumerate(zip(split.context_of.tolist(), split.answer_spans.tolist())):
        if lengths[context] > max_context and span[0] != NO_ANSWER:
            begin, end = training_window(int(lengths[context]), (span[0], span[1]), size=max_context)
            yield split.context(context)[begin:end]
        yield split.question_tokens(question)


def _read_record(directory: Path) -> Dict[str, Any]:
    try:
        record: Dict[str, Any] = json.loads((directory / RECORD).read_text(encoding="utf8"))
        held = {name: record[name] for name in ("layer", "state")}
        record["weights"], record["file_format"], record["shards"]  # they must be there
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.G357.format(path=directory, reason=repr(error))) from error
    if held != {"layer": "all", "state": "zero"}:
        reason = f"it holds layer {held['layer']!r} with state {held['state']!r}, not all layers with state 'zero'"
        raise ValueError(Errors.G357.format(path=directory, reason=reason))
    return record


def _digest(line: str) -> bytes:
    return blake2b(line.encode("utf8", "surrogatepass"), digest_size=16).digest()
