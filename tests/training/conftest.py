"""A tiny corpus with something to learn, and a tiny run on it."""

import json
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
from confection import Config

from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences
from glomo_spacy.corpora.shard_writer import write_record
from glomo_spacy.corpora.squad_prepare import prepare_squad
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.training.config import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
N_WORDS, DOCUMENT = 60, 120


def _write_corpus(directory: Path, *, words: list[str], held_out: int = DOCUMENT) -> Path:
    """Documents in which each word is followed by one of two others; held-out ones have `held_out` words."""
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    splits: Dict[str, Any] = {}
    for split, count, document in (("train", 16, DOCUMENT), ("dev", 3, held_out)):
        ids = np.zeros((count, document), dtype=np.uint16)
        for place in range(1, document):
            ids[:, place] = (ids[:, place - 1] * 7 + 1 + rng.integers(2, size=count)) % len(words)
        np.save(directory / f"{split}-00000.ids.npy", ids.ravel())
        np.save(directory / f"{split}-00000.docs.npy", np.arange(0, ids.size + 1, document, dtype=np.int64))
        splits[split] = {"shards": [f"{split}-00000"], "tokens": int(ids.size), "documents": count}
    counts = np.bincount(np.load(directory / "train-00000.ids.npy"), minlength=len(words))
    (directory / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf8")
    (directory / "counts.txt").write_text("".join(f"{count}\n" for count in counts), encoding="utf8")
    indexer = {"kind": "words", "digits": True, "casing": "lower", "lang": "en"}
    write_record(directory, record={"format_version": 1, "n_words": len(words), "indexer": indexer, "splits": splits})
    return directory


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [f"w{index}" for index in range(N_WORDS - 1)] + ["<unk>"]
    return _write_corpus(tmp_path_factory.mktemp("corpus") / "corpus", words=words)


@pytest.fixture
def write_corpus():
    """The function that makes corpora."""
    return _write_corpus


@pytest.fixture
def tiny(corpus: Path, tmp_path: Path):
    """Make the tiny config, with overrides by dotted name in which `.` is written `__`."""

    def make(**overrides: Any) -> Config:
        values = {
            "paths.corpus": str(corpus),
            "paths.output": str(tmp_path / "run"),
            "pretraining.max_steps": 6,
            "pretraining.log_every": 2,
            "pretraining.evaluate_every": 3,
            "model.width": 16,
            "model.n_layers": 1,
            "pretraining.objective.n_positions": 6,
            "pretraining.objective.n_negatives": 16,
        }
        values |= {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(CONFIGS / "tiny" / "pretrain_glomo.cfg", overrides=values)

    return make


def _write_sentences(directory: Path, *, words: list[str], max_words: int = 40, seed: int = 0) -> Path:
    """Sentences in which each word is followed by one of two others; some words are beyond the vocabulary."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", 120), ("dev", 12)):
        lines = []
        for length in rng.integers(1, 16, size=count):
            place, line = int(rng.integers(len(words))), []
            for _ in range(length):
                line.append(words[place])
                place = (place * 7 + 1 + int(rng.integers(2))) % len(words)
            lines.append(" ".join(line))
        directory.parent.mkdir(parents=True, exist_ok=True)
        (directory.parent / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    settings = SentenceSettings(tokenized=True, max_words=max_words)
    texts = {split: [str(directory.parent / f"{split}.txt")] for split in ("train", "dev")}
    prepare_sentences(texts["train"], directory, settings=settings, dev=texts["dev"])
    return directory


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus of sentences: 50 words, 40 of them in the vocabulary."""
    words = [f"{'abcde'[index % 5] * (1 + index % 7)}{index}" for index in range(50)]
    return _write_sentences(tmp_path_factory.mktemp("sentences") / "corpus", words=words)


@pytest.fixture
def write_sentences():
    """The function that makes corpora of sentences."""
    return _write_sentences


@pytest.fixture
def tiny_elmo(sentences: Path, tmp_path: Path):
    """Make the tiny biLM config, with overrides as for `tiny`."""

    def make(**overrides: Any) -> Config:
        values = {
            "paths.corpus": str(sentences),
            "paths.output": str(tmp_path / "run"),
            "pretraining.max_steps": 6,
            "pretraining.log_every": 2,
            "pretraining.evaluate_every": 3,
        }
        values |= {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(CONFIGS / "tiny" / "pretrain_elmo.cfg", overrides=values)

    return make


@pytest.fixture
def tiny_mogrifier(sentences: Path, tmp_path: Path):
    """Make the tiny config of a word language model, with overrides as for `tiny`."""

    def make(**overrides: Any) -> Config:
        values = {
            "paths.corpus": str(sentences),
            "paths.output": str(tmp_path / "run"),
            "pretraining.max_steps": 6,
            "pretraining.log_every": 2,
            "pretraining.evaluate_every": 3,
        }
        values |= {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(CONFIGS / "tiny" / "pretrain_mogrifier.cfg", overrides=values)

    return make


NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hanna", "Ida", "Jon", "Kim", "Lea"]
PLACES = ["Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Delhi", "Paris", "Quito"]
THINGS = ["apples", "pears", "nuts", "plums", "figs", "dates"]


def write_questions(path: Path, *, n_contexts: int, seed: int) -> Path:
    """A file in the format of SQuAD: who lives where and sells what, two questions on each context."""
    rng = np.random.default_rng(seed)
    paragraphs: list[Dict[str, Any]] = []
    for number in range(n_contexts):
        names = rng.choice(NAMES, size=2 + number % 4, replace=False).tolist()
        facts = {name: (str(rng.choice(PLACES)), str(rng.choice(THINGS))) for name in names}
        context = " ".join(f"{name} lives in {place} and sells {thing}." for name, (place, thing) in facts.items())
        questions = []
        for kind, name in enumerate(names[:2]):
            begin = context.index(name)
            text = facts[name][kind]
            asked = f"Where does {name} live?" if kind == 0 else f"What does {name} sell?"
            answers = [{"text": text, "answer_start": context.index(text, begin)}]
            questions.append({"id": f"{path.stem}-{number}-{kind}", "question": asked, "answers": answers})
        paragraphs.append({"context": context, "qas": questions})
    content = {"version": "1.1", "data": [{"title": "made", "paragraphs": paragraphs}]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf8")
    return path


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus of questions with vectors for most words."""
    folder = tmp_path_factory.mktemp("questions")
    rng = np.random.default_rng(0)
    words = ["where", "what", "lives", "live", "in", "and", "sells", "sell", *NAMES[1:], *PLACES[1:], *THINGS[1:]]
    rows = [" ".join([word, *(f"{value:.3f}" for value in rng.normal(size=6))]) for word in words]
    (folder / "vectors.txt").write_text("\n".join(rows) + "\n", encoding="utf8")
    files = [write_questions(folder / f"{name}.json", n_contexts=24, seed=seed) for seed, name in enumerate("ab")]
    prepare_squad(files[:1], folder / "corpus", dev=files[1:], vectors=folder / "vectors.txt")
    return folder / "corpus"


@pytest.fixture(scope="session")
def graph_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A GLoMo model of two layers and two heads, whose graphs are dense."""
    torch.manual_seed(0)
    vocab = ["where", "what", "lives", "sells", "in", "and", *(name.lower() for name in NAMES), "<unk>"]
    sizes = {"width": 8, "n_layers": 2, "n_heads": 2, "head_width": 4, "n_key_layers": 1, "n_query_layers": 1}
    model = GlomoModel(GlomoConfig(vocab_size=len(vocab), sparsity="softmax", n_decoder_layers=1, **sizes))
    for parameter in model.parameters():
        parameter.data.mul_(3.0)
    directory = tmp_path_factory.mktemp("glomo") / "tiny"
    save_checkpoint(directory, model, indexer=WordIndexer(vocab).config, vocab=vocab, meta={})
    return str(directory)


@pytest.fixture
def tiny_reader(questions: Path, tmp_path: Path):
    """Make the tiny config of a reader, with overrides as for `tiny`."""

    def make(**overrides: Any) -> Config:
        values = {
            "paths.corpus": str(questions),
            "paths.output": str(tmp_path / "run"),
            "pretraining.max_steps": 6,
            "pretraining.log_every": 2,
            "pretraining.evaluate_every": 3,
        }
        values |= {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(CONFIGS / "tiny" / "squad_reader.cfg", overrides=values)

    return make
