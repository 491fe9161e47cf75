"""Start a model from a checkpoint: weights by name and shape, rows of tables by the word or character they are for."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from ..errors import Errors
from ..models.checkpoint import WEIGHTS, Checkpoint, read_checkpoint
from .row_match import RowMatch, match_rows, row_labels
from .slots import remap_slots


@dataclass
class InitReport:
    """What became of each weight.

    copied (List[str]): Taken from the checkpoint.
    by_word (Dict[str, int]): Tables with a row per word or character, of which so many rows were taken.
    new_rows (Dict[str, int]): Rows of these tables that the checkpoint has nothing for.
    dropped_rows (Dict[str, int]): Rows of the checkpoint's tables that are not used.
    new (List[str]): Left as they were: the checkpoint has nothing of that name and shape, or they are excluded.
    dropped (List[str]): In the checkpoint and not used.
    slots (str): What became of the optimiser's memory.
    origin (Dict[str, Any]): Which checkpoint it was: its name, the SHA-256 of its weights, how it was trained.
    """

    copied: List[str] = field(default_factory=list)
    by_word: Dict[str, int] = field(default_factory=dict)
    new_rows: Dict[str, int] = field(default_factory=dict)
    dropped_rows: Dict[str, int] = field(default_factory=dict)
    new: List[str] = field(default_factory=list)
    dropped: List[str] = field(default_factory=list)
    slots: str = "new"
    origin: Dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """One line per kind, for the terminal."""
        lines = [f"copied {len(self.copied)} weights from the checkpoint"]
        lines += [
            f"copied {rows} rows of {name} by word; {self.new_rows[name]} new, {self.dropped_rows[name]} dropped"
            for name, rows in self.by_word.items()
        ]
        lines += [
            f"{label}: {', '.join(names)}" for label, names in (("new", self.new), ("dropped", self.dropped)) if names
        ]
        return "\n".join([*lines, f"memory of the optimiser: {self.slots}"])


@torch.no_grad()
def initialize_from(
    model: nn.Module,
    directory: Union[str, Path],
    *,
    kind: str,
    vocab: Optional[List[str]],
    indexer: Optional[Mapping[str, Any]] = None,
    exclude: Sequence[str] = (),
    optimizer: Optional[torch.optim.Optimizer] = None,
) -> InitReport:
    """Copy what fits from a checkpoint into a model, and into its optimiser.

    A row of a table is copied where both models have its word or character; a new row stays what the objective began it
    with. For a biLM's soft-max that started from counts, it is nearly 0 with the bias that the new text's count tells:
    45 steps after a change of vocabulary this was as good as the mean of the copied rows (5.167 against 5.169 nats).

    model (nn.Module): Changed in place.
    directory (Union[str, Path]): Checkpoint directory. If it stands in a run's directory, the newest training state
        beside it tells the optimiser's memory.
    kind (str): The kind the checkpoint must be of.
    vocab (Optional[List[str]]): The model's words.
    indexer (Optional[Mapping[str, Any]]): The model's `[indexer]` section.
    exclude (Sequence[str]): Patterns of names to leave alone, e.g. "*decoder*"; "optimizer" for its memory.
    optimizer (Optional[Optimizer]): Of the model; changed in place. None: there is none.
    RETURNS (InitReport): What became of each weight.
    RAISES: ValueError G203 for another kind, G312 if no word is shared, G313 if nothing fits; as `read_checkpoint`.
    """
    checkpoint = read_checkpoint(directory)
    if checkpoint.kind != kind:
        raise ValueError(Errors.G203.format(path=directory, found=checkpoint.kind, expected=kind))
    if checkpoint.vocab and vocab and not set(checkpoint.vocab) & set(vocab):
        raise ValueError(Errors.G312.format(path=directory))
    report, matches = InitReport(origin=_origin(checkpoint)), {}
    for name, target in model.state_dict().items():
        source = checkpoint.state.get(name)
        if source is None or _is_excluded(name, exclude):
            report.new.append(name)
            continue
        match = _match_rows(name, source, target, checkpoint, model=model, vocab=vocab, indexer=indexer)
        if match is not None:
            target[match.here] = source[match.there].to(target)
            matches[name] = match
        elif source.shape == target.shape:
            target.copy_(source)
            report.copied.append(name)
        else:
            report.new.append(name)
    _count_rows(report, matches)
    used = {*report.copied, *report.by_word}
    report.dropped = [name for name in checkpoint.state if name not in used]
    if not used:
        raise ValueError(Errors.G313.format(path=directory, model=checkpoint.model))
    if optimizer is not None and not _is_excluded("optimizer", exclude):
        report.slots = remap_slots(optimizer, model, Path(directory), copied=report.copied, matches=matches)
    return report


def _origin(checkpoint: Checkpoint) -> Dict[str, Any]:
    meta = checkpoint.meta
    story = {"name": meta.get("name"), "sha256": meta.get("sha256", {}).get(WEIGHTS), "training": meta.get("training")}
    return {key: value for key, value in story.items() if value is not None}


def _is_excluded(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _match_rows(
    name: str,
    source: Tensor,
    target: Tensor,
    checkpoint: Checkpoint,
    *,
    model: nn.Module,
    vocab: Optional[List[str]],
    indexer: Optional[Mapping[str, Any]],
) -> Optional[RowMatch]:
    """The rows that both have; None for weights whose rows stand for nothing, or for the same in the same order."""
    config: Any = getattr(model, "config", None)
    cutoffs = checkpoint.model.get("adaptive_cutoffs", ()), getattr(config, "adaptive_cutoffs", ())
    letters = checkpoint.model.get("characters", ""), getattr(config, "characters", "")
    old: Dict[str, Any] = {"vocab": checkpoint.vocab, "indexer": checkpoint.indexer}
    new: Dict[str, Any] = {"vocab": vocab, "indexer": indexer or {}}
    there = row_labels(name, source, **old, cutoffs=cutoffs[0], alphabet=letters[0])
    here = row_labels(name, target, **new, cutoffs=cutoffs[1], alphabet=letters[1])
    has_equal_rows = source.dim() == target.dim() and source.shape[1:] == target.shape[1:]
    return match_rows(there, here) if has_equal_rows else None


def _count_rows(report: InitReport, matches: Mapping[str, RowMatch]) -> None:
    for name, match in matches.items():
        report.by_word[name] = len(match.here)
        report.new_rows[name] = match.n_here - len(match.here)
        report.dropped_rows[name] = match.n_there - len(match.there)
