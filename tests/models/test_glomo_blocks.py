"""Graphs computed in blocks are those computed at once."""

from typing import Any, Dict, List

import pytest
import torch

from glomo_spacy.models.glomo import GlomoConfig, GlomoModel, blocks

VARIANTS: List[Dict[str, Any]] = [
    {"sparsity": "square"},
    {"sparsity": "relu"},
    {"sparsity": "shifted-relu"},
    {"sparsity": "top-k", "top_k_rate": 1.5},
    {"sparsity": "threshold"},
    {"sparsity": "softmax"},
    {"sparsity": "stick-breaking", "learn_nearness": True},
    {"fixed_windows": (1, 3), "center_queries": True},
    {"fixed_windows": (0, 1, 5, -1)},
    {"fixed_windows": (1,), "learn_nearness": True},
    {"fixed_windows": (1,), "head_channels": (5, 5, 5, 1)},
    {"sparsity": "softmax", "learn_nearness": True},
]
LENGTHS = (17, 5, 1, 0, 11)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of sequences, several blocks of sequences in a chunk, and receivers that do not divide evenly."""
    monkeypatch.setattr(blocks, "CHUNK_TOKENS", 40)
    monkeypatch.setattr(blocks, "BLOCK_RECEIVERS", 4)
    monkeypatch.setattr(blocks, "BLOCK_SCORES", 300)


def make_model(**options: Any) -> GlomoModel:
    sizes: Dict[str, Any] = {"vocab_size": 19, "width": 16, "n_layers": 2, "n_heads": 4, "n_key_layers": 2}
    model = GlomoModel(GlomoConfig(**sizes, n_query_layers=1, **options)).eval()
    torch.nn.init.normal_(model.embedding.weight)
    for name, parameter in model.named_parameters():
        if "nearness" in name:
            torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_blocks_equal_the_whole(variant: Dict[str, Any], is_padded: bool) -> None:
    model = make_model(**variant)
    ids = torch.randint(0, 19, (len(LENGTHS), 18))
    mask = torch.arange(18) < torch.tensor(LENGTHS)[:, None] if is_padded else None
    whole, whole_mixture = model.graphs(ids, mask), model.mixed_graph(ids, mask)  # gradients: one block
    assert whole.requires_grad == (len(variant.get("fixed_windows", ())) < 4)
    with torch.no_grad():
        graphs, mixture = model.graphs(ids, mask), model.mixed_graph(ids, mask)
        layers = list(model.iter_graphs(ids, mask))
    torch.testing.assert_close(graphs, whole.detach(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mixture, whole_mixture.detach(), atol=1e-6, rtol=1e-5)
    assert torch.equal(torch.stack(layers, dim=1), graphs)
    assert graphs.any()


@torch.no_grad()
def test_there_are_many_blocks_and_they_cover_every_row_once() -> None:
    model = make_model()
    embedded = torch.randn(5, 18, 16)
    for is_right in (False, True):
        encoded = blocks.encode(model.left.graph, embedded, None, is_right=is_right)
        seen = torch.zeros(5, 18)
        made = list(blocks.layer_blocks(model.left.graph, encoded, None, 0, is_right=is_right))
        for block in made:
            assert block.weights.shape[2:] == seen[0, block.receivers, None].expand(-1, 18)[:, block.sources].shape
            seen[block.batch, block.receivers] += 1
        assert len(made) == 5 * 5
        assert bool((seen == 1).all())


def test_training_mode_takes_batch_statistics_over_the_whole_batch() -> None:
    models = [make_model(), make_model()]
    models[1].load_state_dict(models[0].state_dict())
    ids = torch.randint(0, 19, (5, 18))
    graphs = []
    for model, is_grad in zip(models, (True, False), strict=True):
        with torch.set_grad_enabled(is_grad):
            graphs.append(model.train().graphs(ids))
    torch.testing.assert_close(graphs[0].detach(), graphs[1])
    torch.testing.assert_close(dict(models[0].named_buffers()), dict(models[1].named_buffers()))


@torch.no_grad()
def test_bfloat16_gives_float32_rows_that_sum_to_one_or_zero() -> None:
    model, ids = make_model(), torch.randint(0, 19, (5, 18))
    exact = model.graphs(ids)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = model.graphs(ids)
    for graphs in (autocast, model.bfloat16().graphs(ids)):
        sums = graphs.sum(-1)
        assert graphs.dtype == torch.float32
        assert bool(((sums - 1).abs() < 1e-5).logical_or(sums == 0).all())
        assert float((graphs - exact).abs().mean()) < 0.01
