"""A text of 100,000 tokens in bounded memory, measured in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

MEASURE = """
import json, sys, spacy, torch
from pathlib import Path
from spacy.tokens import Doc
torch.set_num_threads(1)

def memory(name):  # MiB
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

nlp = spacy.blank("en")
component = nlp.add_pipe(sys.argv[1], config=json.loads(sys.argv[2]))
words = "Marie Curie won two Nobel prizes because she discovered radium and polonium in 1898 .".split()
docs = {n: Doc(nlp.vocab, words=(words * n)[:n]) for n in (1_000, 100_000)}
component(docs[1_000])
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = memory("VmRSS")
component(docs[100_000])
growth = memory("VmHWM") - before
graph = docs[100_000]._.glomo_graph
edges = 0 if graph is None else len(graph.weights)
said = sum(token._.surprisal is not None for token in docs[100_000])
print(json.dumps({"growth": growth, "edges": edges, "vectors": len(docs[100_000].tensor), "said": said}))
"""


def measured(factory: str, **config: Any) -> Dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, factory, json.dumps(config)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return dict(json.loads(result.stdout))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
def test_graphs_of_100_000_tokens_take_bounded_memory() -> None:
    found = measured("glomo_graph")
    assert 100_000 < found["edges"] <= 16 * 100_000
    assert found["growth"] < 1500, found  # MiB; a dense graph alone would take 40,000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
def test_vectors_of_100_000_tokens_take_bounded_memory(tmp_path: Path) -> None:
    torch.manual_seed(0)
    bilm = BiLM(ElmoConfig(filters=((1, 8),), char_width=4, n_highway=1, projection_width=128, cell_width=16))
    save_checkpoint(tmp_path / "bilm", bilm, indexer=CharIndexer().config, vocab=None, meta={})
    found = measured("elmo", pretrained=str(tmp_path / "bilm"))  # as wide as the packaged one, but quicker
    assert found["vectors"] == 100_000
    assert found["growth"] < 600, found  # MiB; the vectors take 98, the layers of all windows would take 590


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
def test_surprisal_of_100_000_tokens_takes_bounded_memory(tmp_path: Path) -> None:
    words = ["<S>", "</S>", "<UNK>", *map(str, range(1997))]
    model = LanguageModel(MogrifierConfig(vocab_size=len(words), embedding_width=64, hidden_width=64, rounds=1))
    save_checkpoint(tmp_path / "lm", model, indexer=VocabularyIndexer(words).config, vocab=words, meta={})
    found = measured("mogrifier_lm", pretrained=str(tmp_path / "lm"))
    assert found["said"] == 100_000
    assert found["growth"] < 100, found  # MiB; the chances of all words after every token would take 760
