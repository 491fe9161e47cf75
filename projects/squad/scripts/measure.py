"""Answer all held-out questions with a trained reader and score the answers by the official definition.

    python scripts/measure.py training/sm/glove corpus/trained metrics/sm/glove --size sm

Writes predictions.json, which anyone's official script scores the same, and figures.json.
"""

import json
from pathlib import Path
from typing import Any, Dict, Optional

import torch
import typer

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.feature_store import StoredLayers
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.evaluation.squad_scorer import score
from glomo_spacy.files import atomic_write
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models.checkpoint import build_model, read_checkpoint
from glomo_spacy.models.qa import ReaderModel
from glomo_spacy.models.qa.sources import GraphSource, load_sources
from glomo_spacy.training.reader_evaluation import Reading, predict
from glomo_spacy.training.reader_inputs import ReaderInputs


def main(
    training: Path = typer.Argument(..., help="Output of a run", exists=True, file_okay=False),
    corpus: Path = typer.Argument(..., help="The corpus it was trained on", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Folder for predictions.json and figures.json"),
    size: str = typer.Option(..., help="What the size of the reader is called in tables"),
    split: str = typer.Option("dev", help="The questions to answer"),
    batch_tokens: int = typer.Option(8192, help="Tokens of contexts per batch; the answers do not depend on it", min=1),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
) -> None:
    """Answer, score, and keep both."""
    device = "cpu" if gpu_id < 0 else f"cuda:{gpu_id}"
    questions, reader = SquadCorpus(corpus), TrainedReader(training / "model-best")
    predictions = predict(
        reader.model.to(device),
        reader.inputs(questions).to(torch.device(device)),
        questions.split(split),
        reading=reader.reading(batch_tokens),
        device=device,
    )
    measures = score(questions.split(split).gold, predictions)
    figures = {"variant": training.name, "size": size, **measures, **describe(reader.meta, training / "log.jsonl")}
    output.mkdir(parents=True, exist_ok=True)
    for name, content in (("predictions", predictions), ("figures", figures)):
        with atomic_write(output / f"{name}.json", text=True) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=None if name == "predictions" else 2) + "\n")
    scores = f"exact match {measures['exact_match']:.2f}, F1 {measures['f1']:.2f}"
    print(f"✔ {output}: {scores}, {measures['total']:,} questions")


class TrainedReader:
    """A reader as a run left it, and the frozen models it reads with.

    checkpoint (Path): The run's `model-best`.
    """

    def __init__(self, checkpoint: Path) -> None:
        stored = read_checkpoint(checkpoint)
        self.meta = stored.meta
        self.model: ReaderModel = build_model(stored, source=str(checkpoint)).eval()
        self.graphs, self.elmo = load_sources(self.model.config)
        has_words = self.model.config.n_words and stored.vocab
        self._indexer = WordIndexer.from_config(stored.indexer, stored.vocab or []) if has_words else None
        self._settings: Dict[str, Any] = stored.meta["training"]["config"]["corpora"]

    def inputs(self, corpus: SquadCorpus, *, graphs: Optional[GraphSource] = None) -> ReaderInputs:
        """What the reader is given of this corpus; `graphs` stands in for its own."""
        layers: Any = self.elmo
        if self.elmo is not None and self._settings["elmo_store"]:
            source = str(self.model.config.elmo_source)
            layers = StoredLayers(self._settings["elmo_store"], weights=self.elmo.sha256, source=source)
        graphs = graphs or self.graphs
        return ReaderInputs(corpus.types, self.model.config, indexer=self._indexer, graphs=graphs, elmo=layers)

    def reading(self, batch_tokens: int) -> Reading:
        """Windows as in training."""
        return Reading(self._settings["max_context"], self._settings["stride"], batch_tokens)


def describe(meta: Dict[str, Any], log: Path) -> Dict[str, Any]:
    """What a table says of a run besides its scores."""
    training, text = meta["training"], meta["provenance"]["corpus"]
    rows = [json.loads(line) for line in log.read_text(encoding="utf8").splitlines()]
    curve = [(row["step"], row["f1"]) for row in rows if row["event"] == "evaluation"]
    return {
        "vectors": vectors_name(training, text),
        "fraction": training["config"]["corpora"]["train_fraction"] or 1.0,
        "seed": training["seed"],
        "step": training["step"],
        "epoch": round(training["epoch"], 2),
        "minutes": round(max(row.get("seconds", 0) for row in rows) / 60, 1),
        "hardware": training["hardware"],
        "threads": training["threads"],
        "curve": curve,
    }


def vectors_name(training: Dict[str, Any], corpus: Dict[str, Any]) -> Optional[str]:
    """The word vectors that were read; None if the reader has none."""
    has_vectors = training["config"]["pretraining"]["objective"]["word_vectors"]
    return corpus["vectors"]["file"] if has_vectors else None  # type: ignore[no-any-return]


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
