"""The configs that train a tagger on graph features."""

from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin

CONFIGS = Path(__file__).parents[1] / "configs"


def names(section: Dict[str, Any], *, prefix: str = "") -> List[str]:
    """Every setting of a config by its dotted name, in order."""
    found: List[str] = []
    for name, value in section.items():
        path = f"{prefix}.{name}" if prefix else name
        found += names(value, prefix=path) if isinstance(value, dict) else [path]
    return found


def test_tiny_mirrors_the_config_in_structure() -> None:
    full, tiny = (spacy.util.load_config(CONFIGS / name) for name in ("features.cfg", "tiny/features.cfg"))
    batch_size = "training.batcher.size"  # one compounds, the other is constant
    assert [name for name in names(tiny) if not name.startswith(batch_size)] == [
        name for name in names(full) if not name.startswith(batch_size)
    ]
    assert list(tiny) == list(full)


@pytest.mark.parametrize("name", ["features.cfg", "tiny/features.cfg"])
def test_the_listener_is_as_wide_as_the_features(name: str) -> None:
    config = spacy.util.load_config(CONFIGS / name, interpolate=True)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    listener = config["components"]["tagger"]["model"]["tok2vec"]
    assert nlp.get_pipe("tok2vec").model.get_dim("nO") == listener["width"]


def test_stock_spacy_train_takes_the_tiny_config(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    docs = DocBin()
    for words in (["The", "dog", "sees", "a", "cat"], ["A", "cat", "hears", "the", "dog"]):
        docs.add(Doc(nlp.vocab, words=words, tags=["DT", "NN", "VBZ", "DT", "NN"]))
    docs.to_disk(tmp_path / "docs.spacy")
    paths = {"paths.train": str(tmp_path / "docs.spacy"), "paths.dev": str(tmp_path / "docs.spacy")}
    steps = {"training.max_steps": 20, "training.eval_frequency": 20}
    train(CONFIGS / "tiny" / "features.cfg", tmp_path / "output", overrides={**paths, **steps})
    trained = spacy.load(tmp_path / "output" / "model-last")
    assert [token.tag_ for token in trained("The dog sees a cat")] == ["DT", "NN", "VBZ", "DT", "NN"]
