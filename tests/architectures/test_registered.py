"""One table over all registered names: each resolves, takes empty Docs, survives storage, and learns."""

from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
import torch
from spacy.lang.en import English
from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

TEXTS = ["the small dog sees a cat .", "a big red cat hears the dog .", "the cat sees the red dog ."]
TAGS = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "sees": "VERB", "hears": "VERB", ".": "PUNCT"}

CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 16,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": False,
    "pretrained_vectors": None,
}
VECTORS = {"@architectures": "glomo_spacy.WordVectors.v1"}
# The kinds of checkpoint stand where the tests fill in their paths.
GRAPH = {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": "glomo"}
ELMO = {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": "elmo"}
LM = {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": "mogrifier"}
CACHED = {"@architectures": "glomo_spacy.Cached.v1", "tok2vec": {**ELMO, "layers": "all"}}
TRANSFER = {"@architectures": "glomo_spacy.GraphTransfer.v1", "tok2vec": CNN, "graph": GRAPH}

# name of the case: (model of the tok2vec factory, its width)
FEATURES: Dict[str, Any] = {
    "glomo_spacy.WordVectors.v1": (VECTORS, 8),
    "glomo_spacy.Elmo.v1": ({**ELMO, "trainable": True}, 8),
    "glomo_spacy.Elmo.v1, two layers normalised": (
        {**ELMO, "trainable": True, "layers_off": [1], "layer_norm": True, "l2": 0.01, "sentences": "ignore"},
        8,
    ),
    "glomo_spacy.Elmo.v1, frozen beside a CNN": (
        {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"elmo": ELMO, "cnn": CNN}},
        24,
    ),
    "glomo_spacy.Elmo.v1, all layers under a mixture": (
        {
            "@architectures": "glomo_spacy.ScalarMix.v1",
            "tok2vec": {**ELMO, "layers": "all", "trainable": True},
            "n_layers": 3,
        },
        8,
    ),
    "glomo_spacy.MogrifierLM.v1": (
        {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"lm": {**LM, "trainable": True}, "cnn": CNN}},
        24,
    ),
    "glomo_spacy.Cached.v1, frozen beside a CNN": (
        {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"elmo": CACHED, "cnn": CNN}},
        40,
    ),
    "glomo_spacy.Cached.v1, graphs": (
        {**TRANSFER, "graph": {"@architectures": "glomo_spacy.Cached.v1", "tok2vec": GRAPH}},
        48,
    ),
    "glomo_spacy.Concat.v1": (
        {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"cnn": CNN, "vectors": VECTORS}},
        24,
    ),
    "glomo_spacy.ScalarMix.v1": (
        {
            "@architectures": "glomo_spacy.ScalarMix.v1",
            "tok2vec": {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": {"first": CNN, "second": CNN}},
            "n_layers": 2,
        },
        16,
    ),
    "glomo_spacy.GraphTransfer.v1": ({**TRANSFER, "fusion": "concatenate", "mixture": "conditioned"}, 48),
    "glomo_spacy.GraphTransfer.v1, GRU, two free mixes": (
        {**TRANSFER, "fusion": "gru", "mixture": "free", "n_mixes": 2},
        32,
    ),
    "glomo_spacy.GraphTransfer.v1, uniform, over vectors": (
        {**TRANSFER, "tok2vec": VECTORS, "fusion": "concatenate", "mixture": "uniform"},
        24,
    ),
    "glomo_spacy.GraphTransfer.v1, gate over products, conditioned": ({**TRANSFER, "fusion": "gate-products"}, 32),
    "glomo_spacy.UniformGraph.v1, the control": (
        {**TRANSFER, "graph": {"@architectures": "glomo_spacy.UniformGraph.v1"}},
        32,
    ),
}
# One gives graphs, part of every GraphTransfer in the table; the other scores answers, see tests/pipeline/test_qa.py.
NOT_FEATURES = {"glomo_spacy.GlomoGraph.v1", "glomo_spacy.ExtractiveQA.v1"}

pytestmark = pytest.mark.filterwarnings("ignore:.*W113.*")


def fill(config: Dict[str, Any], checkpoints: Dict[str, str]) -> Dict[str, Any]:
    """A copy of a config with its checkpoints filled in; others than those given become one that is not there."""
    filled = {name: fill(value, checkpoints) if isinstance(value, dict) else value for name, value in config.items()}
    if "pretrained" in filled:
        filled["pretrained"] = checkpoints.get(filled["pretrained"], "no such checkpoint")
    return filled


def make_pipeline(case: str, checkpoints: Dict[str, str]) -> Language:
    """A stock tagger that listens to a stock tok2vec, untrained."""
    model, width = FEATURES[case]
    nlp = spacy.blank("en")
    rng = np.random.default_rng(0)
    for word in ("the", "a", "small", "big", "red", "dog", "cat", "sees", "hears", "."):
        nlp.vocab.set_vector(word, rng.normal(size=8).astype("float32"))
    nlp.add_pipe("tok2vec", config={"model": fill(model, checkpoints)})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": "*"}
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    nlp.add_pipe("tagger", config={"model": tagger})
    return nlp


def make_examples(nlp: Language) -> List[Example]:
    docs = [nlp.make_doc(text) for text in TEXTS]
    return [Example.from_dict(doc, {"tags": [TAGS.get(token.text, "ADJ") for token in doc]}) for doc in docs]


@pytest.fixture(scope="module")
def checkpoints(checkpoint: str, elmo_checkpoint: str, mogrifier_checkpoint: str) -> Dict[str, str]:
    """A checkpoint of each kind."""
    return {"glomo": checkpoint, "elmo": elmo_checkpoint, "mogrifier": mogrifier_checkpoint}


@pytest.fixture(scope="module")
def trained(checkpoints: Dict[str, str]) -> Dict[str, Language]:
    """Every case, trained a few steps."""
    pipelines = {}
    for case in FEATURES:
        spacy.util.fix_random_seed(0)
        nlp = make_pipeline(case, checkpoints)
        examples = make_examples(nlp)
        optimizer = nlp.initialize(lambda examples=examples: examples)
        optimizer.learn_rate = 0.02
        for _ in range(25):
            nlp.update(examples, sgd=optimizer)
        pipelines[case] = nlp
    return pipelines


def clone(nlp: Language) -> Language:
    """The same pipeline by way of its config and bytes, without its checkpoints."""
    return English.from_config(fill(nlp.config, {})).from_bytes(nlp.to_bytes())


def predictions(nlp: Language) -> List[np.ndarray]:
    return [doc.tensor for doc in nlp.pipe([*TEXTS, "", " ", "unheard words", "dog"])]


def check_equal(found: List[np.ndarray], expected: List[np.ndarray], case: str) -> None:
    """To the bit, but for rows that were kept since training, when they were computed among other batch mates."""
    atol = 1e-5 if "Cached" in case else 0.0
    for found_rows, expected_rows in zip(found, expected, strict=True):
        np.testing.assert_allclose(found_rows, expected_rows, rtol=0.0, atol=atol)


def test_the_table_holds_every_entry_point() -> None:
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf8")
    lines = setup["options.entry_points"]["spacy_architectures"].strip().splitlines()
    for line in lines:
        name, target = line.split(" = ")
        module, function = target.split(":")
        assert registry.architectures.get(name) is getattr(import_module(module), function)
    names = {line.split(" = ")[0] for line in lines}
    assert names == {case.split(",")[0] for case in FEATURES} | NOT_FEATURES


@pytest.mark.parametrize("case", [*FEATURES])
def test_learns_a_toy_target(trained: Dict[str, Language], case: str) -> None:
    scores = trained[case].evaluate(make_examples(trained[case]))
    assert scores["tag_acc"] == 1.0


@pytest.mark.parametrize("case", [*FEATURES])
def test_gives_one_row_per_token_of_the_stated_width(trained: Dict[str, Language], case: str) -> None:
    nlp = trained[case]
    width = nlp.get_pipe("tok2vec").model.get_dim("nO")
    assert width == FEATURES[case][1]
    for text in (*TEXTS, "", " ", "dog"):
        doc = nlp(text)
        assert doc.tensor.shape == (len(doc), width)
        assert np.isfinite(doc.tensor).all()


@pytest.mark.parametrize("case", [*FEATURES])
def test_takes_empty_docs_in_training(trained: Dict[str, Language], case: str) -> None:
    nlp = clone(trained[case])
    empty = [Example.from_dict(nlp.make_doc(text), {}) for text in ("", "")]
    optimizer = nlp.resume_training()
    nlp.update(empty, sgd=optimizer)
    nlp.update([*empty, *make_examples(nlp)], sgd=optimizer)
    assert all(np.isfinite(rows).all() for rows in predictions(nlp))


@pytest.mark.parametrize("case", [*FEATURES])
def test_gives_the_same_in_any_batch(trained: Dict[str, Language], case: str) -> None:
    nlp = trained[case]
    texts = [*TEXTS, "", "a dog ."]
    together = [doc.tensor for doc in nlp.pipe(texts)]
    for text, rows in zip(texts, together, strict=True):
        np.testing.assert_allclose(nlp(text).tensor, rows, atol=1e-5)


@pytest.mark.parametrize("case", [*FEATURES])
def test_round_trips_to_disk_without_unpickling(
    trained: Dict[str, Language], case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("weights must not be unpickled")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    trained[case].to_disk(tmp_path)
    reloaded = spacy.load(tmp_path)
    check_equal(predictions(reloaded), predictions(trained[case]), case)


@pytest.mark.parametrize("case", [*FEATURES])
def test_round_trips_to_bytes_without_the_checkpoint(trained: Dict[str, Language], case: str) -> None:
    check_equal(predictions(clone(trained[case])), predictions(trained[case]), case)


@pytest.mark.parametrize("case", [*FEATURES])
def test_can_be_stored_before_it_is_initialised(checkpoints: Dict[str, str], case: str, tmp_path: Path) -> None:
    nlp = make_pipeline(case, checkpoints)
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).pipe_names == ["tok2vec", "tagger"]


@pytest.mark.parametrize("case", [*FEATURES])
def test_listeners_can_be_replaced_by_copies(trained: Dict[str, Language], case: str, tmp_path: Path) -> None:
    nlp = clone(trained[case])
    expected = [[token.tag_ for token in nlp(text)] for text in TEXTS]
    nlp.replace_listeners("tok2vec", "tagger", ["model.tok2vec"])
    nlp.remove_pipe("tok2vec")
    nlp.to_disk(tmp_path)
    reloaded = spacy.load(tmp_path)
    assert [[token.tag_ for token in reloaded(text)] for text in TEXTS] == expected
