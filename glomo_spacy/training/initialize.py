"""Start a model from a checkpoint: weights by name and shape, rows of word tables by word."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from ..errors import Errors
from ..models.checkpoint import Checkpoint, read_checkpoint


@dataclass
class InitReport:
    """What became of each weight.

    copied (List[str]): Taken from the checkpoint.
    by_word (Dict[str, int]): Word tables, of which so many rows were taken; the other rows stay new.
    new (List[str]): Left as they were: the checkpoint has nothing of that name and shape, or they are excluded.
    dropped (List[str]): In the checkpoint and not used.
    """

    copied: List[str] = field(default_factory=list)
    by_word: Dict[str, int] = field(default_factory=dict)
    new: List[str] = field(default_factory=list)
    dropped: List[str] = field(default_factory=list)

    def summary(self) -> str:
        """One line per kind, for the terminal."""
        lines = [f"copied {len(self.copied)} weights from the checkpoint"]
        lines += [f"copied {rows} rows of {name} by word" for name, rows in self.by_word.items()]
        lines += [
            f"{label}: {', '.join(names)}" for label, names in (("new", self.new), ("dropped", self.dropped)) if names
        ]
        return "\n".join(lines)


@torch.no_grad()
def initialize_from(
    model: nn.Module, directory: Union[str, Path], *, kind: str, vocab: Optional[List[str]], exclude: Sequence[str] = ()
) -> InitReport:
    """Copy what fits from a checkpoint into a model.

    model (nn.Module): Changed in place.
    directory (Union[str, Path]): Checkpoint directory.
    kind (str): The kind the checkpoint must be of.
    vocab (Optional[List[str]]): The model's words. If they differ from the checkpoint's, tables with one row per word
        are copied row by row for the words that both have.
    exclude (Sequence[str]): Patterns of names to leave alone, e.g. "*decoder*".
    RETURNS (InitReport): What became of each weight.
    RAISES: ValueError G203 for another kind, G312 if no word is shared, G313 if nothing fits; as `read_checkpoint`.
    """
    checkpoint = read_checkpoint(directory)
    if checkpoint.kind != kind:
        raise ValueError(Errors.G203.format(path=directory, found=checkpoint.kind, expected=kind))
    rows = _shared_rows(checkpoint.vocab, vocab)
    if rows is not None and not len(rows):
        raise ValueError(Errors.G312.format(path=directory))
    report = InitReport()
    for name, target in model.state_dict().items():
        source = checkpoint.state.get(name)
        if source is None or any(fnmatchcase(name, pattern) for pattern in exclude):
            report.new.append(name)
        elif rows is not None and _is_word_table(source, target, checkpoint, vocab):
            target[rows[:, 1]] = source[rows[:, 0]].to(target)
            report.by_word[name] = len(rows)
        elif source.shape == target.shape:
            target.copy_(source)
            report.copied.append(name)
        else:
            report.new.append(name)
    used = {*report.copied, *report.by_word}
    report.dropped = [name for name in checkpoint.state if name not in used]
    if not used:
        raise ValueError(Errors.G313.format(path=directory, model=checkpoint.model))
    return report


def _shared_rows(source: Optional[List[str]], target: Optional[List[str]]) -> Optional[Tensor]:
    """Pairs of (row there, row here) of words that both vocabularies have; None if they are the same, or absent.

    Shape: (shared, 2).
    """
    if source is None or target is None or source == target:
        return None
    here = {word: row for row, word in enumerate(target)}
    pairs = [(row, here[word]) for row, word in enumerate(source) if word in here]
    return torch.tensor(pairs, dtype=torch.long).view(-1, 2)


def _is_word_table(source: Tensor, target: Tensor, checkpoint: Checkpoint, vocab: Optional[List[str]]) -> bool:
    """Whether both have one row per word of their vocabulary, and rows of the same shape."""
    if source.dim() == 0 or target.dim() == 0 or source.shape[1:] != target.shape[1:]:
        return False
    return len(source) == len(checkpoint.vocab or ()) and len(target) == len(vocab or ())
