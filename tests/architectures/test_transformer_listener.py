"""Graph transfer over a transformer: a tiny one made here, so that nothing is downloaded."""

import json
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from spacy.training import Example

pytest.importorskip("spacy_transformers", reason="needs the extra `transformers`")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of one layer with random weights."""
    directory = tmp_path_factory.mktemp("bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "cat", "see", "##s", "red", "."]
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf8")
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}), encoding="utf8")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.set_seed(0)
    config = transformers.BertConfig(vocab_size=len(pieces), max_position_embeddings=64, **sizes)
    transformers.BertModel(config).save_pretrained(directory)
    return str(directory)


def make_config(transformer: str, checkpoint: str) -> Dict[str, Dict[str, Any]]:
    """A stock transformer component, and a tagger that reads it through graph transfer."""
    spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 32, "stride": 24}
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": transformer, "get_spans": spans}
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "*",
    }
    graph = {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": checkpoint}
    transfer = {"@architectures": "glomo_spacy.GraphTransfer.v1", "tok2vec": listener, "graph": graph}
    transfer["fusion"] = "gate-products"
    return {"transformer": model, "tagger": {"@architectures": "spacy.Tagger.v2", "tok2vec": transfer}}


def over_listener(wrappers: List[str], listener: Dict[str, Any], transfer: Dict[str, Any]) -> Dict[str, Any]:
    """Wrappers, the outermost first, around a listener. `Concat` puts what it is around beside itself."""
    if not wrappers:
        return listener
    wrapper, inner = wrappers[0], over_listener(wrappers[1:], listener, transfer)
    around: Dict[str, Any] = {"@architectures": f"glomo_spacy.{wrapper}.v1"}
    if wrapper == "Concat":
        return {**around, "tok2vecs": {"first": inner, "second": inner}}
    return {**transfer, "tok2vec": inner} if wrapper == "GraphTransfer" else {**around, "tok2vec": inner, "n_layers": 2}


def test_transfer_over_a_transformer_trains_it_and_is_stored(transformer: str, checkpoint: str, tmp_path: Path) -> None:
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    for name, model in make_config(transformer, checkpoint).items():
        nlp.add_pipe(name, config={"model": model})
    texts = {"the dog sees .": ["D", "N", "V", "P"], "the red cat sees": ["D", "A", "N", "V"], "": []}
    examples = [Example.from_dict(nlp.make_doc(text), {"tags": tags}) for text, tags in reversed(texts.items())]
    optimizer = nlp.initialize(lambda: examples)
    assert nlp.get_pipe("tagger").model.get_ref("tok2vec").get_dim("nO") == 16
    optimizer.learn_rate = 0.02
    before = nlp.get_pipe("transformer").model.to_bytes()
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    assert nlp.get_pipe("transformer").model.to_bytes() != before
    found = {text: [token.tag_ for token in nlp(text)] for text in texts}
    assert found == texts
    nlp.to_disk(tmp_path / "pipeline")
    reloaded = spacy.load(tmp_path / "pipeline")
    docs = [list(pipe.pipe(texts)) for pipe in (nlp, reloaded)]
    rows = [pipe.get_pipe("tagger").model.get_ref("tok2vec").predict(docs[0]) for pipe in (nlp, reloaded)]
    for found_rows, expected_rows in zip(*rows, strict=True):
        np.testing.assert_allclose(found_rows, expected_rows, atol=1e-6)
    assert [[token.tag_ for token in doc] for doc in docs[1]] == [*texts.values()]


@pytest.mark.parametrize(
    "wrappers",
    [
        ["Concat"],
        ["ScalarMix"],
        ["GraphTransfer"],
        ["ScalarMix", "Concat"],
        ["Concat", "GraphTransfer"],
        ["GraphTransfer", "Concat"],
        ["ScalarMix", "GraphTransfer"],
        ["GraphTransfer", "ScalarMix"],
        ["Concat", "ScalarMix"],
    ],
    ids=" > ".join,
)
def test_every_combination_takes_a_transformer_and_is_stored(
    wrappers: List[str], transformer: str, checkpoint: str
) -> None:
    spacy.util.fix_random_seed(0)
    nlp = spacy.blank("en")
    config = make_config(transformer, checkpoint)
    transfer = config["tagger"]["tok2vec"]
    config["tagger"]["tok2vec"] = over_listener(wrappers, transfer["tok2vec"], transfer)
    for name, model in config.items():
        nlp.add_pipe(name, config={"model": model})
    texts = {"the dog sees .": ["D", "N", "V", "P"], "the red cat": ["D", "A", "N"]}
    examples = [Example.from_dict(nlp.make_doc(text), {"tags": tags}) for text, tags in texts.items()]
    optimizer = nlp.initialize(lambda: examples)
    before = nlp.get_pipe("transformer").model.to_bytes()
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    assert nlp.get_pipe("transformer").model.to_bytes() != before
    reloaded = spacy.lang.en.English.from_config(nlp.config).from_bytes(nlp.to_bytes())
    scores = [pipe.get_pipe("tagger").model.predict(list(pipe.pipe(texts))) for pipe in (nlp, reloaded)]
    for found, expected in zip(*scores, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "wrappers", [[], ["Concat"], ["GraphTransfer"]], ids=lambda names: names[0] if names else "bare"
)
def test_a_listener_is_refused_where_questions_are_read(wrappers: List[str], transformer: str, checkpoint: str) -> None:
    transfer = make_config(transformer, checkpoint)["tagger"]["tok2vec"]
    tok2vec = over_listener(wrappers, transfer["tok2vec"], transfer)
    model = {"@architectures": "glomo_spacy.ExtractiveQA.v1", "tok2vec": tok2vec}
    with pytest.raises(ValueError, match=r"\[G091\].*transformer-listener \('\*'\) has no vectors for them"):
        spacy.blank("en").add_pipe("extractive_qa", config={"model": model})
