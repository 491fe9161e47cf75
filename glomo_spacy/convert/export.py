"""Checkpoints without what only training needs, and in fewer bits: how weights are packaged."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from ..errors import Errors
from ..indexers import UNKNOWN_WORD
from ..models.checkpoint import Checkpoint, build_model, read_checkpoint, save_checkpoint

PathLike = Union[str, Path]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# By kind: weights by the start of their names, and the settings that say there are none.
_TRAINING_ONLY: Dict[str, Dict[str, Any]] = {
    "elmo": {"weights": "softmax.", "settings": {"softmax": "none", "adaptive_cutoffs": []}},
}

_WORD_TABLE = "words.weight"  # of a reader


class Exported(NamedTuple):
    """What `export_checkpoint` made.

    left_out (List[str]): Weights that only training needs.
    n_weights (int): Numbers kept.
    n_bytes (int): Size of all files.
    """

    left_out: List[str]
    n_weights: int
    n_bytes: int


def export_checkpoint(
    checkpoint: PathLike, output: PathLike, *, dtype: Optional[str] = None, words: Optional[Sequence[str]] = None
) -> Exported:
    """Write a checkpoint again for use alone: a biLM loses its softmax, which is most of it, and the softmax's words.

    checkpoint (PathLike): A checkpoint directory; it stays as it is, for training and evaluation go on from there.
    output (PathLike): The new one; an earlier checkpoint is replaced.
    dtype (Optional[str]): Type in which weights are stored, "float16" for half the size; they are loaded as float32.
        None: as they are.
    words (Optional[Sequence[str]]): Of a reader: the words that keep their vectors, in their new order; the others
        become unknown. None: all.
    RETURNS (Exported): What was left out, and sizes.
    RAISES: ValueError G100 for another type, G235 for weights too large for it, G237 for the same directory; as
        `read_checkpoint`, `build_model` and `save_checkpoint`.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(Errors.G100.format(name="--dtype", value=dtype, options=", ".join(DTYPES)))
    if Path(output).resolve() == Path(checkpoint).resolve():
        raise ValueError(Errors.G237.format(path=checkpoint))
    whole = read_checkpoint(checkpoint) if words is None else with_words(read_checkpoint(checkpoint), words)
    reduced, left_out = without_training(whole)
    stored = {tensor.dtype for tensor in whole.state.values() if tensor.is_floating_point()}
    wanted = DTYPES[dtype] if dtype else (stored.pop() if len(stored) == 1 else None)
    for name, tensor in reduced.state.items():
        if wanted is not None and bool(torch.isfinite(tensor).all() != torch.isfinite(tensor.to(wanted)).all()):
            raise ValueError(Errors.G235.format(path=checkpoint, name=name, dtype=dtype))
    model = build_model(reduced, source=str(checkpoint))
    save_checkpoint(output, model, indexer=reduced.indexer, vocab=reduced.vocab, meta=reduced.meta, dtype=wanted)
    n_bytes = sum(path.stat().st_size for path in Path(output).iterdir())
    return Exported(left_out, sum(tensor.numel() for tensor in reduced.state.values()), n_bytes)


def with_words(whole: Checkpoint, words: Sequence[str]) -> Checkpoint:
    """A reader that knows fewer words.

    whole (Checkpoint): Of kind "reader", with word vectors.
    words (Sequence[str]): Those of its words that it keeps.
    """
    kept, places = [*words, UNKNOWN_WORD], {word: place for place, word in enumerate(whole.vocab or [])}
    rows = whole.state[_WORD_TABLE][[places[word] for word in kept]]  # (words, word_width)
    state, settings = {**whole.state, _WORD_TABLE: rows}, {**whole.model, "n_words": len(kept)}
    return replace(whole, state=state, model=settings, vocab=kept)


def without_training(whole: Checkpoint) -> Tuple[Checkpoint, List[str]]:
    """The checkpoint without what its kind needs in training only, and the names of those weights."""
    meta = {name: value for name, value in whole.meta.items() if name not in ("sha256", "format_version")}
    rule = _TRAINING_ONLY.get(whole.kind)
    left_out = [name for name in whole.state if rule is not None and name.startswith(rule["weights"])]
    if rule is None or not left_out:
        return replace(whole, meta=meta), []
    settings, vocab = {**whole.model, **rule["settings"]}, whole.vocab
    if settings.get("token_encoder") == "characters":  # then the words were the softmax's alone
        settings["vocab_size"], vocab = None, None
    state = {name: tensor for name, tensor in whole.state.items() if name not in left_out}
    return replace(whole, model=settings, state=state, vocab=vocab, meta={**meta, "left_out": left_out}), left_out
