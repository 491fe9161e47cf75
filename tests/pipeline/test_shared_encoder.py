"""Tagger, parser and entity recogniser over one fine-tuned encoder: ELMo, and what flows along graphs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from config_corpora import TEXTS, make_docs
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

WIDTH = 8 * 3  # of the tiny biLM, with what comes along the graphs of both directions

# Prints what `describe` gives, from another process that knows nothing of the tests.
READ = """
import json, sys, spacy
nlp = spacy.load(sys.argv[1])
docs = nlp.pipe(json.loads(sys.argv[2]))
tokens = [[(token.tag_, token.head.i, token.dep_, token.ent_iob_, token.ent_type_) for token in doc] for doc in docs]
rows = [doc.tensor.tolist() for doc in nlp.pipe(json.loads(sys.argv[2]))]
print(json.dumps([tokens, rows]))
"""


def make_pipeline(glomo: Path, elmo: Path) -> Language:
    """Three stock components that listen to one stock tok2vec."""
    encoder: Dict[str, Any] = {
        "@architectures": "glomo_spacy.GraphTransfer.v1",
        "tok2vec": {
            "@architectures": "glomo_spacy.Elmo.v1",
            "pretrained": str(elmo),
            "trainable": True,
            "learn_rate_scale": 0.5,
            "unfreeze": [0, 2, 4],
        },
        "graph": {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": str(glomo)},
    }
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH, "upstream": "encoder"}
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", "encoder", config={"model": encoder})
    nlp.add_pipe("tagger", config={"model": {"tok2vec": listener}})
    nlp.add_pipe("parser", config={"model": {"tok2vec": listener}, "min_action_freq": 1})
    nlp.add_pipe("ner", config={"model": {"tok2vec": listener}})
    return nlp


def describe(docs: List[Doc]) -> Any:
    return [[[token.tag_, token.head.i, token.dep_, token.ent_iob_, token.ent_type_] for token in doc] for doc in docs]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, elmo_checkpoint: str, checkpoint: str) -> Path:
    """The pipeline, trained and saved; the checkpoints that it was made of are gone."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copytree(elmo_checkpoint, folder / "elmo")
    shutil.copytree(checkpoint, folder / "glomo")
    spacy.util.fix_random_seed(0)
    nlp = make_pipeline(folder / "glomo", folder / "elmo")
    examples = [Example(Doc(nlp.vocab, words=[token.text for token in doc]), doc) for doc in make_docs()]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    before = elmo_weights(nlp)
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    assert elmo_weights(nlp) != before
    shutil.rmtree(folder / "elmo")
    shutil.rmtree(folder / "glomo")
    nlp.to_disk(folder / "pipeline")
    rows = [doc.tensor for doc in nlp.pipe(TEXTS)]
    np.savez(folder / "rows.npz", *rows)
    (folder / "found.json").write_text(json.dumps(describe(list(nlp.pipe(TEXTS)))))
    return folder


def elmo_weights(nlp: Language) -> bytes:
    (node,) = (node for node in nlp.get_pipe("encoder").model.walk() if node.name == "elmo")
    return node.to_bytes()


def test_three_components_learn_over_one_encoder(stored: Path) -> None:
    nlp = spacy.load(stored / "pipeline")
    assert nlp.get_pipe("encoder").listening_components == ["tagger", "parser", "ner"]
    for text, gold in zip(TEXTS, make_docs(), strict=True):
        doc = nlp(text)
        assert describe([doc]) == describe([gold])


def test_the_pipeline_gives_the_same_in_another_process_without_any_other_file(stored: Path) -> None:
    alone = stored.parent / "alone"
    shutil.rmtree(alone, ignore_errors=True)
    shutil.copytree(stored / "pipeline", alone)
    run = subprocess.run(
        [sys.executable, "-c", READ, str(alone), json.dumps(TEXTS)],
        cwd=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    tokens, rows = json.loads(run.stdout)
    assert tokens == json.loads((stored / "found.json").read_text())
    with np.load(stored / "rows.npz") as expected:
        for found, name in zip(rows, expected.files, strict=True):
            np.testing.assert_array_equal(np.asarray(found, dtype="f"), expected[name])
