"""What `info` says of a Mogrifier language model beside what it says of every checkpoint."""

from typing import TYPE_CHECKING, Any, Dict

from ._report import Rows

if TYPE_CHECKING:
    from ..models.checkpoint import Checkpoint

# Where weights are, by the start of their names.
_PARTS = {
    "word vectors": "embedding.",
    "layers": "body.",
    "output layer": "output.",
    "spelling": "spelling.",
}


def mogrifier_rows(checkpoint: "Checkpoint") -> Rows:
    """What its layers compute, how it takes unknown words, and how many numbers each part has.

    checkpoint (Checkpoint): Of kind "mogrifier".
    RETURNS (Rows): Names and values. Settings that do not fit together are not explained: `build_model` names them.
    """
    settings = checkpoint.model
    rows = [("computes", _layers_text(settings)), ("predicts", _words_text(settings))]
    for part, prefix in _PARTS.items():
        count = sum(tensor.numel() for name, tensor in checkpoint.state.items() if name.startswith(prefix))
        rows += [(part, f"{count:,} numbers")] if count else []
    return rows


def _layers_text(settings: Dict[str, Any]) -> str:
    cell, n_layers = settings.get("cell", "?"), settings.get("n_layers", "?")
    text = f"{n_layers} × {cell} of width {settings.get('hidden_width', '?')}"
    if cell == "mogrifier":
        rank = settings.get("rank")
        text += f", {settings.get('rounds', '?')} gating rounds of {'full rank' if rank is None else f'rank {rank}'}"
    return text


def _words_text(settings: Dict[str, Any]) -> str:
    tables = "one table for words read and predicted" if settings.get("tied") else "a table of its own"
    spelled = "are spelled" if settings.get("spelling_width") else "are all alike"
    return f"{settings.get('softmax', '?')} soft-max with {tables}; unknown words {spelled}"
