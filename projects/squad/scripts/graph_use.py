"""What of its graphs does a trained reader use? Change them while it answers, and see what it loses.

    python scripts/graph_use.py training/sm/glove-graphs corpus/trained metrics/sm/glove-graphs/graph_use.json

Nothing is trained again. A reader that loses nothing when its learned heads look evenly at a text does not use what
they learned. Writes the figures of each change, and how much of its mixtures the reader gives to learned heads.
"""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
import typer
from measure import TrainedReader
from torch import Tensor, nn
from wasabi import Printer

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.files import atomic_write
from glomo_spacy.models.glomo.mixing import GraphTransfer
from glomo_spacy.models.qa import ReaderModel
from glomo_spacy.models.qa.sources import GraphSource
from glomo_spacy.training.reader_evaluation import measure

KEPT, EVEN, ABSENT = "kept", "even", "absent"
CHANGES = {  # what becomes of learned heads, and of heads with a fixed window
    "as trained": (KEPT, KEPT),
    "learned heads look evenly": (EVEN, KEPT),
    "without learned heads": (ABSENT, KEPT),
    "without fixed windows": (KEPT, ABSENT),
    "without graphs": (ABSENT, ABSENT),
}
OF_WINDOWS = ("without learned heads", "without fixed windows")
HEADER = ("graphs", "EM", "F1", "loss")


def main(
    training: Path = typer.Argument(..., help="Output of a run along graphs", exists=True, file_okay=False),
    corpus: Path = typer.Argument(..., help="The corpus it was trained on", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="JSON file of figures"),
    max_questions: Optional[int] = typer.Option(None, help="Answer only so many, always the same ones", min=1),
    batch_tokens: int = typer.Option(8192, help="Tokens of contexts per batch; the answers do not depend on it", min=1),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
) -> None:
    """Answer once as trained, and once for each change."""
    device, message = torch.device("cpu" if gpu_id < 0 else f"cuda:{gpu_id}"), Printer()
    questions, reader = SquadCorpus(corpus), TrainedReader(training / "model-best")
    if reader.graphs is None:
        message.fail(f"{training} was trained without learned graphs. Name a run with model.graph inputs or states.")
        raise typer.Exit(1)
    model = reader.model.to(device)
    shares = HeadShares(transfer_of(model))
    figures: Dict[str, Any] = {}
    for name, graphs in changed_sources(reader.graphs).items():
        figures[name] = measure(
            model,
            reader.inputs(questions, graphs=graphs).to(device),
            questions.split("dev"),
            reading=reader.reading(batch_tokens),
            max_questions=max_questions,
            device=device,
        )
    # The features choose the mixtures, so that they are the same each time.
    as_trained = figures["as trained"]
    as_trained["learned_share"] = sum(shares.means()[n_fixed(reader.graphs) :])
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, text=True) as file:
        file.write(json.dumps(figures, indent=2) + "\n")
    rows = [[name, *(f"{row[key]:.2f}" for key in ("exact_match", "f1", "loss"))] for name, row in figures.items()]
    message.table(rows, header=HEADER, divider=True, aligns=("l", "r", "r", "r"))
    share = f"learned heads have {as_trained['learned_share']:.1%} of the mixtures"
    print(f"✔ {output}: {as_trained['n_questions']:,} questions; {share}")


class ChangedGraphs(GraphSource):
    """Another source's graphs, changed.

    source (GraphSource): Where they come from.
    learned (str): What becomes of learned heads: KEPT, EVEN (they look alike at all that they may look at) or ABSENT.
    fixed (str): What becomes of heads that look through a fixed window: KEPT or ABSENT.
    """

    def __init__(self, source: GraphSource, *, learned: str, fixed: str) -> None:
        super().__init__(source.model, source.indexer, sha256=source.sha256)
        self._learned, self._fixed = learned, fixed

    def graphs(self, ids: Tensor, mask: Tensor) -> List[Tensor]:
        """As of `GraphSource`."""
        layers, cut = super().graphs(ids, mask), n_fixed(self)
        evens = even_graphs(mask)
        changed = []
        for number, layer in enumerate(layers):
            even = evens[number >= len(layers) // 2]
            parts = ((layer[:, :cut], self._fixed), (layer[:, cut:], self._learned))
            changed.append(torch.cat([change(heads, how, even) for heads, how in parts], dim=1))
        return changed


def change(heads: Tensor, how: str, even: Tensor) -> Tensor:
    """heads (batch, heads, receiver, source) as they become; `even` (batch, 1, receiver, source)."""
    return {KEPT: heads, EVEN: even.expand_as(heads), ABSENT: torch.zeros_like(heads)}[how]


def even_graphs(mask: Tensor) -> Tuple[Tensor, Tensor]:
    """Rows that look equally at all earlier, and at all later tokens. Shape of each: (batch, 1, receiver, source)."""
    real = (mask[:, None, :, None] & mask[:, None, None, :]).float()
    sides = real.tril(-1), real.triu(1)
    left, right = (side / side.sum(-1, keepdim=True).clamp(min=1) for side in sides)
    return left, right


def changed_sources(source: GraphSource) -> Dict[str, GraphSource]:
    """Each change by its name; those of fixed windows only where there are any."""
    changes = CHANGES if n_fixed(source) else {name: how for name, how in CHANGES.items() if name not in OF_WINDOWS}
    return {name: ChangedGraphs(source, learned=learned, fixed=fixed) for name, (learned, fixed) in changes.items()}


def n_fixed(source: GraphSource) -> int:
    """Heads that look through a fixed window; they stand before the learned ones."""
    return len(source.model.config.fixed_windows)


class HeadShares:
    """How much of a reader's mixtures each head has, over the tokens it has read; not those whose features are all 0.

    transfer (GraphTransfer): The reader's.
    """

    def __init__(self, transfer: GraphTransfer) -> None:
        self._sum, self._n_mixtures = torch.zeros(transfer.config.n_heads, dtype=torch.float64), 0
        transfer.mixture.register_forward_hook(self._add)

    def _add(self, mixture: nn.Module, given: Tuple[Tensor, ...], weights: Tensor) -> None:
        """given: features, 0 at padding, and of words without a vector. weights: See `candidates.mix_graphs`."""
        if weights.dim() > len(mixture.shape):  # one for each position
            weights = weights[given[0].abs().sum(-1) > 0]  # (tokens, directions, mixes, candidates, heads)
        by_head = weights.sum(-2).flatten(0, -2)  # (mixtures, heads)
        self._sum += by_head.sum(0).double().cpu()
        self._n_mixtures += len(by_head)

    def means(self) -> List[float]:
        """The shares so far, which sum to 1."""
        shares: List[float] = (self._sum / max(self._n_mixtures, 1)).tolist()
        return shares


def transfer_of(model: ReaderModel) -> GraphTransfer:
    """Where graphs carry words, or states."""
    transfer = model.trnn.transfer if model.trnn is not None else model.transfer
    assert transfer is not None  # a reader with a source of graphs has it
    return transfer


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
