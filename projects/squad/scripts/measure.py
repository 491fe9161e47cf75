"""Answer all held-out questions with a trained reader and score the answers by the official definition.

    python scripts/measure.py training/sm/glove corpus/trained metrics/sm/glove --size sm

Writes predictions.json, which anyone's official script scores the same, and figures.json.
"""

import json
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import torch
import typer

from glomo_spacy.corpora.feature_store import StoredLayers
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.evaluation.squad_scorer import score
from glomo_spacy.files import atomic_write
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models.checkpoint import build_model, read_checkpoint
from glomo_spacy.models.qa.sources import load_sources
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
    questions = SquadCorpus(corpus)
    predictions, meta = answer_all(training / "model-best", questions, split, batch_tokens=batch_tokens, device=device)
    measures = score(questions.split(split).gold, predictions)
    figures = {"variant": training.name, "size": size, **measures, **describe(meta, training / "log.jsonl")}
    output.mkdir(parents=True, exist_ok=True)
    for name, content in (("predictions", predictions), ("figures", figures)):
        with atomic_write(output / f"{name}.json", text=True) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=None if name == "predictions" else 2) + "\n")
    scores = f"exact match {measures['exact_match']:.2f}, F1 {measures['f1']:.2f}"
    print(f"✔ {output}: {scores}, {measures['total']:,} questions")


def answer_all(
    checkpoint: Path, corpus: SquadCorpus, split: str, *, batch_tokens: int, device: str
) -> Tuple[Dict[str, str], Dict[str, Any]]:
    """The best answer to each question by its id, and the checkpoint's meta."""
    stored = read_checkpoint(checkpoint)
    model = build_model(stored, source=str(checkpoint)).eval()
    config, settings = model.config, stored.meta["training"]["config"]["corpora"]
    graphs, elmo = load_sources(config)
    layers: Any = elmo
    if elmo is not None and settings["elmo_store"]:
        layers = StoredLayers(settings["elmo_store"], weights=elmo.sha256, source=str(config.elmo_source))
    indexer = WordIndexer.from_config(stored.indexer, stored.vocab) if config.n_words and stored.vocab else None
    inputs = ReaderInputs(corpus.types, config, indexer=indexer, graphs=graphs, elmo=layers)
    reading = Reading(settings["max_context"], settings["stride"], batch_tokens)
    target = torch.device(device)
    predictions = predict(model.to(target), inputs.to(target), corpus.split(split), reading=reading, device=device)
    return predictions, stored.meta


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
    typer.run(main)
