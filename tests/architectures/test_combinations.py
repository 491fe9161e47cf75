"""Every registered feature architecture inside every other: each builds, trains, and reloads with equal output."""

from importlib.metadata import distribution
from typing import Any, Dict, List, NamedTuple, Set

import numpy as np
import pytest
import spacy
from spacy.lang.xx import MultiLanguage
from spacy.language import Language
from spacy.training import Example

TEXTS = ["the small dog sees a cat .", "", "a big red cat"]
TAGS = [["D", "A", "N", "V", "D", "N", "P"], [], ["D", "A", "A", "N"]]

# Kinds of checkpoints stand where the tests fill in their paths.
LEAVES: Dict[str, Dict[str, Any]] = {
    "HashEmbedCNN": {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": 8,
        "depth": 1,
        "embed_size": 50,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": False,
        "pretrained_vectors": None,
    },
    "WordVectors": {"@architectures": "glomo_spacy.WordVectors.v1"},
    "Elmo": {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": "elmo"},
    "Elmo, fine-tuned": {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": "elmo", "trainable": True},
    "Elmo, all layers": {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": "elmo", "layers": "all"},
    "MogrifierLM": {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": "mogrifier"},
    "MogrifierLM, fine-tuned": {
        "@architectures": "glomo_spacy.MogrifierLM.v1",
        "pretrained": "mogrifier",
        "trainable": True,
    },
}
GRAPHS: Dict[str, Dict[str, Any]] = {
    "GlomoGraph": {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": "glomo"},
    "UniformGraph": {"@architectures": "glomo_spacy.UniformGraph.v1"},
}
GRAPHS["Cached GlomoGraph"] = {"@architectures": "glomo_spacy.Cached.v1", "tok2vec": GRAPHS["GlomoGraph"]}
WRAPPERS = ("Concat", "ScalarMix", "GraphTransfer", "Cached")

CACHEABLE = ("WordVectors", "Elmo", "Elmo, all layers", "MogrifierLM")  # leaves whose network does not learn

pytestmark = pytest.mark.filterwarnings("ignore:.*W113.*")


class Case(NamedTuple):
    """What stands around what, from outside in: wrappers, then a leaf."""

    names: List[str]

    @property
    def model(self) -> Dict[str, Any]:
        """Its block of a config."""
        block = LEAVES[self.names[-1]]
        for wrapper in reversed(self.names[:-1]):
            block = wrap(wrapper, block)
        return block

    @property
    def is_refused(self) -> bool:
        """Whether `Cached` stands around anything but a leaf whose network does not learn."""
        wrappers, leaf = self.names[:-1], self.names[-1]
        inside = wrappers[wrappers.index("Cached") :] if "Cached" in wrappers else []
        return bool(inside) and (leaf not in CACHEABLE or {*inside} != {"Cached"})


def wrap(wrapper: str, block: Dict[str, Any]) -> Dict[str, Any]:
    """A block around another. `Concat` puts it beside itself, so that whatever is around sees two layers."""
    around: Dict[str, Any] = {"@architectures": f"glomo_spacy.{wrapper}.v1"}
    if wrapper == "Concat":
        return {**around, "tok2vecs": {"first": block, "second": block}}
    if wrapper == "ScalarMix":
        return {**around, "tok2vec": block, "n_layers": 2}
    if wrapper == "GraphTransfer":
        return {**around, "tok2vec": block, "graph": GRAPHS["GlomoGraph"], "fusion": "gate"}
    return {**around, "tok2vec": block, "max_mb": 1}


ONE_DEEP = [Case([wrapper, leaf]) for wrapper in WRAPPERS for leaf in LEAVES]
TWO_DEEP = [
    Case([outer, inner, leaf])
    for outer in WRAPPERS
    for inner in WRAPPERS
    for leaf in ("HashEmbedCNN", "Elmo, all layers")
]
CASES = [Case([leaf]) for leaf in LEAVES] + ONE_DEEP + TWO_DEEP


def fill(block: Dict[str, Any], checkpoints: Dict[str, str]) -> Dict[str, Any]:
    """A copy of a block with its checkpoints filled in; others than those given become one that is not there."""
    filled = {name: fill(value, checkpoints) if isinstance(value, dict) else value for name, value in block.items()}
    if "pretrained" in filled:
        filled["pretrained"] = checkpoints.get(filled["pretrained"], "no such checkpoint")
    return filled


def make_pipeline(model: Dict[str, Any], checkpoints: Dict[str, str]) -> Language:
    """A stock tagger that has the features for itself."""
    nlp = spacy.blank("xx")
    rng = np.random.default_rng(0)
    for word in ("the", "small", "dog", "cat"):
        nlp.vocab.set_vector(word, rng.normal(size=8).astype("float32"))
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": fill(model, checkpoints)}
    nlp.add_pipe("tagger", config={"model": tagger})
    return nlp


def train(nlp: Language) -> Language:
    """Three steps."""
    docs = map(nlp.make_doc, TEXTS)
    examples = [Example.from_dict(doc, {"tags": tags}) for doc, tags in zip(docs, TAGS, strict=True)]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer, drop=0.1)
    return nlp


def check_reload(nlp: Language, *, tolerance: float = 0.0) -> None:
    """The same pipeline by way of its config and bytes, without any checkpoint, gives equal scores."""
    data = nlp.to_bytes(exclude=["tokenizer"])  # which has no part in this, and is slow
    reloaded = MultiLanguage.from_config(fill(nlp.config, {})).from_bytes(data, exclude=["tokenizer"])
    docs = [nlp.make_doc(text) for text in (*TEXTS, "unheard words")]
    found, expected = (pipe.get_pipe("tagger").model.predict(docs) for pipe in (reloaded, nlp))
    for scores, expected_scores in zip(found, expected, strict=True):
        np.testing.assert_allclose(scores, expected_scores, rtol=0.0, atol=tolerance)
        assert np.isfinite(scores).all()


@pytest.fixture(scope="module")
def checkpoints(checkpoint: str, elmo_checkpoint: str, mogrifier_checkpoint: str) -> Dict[str, str]:
    """A checkpoint of each kind."""
    return {"glomo": checkpoint, "elmo": elmo_checkpoint, "mogrifier": mogrifier_checkpoint}


def test_the_tables_hold_every_registered_architecture() -> None:
    points = distribution("glomo-spacy").entry_points.select(group="spacy_architectures")
    registered = {point.name for point in points} - {"glomo_spacy.ExtractiveQA.v1"}  # gives no features
    found = names_in([*(case.model for case in CASES), *GRAPHS.values()])
    assert {name for name in found if name.startswith("glomo_spacy.")} == registered


def names_in(value: Any) -> Set[str]:
    """Every architecture that blocks of a config name."""
    if isinstance(value, dict):
        own = {value["@architectures"]} if "@architectures" in value else set()
        return own.union(*map(names_in, value.values()))
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.is_refused], ids=lambda case: " > ".join(case.names)
)
def test_trains_and_reloads_with_equal_output(case: Case, checkpoints: Dict[str, str]) -> None:
    # What was kept was computed in another batch, and a product of other sizes is rounded otherwise.
    tolerance = 1e-6 if "Cached" in case.names else 0.0
    check_reload(train(make_pipeline(case.model, checkpoints)), tolerance=tolerance)


@pytest.mark.parametrize("case", [case for case in CASES if case.is_refused], ids=lambda case: " > ".join(case.names))
def test_nothing_that_learns_is_cached(case: Case, checkpoints: Dict[str, str]) -> None:
    with pytest.raises(ValueError, match="G126|G127"):
        train(make_pipeline(case.model, checkpoints))


@pytest.mark.parametrize("graph", [*GRAPHS])
@pytest.mark.parametrize("fusion", ["concatenate", "gru", "gate", "gate-products"])
def test_transfer_takes_each_graph_with_each_fusion(fusion: str, graph: str, checkpoints: Dict[str, str]) -> None:
    model = {**wrap("GraphTransfer", LEAVES["HashEmbedCNN"]), "graph": GRAPHS[graph], "fusion": fusion}
    check_reload(train(make_pipeline(model, checkpoints)))


@pytest.mark.parametrize("graph", [*GRAPHS])
def test_transfer_runs_along_each_graph_over_all_features_side_by_side(graph: str, checkpoints: Dict[str, str]) -> None:
    everything = {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": LEAVES}
    model = {**wrap("GraphTransfer", everything), "graph": GRAPHS[graph], "fusion": "concatenate"}
    check_reload(train(make_pipeline(model, checkpoints)))
