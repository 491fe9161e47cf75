"""What each head of a trained model does, on held-out text and against syntax.

    python benchmarks/graph_quality.py glomo_spacy/weights/glomo_en_sm --corpus corpus --conllu en_ewt-ud-dev.conllu

Prints one row per learned head: weight by distance, empty rows, how much the receiver matters, and how often the
strongest source is the receiver's syntactic head or dependent, against the share of arcs among all pairs at the same
distances ("chance"). Sentences of five or more words count, each alone. See `glomo_spacy.evaluation.graph_report`.
"""

import argparse
import gzip
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

import torch

from glomo_spacy.corpora import EvalWindows, ShardedCorpus
from glomo_spacy.evaluation.graph_report import arc_chances, count_arcs, report_heads
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models.checkpoint import build_model, read_checkpoint
from glomo_spacy.models.glomo import GlomoModel

SHORTEST = 5  # words of a sentence that counts
Sentence = Tuple[List[str], List[int]]


def read_conllu(path: Path) -> Iterator[Sentence]:
    """Words and syntactic heads (from 0, root -1) of each sentence; ranges and empty nodes are left out."""
    with gzip.open(path, "rt", encoding="utf8") if path.suffix == ".gz" else path.open(encoding="utf8") as file:
        words: List[str] = []
        heads: List[int] = []
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 10 and fields[0].isdigit():
                words.append(fields[1])
                heads.append(int(fields[6]) - 1)
            elif not line.strip() and words:
                yield words, heads
                words, heads = [], []


def arc_table(model: GlomoModel, indexer: WordIndexer, sentences: List[Sentence]) -> Tuple[List[float], List[float]]:
    """Observed and expected share of arcs of every learned head, in the order of `report_heads`."""
    n_fixed = len(model.config.fixed_windows)
    chances = arc_chances([heads for _, heads in sentences])
    totals = torch.zeros(3, 2 * model.config.n_layers * model.config.n_learned_heads)
    sentences = sorted(sentences, key=lambda sentence: len(sentence[0]))
    for start in range(0, len(sentences), 64):
        batch = sentences[start : start + 64]
        lengths = torch.tensor([len(words) for words, _ in batch])
        ids = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
        for row, (words, _) in enumerate(batch):
            ids[row, : len(words)] = torch.from_numpy(indexer.ids(words))
        graphs = model.graphs(ids, torch.arange(ids.shape[1]) < lengths[:, None])[:, :, n_fixed:].flatten(1, 2)
        totals += count_arcs(graphs, [heads for _, heads in batch], chances)
    rows, hits, expected = totals
    return (hits / rows).tolist(), (expected / rows).tolist()


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, help="prepared with the checkpoint's vocabulary")
    parser.add_argument("--conllu", type=Path, help="a treebank in CoNLL-U, plain or .gz")
    parser.add_argument("--length", type=int, default=128, help="tokens per window")
    parser.add_argument("--windows", type=int, default=96)
    arguments = parser.parse_args()
    checkpoint = read_checkpoint(arguments.checkpoint)
    model = build_model(checkpoint, source=str(arguments.checkpoint))
    assert isinstance(model, GlomoModel)
    held_out = ShardedCorpus(arguments.corpus, split="dev")
    batches = EvalWindows(held_out, batch_size=32, bptt=arguments.length, shift=arguments.length)
    full = torch.cat([ids[mask.all(1)] for ids, mask in batches if ids.shape[1] == arguments.length])
    reports = report_heads(model, full[: arguments.windows])
    observed: List[Optional[float]] = [None] * len(reports)
    chance: List[Optional[float]] = [None] * len(reports)
    if arguments.conllu:
        indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or [])
        sentences = [sentence for sentence in read_conllu(arguments.conllu) if len(sentence[0]) >= SHORTEST]
        observed[:], chance[:] = arc_table(model, indexer, sentences)
    print(
        "| head | weight at 1, 2, 3-4, 5-8, 9-16, 17-32, 33-64, 65+ | empty | column share | row variation | swap "
        "| sources | strongest | UD arcs / chance |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for report, seen, expected in zip(reports, observed, chance):
        distances = " ".join(f"{weight:.2f}" for weight in report.weight_by_distance)
        arcs = "" if seen is None or expected is None else f"{seen:.3f} / {expected:.3f} = {seen / expected:.2f}"
        print(
            f"| {report.name} | {distances} | {report.empty_rows:.3f} | {report.column_share:.2f} "
            f"| {report.row_variation:.2f} | {report.swap_share:.2f} | {report.effective_sources:.1f} "
            f"| {report.strongest_weight:.2f} | {arcs} |"
        )


if __name__ == "__main__":
    main()
