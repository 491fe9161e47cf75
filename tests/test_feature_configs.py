"""The configs for stock `spacy train`: taggers on graph features and on contextual vectors, and a reader."""

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from config_corpora import TRAINING_CONFIGS
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin

import glomo_spacy

CONFIGS = Path(__file__).parents[1] / "configs"


def names(section: Dict[str, Any], *, prefix: str = "") -> List[str]:
    """Every setting of a config by its dotted name, in order."""
    found: List[str] = []
    for name, value in section.items():
        path = f"{prefix}.{name}" if prefix else name
        found += names(value, prefix=path) if isinstance(value, dict) else [path]
    return found


@pytest.mark.parametrize("name", [f"{name}.cfg" for name in TRAINING_CONFIGS])
def test_tiny_mirrors_the_config_in_structure(name: str) -> None:
    full, tiny = (spacy.util.load_config(CONFIGS / path) for path in (name, f"tiny/{name}"))
    batch_size = "training.batcher.size"  # one compounds, the other is constant
    assert [name for name in names(tiny) if not name.startswith(batch_size)] == [
        name for name in names(full) if not name.startswith(batch_size)
    ]
    assert list(tiny) == list(full)


@pytest.mark.parametrize("upstream, name", [("tok2vec", "features.cfg"), ("elmo", "elmo_tagger.cfg")])
@pytest.mark.parametrize("folder", [".", "tiny"])
def test_the_listener_is_as_wide_as_the_features(folder: str, upstream: str, name: str) -> None:
    config = spacy.util.load_config(CONFIGS / folder / name, interpolate=True)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    listener = config["components"]["tagger"]["model"]["tok2vec"]
    assert nlp.get_pipe(upstream).model.get_dim("nO") == listener["width"]


def make_corpus(path: Path) -> Dict[str, Any]:
    """Two sentences to train and evaluate on: overrides that name them, and few steps."""
    nlp = spacy.blank("en")
    docs = DocBin()
    for words in (["The", "dog", "sees", "a", "cat"], ["A", "cat", "hears", "the", "dog"]):
        docs.add(Doc(nlp.vocab, words=words, tags=["DT", "NN", "VBZ", "DT", "NN"]))
    docs.to_disk(path)
    steps = {"training.max_steps": 20, "training.eval_frequency": 20}
    return {"paths.train": str(path), "paths.dev": str(path), **steps}


def test_stock_spacy_train_takes_the_tiny_config(tmp_path: Path) -> None:
    overrides = make_corpus(tmp_path / "docs.spacy")
    train(CONFIGS / "tiny" / "features.cfg", tmp_path / "output", overrides=overrides)
    trained = spacy.load(tmp_path / "output" / "model-last")
    assert [token.tag_ for token in trained("The dog sees a cat")] == ["DT", "NN", "VBZ", "DT", "NN"]


@pytest.mark.parametrize(
    "way",
    [
        {"components.elmo.model.trainable": False},
        {"components.elmo.model.trainable": True},
        {name: ["sentencizer", "elmo"] for name in ("training.frozen_components", "training.annotating_components")},
    ],
    ids=["frozen biLM", "trainable", "frozen component"],
)
def test_stock_spacy_train_takes_the_tiny_config_of_elmo(
    way: Dict[str, Any], elmo_checkpoint: str, tmp_path: Path
) -> None:
    overrides = {**make_corpus(tmp_path / "docs.spacy"), "paths.elmo": elmo_checkpoint, **way}
    overrides.update({"components.elmo.model.width": 8, "training.optimizer.learn_rate": 0.1, "training.dropout": 0.0})
    train(CONFIGS / "tiny" / "elmo_tagger.cfg", tmp_path / "output", overrides=overrides)
    trained = spacy.load(tmp_path / "output" / "model-last")
    assert [token.tag_ for token in trained("The dog sees a cat")] == ["DT", "NN", "VBZ", "DT", "NN"]
    assert list(trained("A dog. A cat.").sents)


def test_stock_spacy_train_takes_the_tiny_config_of_a_reader(tmp_path: Path) -> None:
    """A few steps over word vectors; the reader learns to point, and the trained pipeline brings all it needs."""
    questions = str(Path(__file__).parent / "fixtures" / "squad_tiny.json")
    vectors = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("the", "lighthouse", "Who", "built", "When", "was", "1862", "Marta", "Lind"):
        vectors.vocab.set_vector(word, rng.normal(size=4).astype("float32"))
    vectors.to_disk(tmp_path / "vectors")
    overrides = {"paths.train": questions, "paths.dev": questions, "paths.vectors": str(tmp_path / "vectors")}
    train(CONFIGS / "tiny" / "squad.cfg", tmp_path / "output", overrides=overrides)
    trained = spacy.load(tmp_path / "output" / "model-last")
    assert set(trained.meta["performance"]) >= {"answer_f1", "answer_exact_match", "extractive_qa_loss"}
    ((answer, score),) = glomo_spacy.ask(trained, "Marta Lind built it in 1862.", "Who built it?")
    assert answer.text in "Marta Lind built it in 1862."
    assert 0.0 < score < 1.0
