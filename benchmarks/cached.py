"""What does an epoch of training cost when frozen features are kept, and when each epoch computes them again?

    python benchmarks/cached.py                                   the quickstart's tagged sentences
    python benchmarks/cached.py --text train.conllu --sentences 500 --epochs 5 --features elmo "elmo and CNN"

A stock tagger, in batches of 32 in another order each epoch, over features that are frozen: `elmo`, all layers of the
packaged biLM under a learned mixture; `elmo and CNN`, the same beside spaCy's HashEmbedCNN, which learns; `mogrifier`,
the states of the language model; `graphs`, what words over such a CNN receive along relational graphs. Contenders:
without `glomo_spacy.Cached.v1`, with it in memory, and with a folder that an earlier run filled. On one thread, in
processor time; *difference* is the largest between the trained weights and those of the first contender.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]

import numpy as np  # noqa: E402
import spacy  # noqa: E402
import torch  # noqa: E402
from glomo import machine, print_table  # noqa: E402
from spacy.language import Language  # noqa: E402
from spacy.tokens import Doc  # noqa: E402
from spacy.training import Example  # noqa: E402
from spacy.util import fix_random_seed, minibatch  # noqa: E402

SAMPLE = ROOT / "projects" / "quickstart" / "data" / "ewt" / "train.conllu"
BATCH = 32  # sentences
Section = Dict[str, Any]
Sentence = Tuple[List[str], List[str]]  # words and tags

CNN: Section = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 96, "depth": 4}
CNN.update(embed_size=2000, window_size=1, maxout_pieces=3, subword_features=True)


def features(name: str, options: argparse.Namespace, cache: Optional[Section]) -> Section:
    """The section of a tok2vec with one frozen part, kept or not."""

    def frozen(section: Section) -> Section:
        return section if cache is None else {"@architectures": "glomo_spacy.Cached.v1", "tok2vec": section, **cache}

    layers = {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": options.elmo, "layers": "all"}
    if name == "mogrifier":
        return frozen({"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": options.mogrifier})
    if name == "graphs":
        graph = frozen({"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": options.glomo})
        return {"@architectures": "glomo_spacy.GraphTransfer.v1", "tok2vec": CNN, "graph": graph}
    mixed = {"@architectures": "glomo_spacy.ScalarMix.v1", "tok2vec": frozen(layers), "n_layers": 3}
    if name == "elmo":
        return mixed
    return {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"elmo": mixed, "cnn": CNN}}


def make_pipeline(section: Section) -> Language:
    nlp = spacy.blank("en")
    model = nlp.add_pipe("tok2vec", config={"model": section}).model  # type: ignore[attr-defined]
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": model.get_dim("nO"), "upstream": "tok2vec"}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    return nlp


def train(section: Section, sentences: List[Sentence], *, epochs: int) -> Tuple[List[float], List[np.ndarray]]:
    """Processor seconds of each epoch, and the trained weights."""
    fix_random_seed(0)
    nlp, order, seconds = make_pipeline(section), random.Random(0), []
    examples = [Example.from_dict(Doc(nlp.vocab, words=words), {"tags": tags}) for words, tags in sentences]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(epochs):
        order.shuffle(examples)
        start = time.process_time()
        for batch in minibatch(examples, BATCH):
            nlp.update(batch, sgd=optimizer, drop=0.1)
        seconds.append(time.process_time() - start)
    tagger = nlp.get_pipe("tagger").model  # type: ignore[attr-defined]
    return seconds, [node.get_param(name) for node in tagger.walk() for name in node.param_names]


def measure(name: str, options: argparse.Namespace) -> List[Dict[str, Any]]:
    """The first epoch, which computes what is not there, and the median of the others."""
    sentences = read_sentences(options.text)[: options.sentences]
    n_words = sum(len(words) for words, _ in sentences)
    results: List[Dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        in_memory, in_folder = {"max_mb": options.max_mb}, {"max_mb": options.max_mb, "path": folder}
        train(features(name, options, in_folder), sentences, epochs=1)
        contenders = {"each epoch": None, "kept": in_memory, "kept in a folder": in_folder}
        exact: List[np.ndarray] = []
        for contender, cache in contenders.items():
            seconds, weights = train(features(name, options, cache), sentences, epochs=options.epochs)
            exact = exact or weights
            later = statistics.median(seconds[1:])
            result = {"task": f"{name}, {len(sentences)} sentences, {n_words} words", "contender": contender}
            result |= {"first epoch s": seconds[0], "other epochs s": later}
            first = results[0] if results else result
            result["times as fast"] = round(first["other epochs s"] / later, 2)
            result["difference"] = max(float(np.abs(a - b).max()) for a, b in zip(exact, weights, strict=True))
            results.append(result)
    return results


def read_sentences(path: Path) -> List[Sentence]:
    """Words and their language-specific tags, from CoNLL-U."""
    sentences = []
    for block in path.read_text(encoding="utf8").strip().split("\n\n"):
        lines = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        tokens = [columns for columns in lines if columns[0].isdigit()]
        sentences.append(([columns[1] for columns in tokens], [columns[4] for columns in tokens]))
    return sentences


FEATURES = ("elmo", "elmo and CNN", "mogrifier", "graphs")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=FEATURES)
    parser.add_argument("--text", type=Path, default=SAMPLE, help="tagged sentences in CoNLL-U")
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=5, help="at least 2")
    parser.add_argument("--max-mb", type=int, default=512)
    parser.add_argument("--elmo", default="elmo_en_sm")
    parser.add_argument("--mogrifier", default="mogrifier_en_sm")
    parser.add_argument("--glomo", default="glomo_en_sm")
    parser.add_argument("--output", type=Path, default=None, help="JSON file; default: only the table")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    results: List[Dict[str, Any]] = []
    for name in options.features:
        results += measure(name, options)
        print_table(results[-3:])
    if options.output:
        report = {"machine": machine(), "options": {**vars(options), "text": options.text.name}, "results": results}
        report["options"]["output"] = options.output.name
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf8")
    print(f"\n{json.dumps(machine())}")


if __name__ == "__main__":
    main()
