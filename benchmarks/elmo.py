"""How fast are ELMo's layers and the pipeline component, against the published computation and other pipelines?

    python benchmarks/elmo.py                                  2,000 sentences of the quickstart's Wikipedia sample
    python benchmarks/elmo.py --text sentences.txt --parts layers --sizes small --rounds 3

Parts: `layers` (all layers of tokenised sentences, in the order of the text and sorted by length), `precision`
(bfloat16 and eight bits beside float32, with the error) and `pipe` (words per second of `nlp.pipe` beside spaCy's stock
tok2vec and, if spacy-transformers is installed, a transformer of DistilBERT's size). The published computation is
`tests/reference/elmo_torch.py`; weights are random but for `pipe`. Contenders take turns in each round, on one thread;
the table gives medians of processor time and of the clock. Word caches are emptied before each turn but for `pipe`.
"""

import argparse
import copy
import json
import os
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import spacy  # noqa: E402
import torch  # noqa: E402
from glomo import Times, machine, print_table, rows  # noqa: E402
from reference.elmo_torch import Transcription  # noqa: E402
from spacy.tokens import Doc  # noqa: E402

from glomo_spacy.indexers import CharIndexer  # noqa: E402
from glomo_spacy.models.elmo import BiLM, ElmoConfig, set_precision  # noqa: E402
from glomo_spacy.models.elmo.lstm import PRECISIONS  # noqa: E402

SAMPLE = ROOT / "projects" / "quickstart" / "data" / "wikipedia.txt"
BATCH = 32  # sentences
TINY = {"filters": ((1, 8), (2, 16)), "projection_width": 8, "cell_width": 16, "n_highway": 1}
Sentences = List[List[str]]
Contenders = Dict[str, Callable[[], Any]]


def new_model(size: str) -> BiLM:
    """Random weights, with characters and words that differ."""
    config = ElmoConfig(**TINY) if size == "tiny" else ElmoConfig.sized(size)
    model = BiLM(config).eval()
    model.attach_indexer(CharIndexer())
    return model


def transcribe(model: BiLM) -> Transcription:
    config = model.config
    names = ("filters", "projection_width", "cell_width", "n_highway", "n_layers")
    transcription = Transcription(**{name: getattr(config, name) for name in names})
    transcription.load_state_dict(model.state_dict())
    return transcription.eval()


def measure_layers(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """All layers, float32, against the published computation in batches of 32."""
    results = []
    for size in options.sizes:
        model = new_model(size)
        transcription = transcribe(model)
        text = tokens_of(options, size)
        for order, sentences in (("unsorted", text), ("sorted", sorted(text, key=len))):
            contenders: Contenders = {
                "published": partial(published, transcription, sentences),
                "ours, batches of 32": partial(ours, model, sentences, batch=BATCH),
                "ours, one call": partial(ours, model, sentences, batch=len(sentences)),
            }
            outputs, times = take_turns(contenders, rounds=options.rounds)
            task = f"layers, {size}, {describe(sentences)}, {order}"
            results += with_speed(rows(task, times), sentences)
            for result in results[-2:]:
                exact, found = outputs["published"], outputs[result["contender"]]
                result["largest difference"] = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(exact, found))
    return results


def measure_precision(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Our own float32 against less, in one call and in batches of 32, in two orders; weights are laid out before."""
    results = []
    for size in options.sizes:
        exact_model, sentences = new_model(size), tokens_of(options, size)
        models = {name: in_precision(name, exact_model) for name in PRECISIONS}
        by_length = sorted(sentences, key=len)
        ways = {"one call": (sentences, len(sentences)), "batches of 32": (sentences, BATCH)}
        ways["batches of 32, sorted"] = (by_length, BATCH)
        for way, (text, batch) in ways.items():
            contenders: Contenders = {name: partial(ours, model, text, batch=batch) for name, model in models.items()}
            outputs, times = take_turns(contenders, rounds=options.rounds)
            results += with_speed(rows(f"precision, {size}, {describe(text)}, {way}", times), text)
            exact = np.concatenate(outputs["float32"], axis=1)  # (layers + 1, tokens, width)
            for result in results[-2:]:
                error = np.concatenate(outputs[result["contender"]], axis=1) - exact
                result["relative error"] = float(np.linalg.norm(error) / np.linalg.norm(exact))
                result["largest error / largest value"] = float(np.abs(error).max() / np.abs(exact).max())
    return results


def measure_pipe(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """Words per second of `nlp.pipe` over texts that are tokenised on the way."""
    texts = options.texts
    contenders: Contenders = {}
    with tempfile.TemporaryDirectory() as folder:
        pipelines = {"tok2vec": stock_tok2vec(), "elmo": elmo_pipeline(options)}
        if find_spec("spacy_transformers") is None:
            print("\nspacy-transformers is not installed: no row for a transformer.")
        else:
            pipelines["transformer"] = transformer_pipeline(Path(folder), texts)
        for name, nlp in pipelines.items():
            contenders[name] = partial(run_pipe, nlp, texts)
        outputs, times = take_turns(contenders, rounds=options.rounds)
    docs: List[Doc] = outputs["tok2vec"]
    results = rows(f"nlp.pipe, {len(texts)} sentences, {sum(map(len, docs))} words", times)
    for result in results:
        result["words per second"] = round(sum(map(len, docs)) / result["processor s"])
    return results


def run_pipe(nlp: spacy.language.Language, texts: Sequence[str]) -> List[Doc]:
    return list(nlp.pipe(texts))


def stock_tok2vec() -> spacy.language.Language:
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 96, "depth": 4}
    encoder.update(embed_size=2000, window_size=1, maxout_pieces=3, subword_features=True)
    nlp.add_pipe("tok2vec", config={"model": encoder})
    nlp.initialize()
    return nlp


def elmo_pipeline(options: argparse.Namespace) -> spacy.language.Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"pretrained": options.pretrained} if options.pretrained else {})
    return nlp


def transformer_pipeline(folder: Path, texts: Sequence[str]) -> spacy.language.Language:
    """DistilBERT's size with random weights, and word pieces from the text: nearly one per word."""
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizerFast

    words = Counter(token.lower_ for doc in spacy.blank("en").pipe(texts) for token in doc if not token.is_space)
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += [word for word, _ in words.most_common(30_522 - len(pieces)) if len(word) > 1]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf8")
    DistilBertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    DistilBertModel(DistilBertConfig(vocab_size=30_522)).save_pretrained(folder)
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": {"name": str(folder)}})
    nlp.initialize()
    return nlp


@torch.inference_mode()
def published(transcription: Transcription, sentences: Sentences) -> List[Any]:
    found = []
    for first in range(0, len(sentences), BATCH):
        found += [layers.numpy() for layers in transcription.layers(sentences[first : first + BATCH])]
    return found


def ours(model: BiLM, sentences: Sentences, *, batch: int) -> List[Any]:
    model.cache.clear()
    found: List[Any] = []
    for first in range(0, len(sentences), batch):
        found += model.layers(sentences[first : first + batch])
    return found


def in_precision(precision: str, model: BiLM) -> BiLM:
    """A copy that computes so, and has done so once."""
    model = copy.deepcopy(model)
    set_precision(model, precision)
    model.layers([["Once"]])
    return model


def take_turns(contenders: Contenders, *, rounds: int) -> "tuple[Dict[str, Any], Times]":
    """What each contender gave in the first round, and its median times."""
    outputs: Dict[str, Any] = {}
    times: Dict[str, List[List[float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            processor, clock = time.process_time(), time.perf_counter()
            output = run()
            times[name].append([time.process_time() - processor, time.perf_counter() - clock])
            outputs.setdefault(name, output)
    return outputs, {name: tuple(np.median(spent, axis=0)) for name, spent in times.items()}


def with_speed(results: List[Dict[str, Any]], sentences: Sentences) -> List[Dict[str, Any]]:
    for result in results:
        result["words per second"] = round(sum(map(len, sentences)) / result["processor s"])
    return results


def describe(sentences: Sentences) -> str:
    words = [word for sentence in sentences for word in sentence]
    return f"{len(sentences)} sentences, {len(words)} words, {len(set(words))} different"


def tokens_of(options: argparse.Namespace, size: str) -> Sentences:
    n_sentences = options.sentences_of_original if size == "original" else options.sentences
    return options.tokens[:n_sentences]


def read_text(options: argparse.Namespace) -> None:
    """Sentences of a file, as texts and as tokens: one per line, or paragraphs cut by spaCy's sentencizer."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    lines = options.text.read_text(encoding="utf8").splitlines()
    docs = nlp.pipe(line.strip() for line in lines if line.strip())
    sentences = [sentence for doc in docs for sentence in doc.sents][: options.sentences]
    options.texts = [sentence.text for sentence in sentences]
    options.tokens = [[token.text for token in sentence if not token.is_space] for sentence in sentences]


PARTS = {"layers": measure_layers, "precision": measure_precision, "pipe": measure_pipe}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--sizes", nargs="+", choices=["tiny", "small", "medium", "original"])
    parser.add_argument("--text", type=Path, default=SAMPLE, help="text file; paragraphs are cut into sentences")
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument(
        "--sentences-of-original", type=int, default=400, help="fewer, since it is seven times as large"
    )
    parser.add_argument("--pretrained", default=None, help="checkpoint for `pipe`; default: the packaged weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=None, help="JSON file; default: only the table")
    parser.set_defaults(sizes=["small", "original"])
    return parser.parse_args()


def main() -> None:
    options = read_options()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    read_text(options)
    results: List[Dict[str, Any]] = []
    for part in options.parts:
        measured = PARTS[part](options)
        print_table(measured)
        sys.stdout.flush()
        results += measured
    if options.output:
        kept = {name: value for name, value in vars(options).items() if name not in ("texts", "tokens", "output")}
        report = {"machine": machine(), "options": {**kept, "text": options.text.name}, "results": results}
        options.output.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf8")
    print(f"\n{json.dumps(machine())}")


if __name__ == "__main__":
    main()
