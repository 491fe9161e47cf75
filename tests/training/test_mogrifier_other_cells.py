"""GRU, simple RNN and Transformer are trained, resumed and measured by what trains the Mogrifier."""

from pathlib import Path
from typing import Any, Dict, List, cast

import pytest
import torch
from confection import Config
from safetensors.torch import load_file

from glomo_spacy.corpora.sentence_shards import SentenceCorpus
from glomo_spacy.corpora.text_streams import EvalTextStreams, TextStreams
from glomo_spacy.evaluation.dynamic import DynamicScorer, gradient_sizes
from glomo_spacy.evaluation.language_model import MonteCarloScorer, WordTable, held_out_perplexity
from glomo_spacy.indexers import VocabularyIndexer
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.mogrifier import LanguageModel
from glomo_spacy.training.config import load_config
from glomo_spacy.training.loop import pretrain

TINY = Path(__file__).parents[2] / "configs" / "tiny" / "pretrain_mogrifier.cfg"
CELLS = ["gru", "rnn-tanh", "rnn-relu", "transformer"]


def tiny(corpus: Path, **changes: Any) -> Config:
    values: Dict[str, Any] = {"paths.corpus": str(corpus), "pretraining.evaluate_every": 12, **changes}
    return load_config(TINY, overrides=values)


@pytest.mark.parametrize("cell", CELLS)
def test_a_run_learns_and_resumes_to_the_same_weights(cell: str, sentences: Path, tmp_path: Path) -> None:
    settings = {"model.cell": cell, "model.n_layers": 2, "model.layer_dropout": 0.1, "model.state_dropout": 0.1}
    settings["pretraining.schedule"] = {"name": "constant", "warmup": 0.0}
    found: List[Dict[str, Any]] = []
    for output, budgets in (("whole", [24]), ("parts", [12, 24])):
        for steps in budgets:
            config = tiny(sentences, **settings, **{"pretraining.max_steps": steps})
            found.append(pretrain(config, output=tmp_path / output, resume=steps != budgets[0]))
    assert found[0]["perplexity"] < 0.9 * found[1]["perplexity"]  # half way
    first, second = (load_file(tmp_path / run / "model-last" / "model.safetensors") for run in ("whole", "parts"))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("cell", CELLS)
def test_dynamic_and_sampled_evaluation_know_every_cell(cell: str, sentences: Path, tmp_path: Path) -> None:
    settings = {"model.cell": cell, "model.output_dropout": 0.2, "pretraining.max_steps": 12}
    static = pretrain(tiny(sentences, **settings), output=tmp_path / "run")["loss"]
    model = cast(LanguageModel, load_checkpoint(tmp_path / "run" / "model-last")).eval()
    train, held_out = (SentenceCorpus(sentences, split=split) for split in ("train", "dev"))
    words = WordTable(held_out.types, words_of(model))
    windows = EvalTextStreams(held_out, batch_size=1, unroll=10)
    sizes = gradient_sizes(
        model, TextStreams(train, batch_size=2, unroll=10, seed=0), WordTable(train.types, words_of(model)), n_batches=4
    )
    with DynamicScorer(model, sizes) as scorer:
        dynamic = held_out_perplexity(scorer, windows, words)["loss"]
    sampled = held_out_perplexity(MonteCarloScorer(model, n_samples=2), windows, words)["loss"]
    for loss in (dynamic, sampled):
        assert loss == pytest.approx(static, rel=0.1)
        assert loss != static


def words_of(model: LanguageModel) -> VocabularyIndexer:
    return cast(VocabularyIndexer, model.indexer)
