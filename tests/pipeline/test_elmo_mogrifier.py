"""The elmo component on a biLM of Mogrifier cells: features, fine-tuning and saved pipelines as with LSTMs."""

from pathlib import Path
from typing import List

import numpy as np
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example

from glomo_spacy.architectures.elmo import elmo_network
from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig

TEXTS = ["The small dog sees a big red cat.", "", "Dogs"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    sizes = {"filters": ((1, 4), (2, 8)), "char_width": 4, "n_highway": 1, "projection_width": 4, "cell_width": 8}
    model = BiLM(ElmoConfig(cell="mogrifier", cell_options={"rounds": 5, "rank": 2}, **sizes))
    for parameter in model.parameters():
        parameter.data.mul_(2.0)
    directory = tmp_path_factory.mktemp("elmo") / "mogrifier"
    save_checkpoint(directory, model, indexer=CharIndexer().config, vocab=None, meta={})
    return str(directory)


def blank(checkpoint: str, **model: object) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo", config={"pretrained": checkpoint, "model": model})
    return nlp


def test_vectors_are_the_mixed_layers_and_outlive_the_checkpoint(checkpoint: str, tmp_path: Path) -> None:
    nlp = blank(checkpoint)
    bilm = load_checkpoint(checkpoint)
    docs = list(nlp.pipe(TEXTS))
    for doc in docs:
        expected = bilm.layers([[token.text for token in doc]])[0].mean(0)
        np.testing.assert_allclose(doc.tensor, expected, atol=1e-5)
    nlp.get_pipe("elmo").cfg["pretrained"] = "no such checkpoint"
    nlp.to_disk(tmp_path / "saved")
    for doc, expected in zip(spacy.load(tmp_path / "saved").pipe(TEXTS), docs, strict=True):
        np.testing.assert_array_equal(doc.tensor, expected.tensor)


def test_carried_state_begins_anew_after_a_reset(checkpoint: str) -> None:
    nlp = blank(checkpoint, state="carry")
    first, second = nlp(TEXTS[0]).tensor, nlp(TEXTS[0]).tensor
    assert np.abs(first - second).max() > 1e-4
    nlp.get_pipe("elmo").reset_state()
    np.testing.assert_array_equal(nlp(TEXTS[0]).tensor, first)


def test_a_stock_tagger_fine_tunes_the_gates(checkpoint: str) -> None:
    nlp = blank(checkpoint, trainable=True)
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "elmo"}
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    tags: List[List[str]] = [["DET", "NOUN"], ["NOUN", "VERB"]]
    texts = ["the play", "dogs play"]
    examples = [Example.from_dict(nlp.make_doc(text), {"tags": each}) for text, each in zip(texts, tags)]
    optimizer = nlp.initialize(lambda: examples)
    bilm = elmo_network(nlp.get_pipe("elmo").model).network
    before = {name: tensor.clone() for name, tensor in bilm.state_dict().items()}
    for _ in range(2):
        nlp.update(examples, sgd=optimizer)
    moved = {name for name, tensor in bilm.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == set(before)
