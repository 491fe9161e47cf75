"""The model computes what the equations say: against stored arrays, the numpy oracle and the worked example."""

import itertools
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch
from reference.glomo import GlomoOracle, weigh
from reference.glomo_state import Arrays, random_state
from safetensors.numpy import load_file, save_file

from glomo_spacy.convert import convert_official_glomo
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.models.glomo.sparsity import SPARSITY_CLASSES

FIXTURE = Path(__file__).parents[1] / "fixtures" / "glomo"
SPARSITIES = [name for name in SPARSITY_CLASSES if name != "stick-breaking"]  # an extension: test_glomo_sticks.py
SEQUENCES = [[3, 7, 7, 22, 0, 11, 5, 9, 14, 2, 3, 18], [22, 4, 4, 1, 16, 8, 20], [6]]
POSITIONS = ([0, 5, 2, 2], [1, 8, 0, 3])
PREDICTORS = [("gru", True), ("additive", True), ("additive", False)]
GRAPH_TOLERANCE = 1e-5  # the promise is 1e-4; float32 stays well below it
LOSS_TOLERANCE = 1e-5


def pad(sequences: List[List[int]], *, extra: int = 0) -> Tuple[torch.Tensor, torch.Tensor]:
    """Ids, padded with a word that also occurs, and mask. Shapes: (batch, seq)."""
    seq = max(map(len, sequences)) + extra
    ids = torch.full((len(sequences), seq), 7)
    mask = torch.zeros(len(sequences), seq, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = True
    return ids, mask


def load_original(state: Arrays, folder: Path, **options: Any) -> GlomoModel:
    """Through the files that a user has: state dict, conversion, checkpoint directory."""
    save_file(state, folder / "original.safetensors")
    convert_official_glomo(folder / "original.safetensors", folder / "converted", **options)
    model = load_checkpoint(folder / "converted")
    assert isinstance(model, GlomoModel)
    return model


def assert_equal_to_oracle(model: GlomoModel, oracle: GlomoOracle, sequences: List[List[int]]) -> None:
    ids, mask = pad(sequences, extra=2)
    with torch.no_grad():
        graphs, features = model.graphs(ids, mask).numpy(), model.features(ids, mask).numpy()
    for row, sequence in enumerate(sequences):
        real = slice(len(sequence))
        np.testing.assert_allclose(graphs[row, :, :, real, real], oracle.graphs(sequence), atol=GRAPH_TOLERANCE)
        np.testing.assert_allclose(features[:, row, real], oracle.features(sequence), atol=3e-5)


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("predictor", ["gru", "additive"])
@pytest.mark.parametrize("file", ["state_dict.safetensors", "state_dict.pt"])
def test_original_weights_compute_the_stored_arrays(sparsity: str, predictor: str, file: str, tmp_path: Path) -> None:
    convert_official_glomo(
        FIXTURE / file, tmp_path / "converted", n_heads=4, sparsity=sparsity, feature_predictor=predictor
    )
    model = load_checkpoint(tmp_path / "converted")
    expected = np.load(FIXTURE / "expected.npz", allow_pickle=False)
    ids, mask = pad(SEQUENCES)
    positions = (torch.tensor(POSITIONS[0]), torch.tensor(POSITIONS[1]))
    with torch.no_grad():
        graphs, features = model.graphs(ids, mask).numpy(), model.features(ids, mask).numpy()
        loss = float(model.loss(ids[:1], positions=positions))
        ragged_loss = float(model.loss(ids, mask, positions=positions))
    for row, sequence in enumerate(SEQUENCES):
        real = slice(len(sequence))
        stored = expected[f"{sparsity}/graphs/{row}"]
        np.testing.assert_allclose(graphs[row, :, :, real, real], stored, atol=GRAPH_TOLERANCE)
        stored = expected[f"{sparsity}/{predictor}/features/{row}"]
        np.testing.assert_allclose(features[:, row, real], stored, atol=3e-5)
    assert loss == pytest.approx(float(expected[f"{sparsity}/{predictor}/loss"]), abs=LOSS_TOLERANCE)
    stored_loss = float(expected[f"{sparsity}/{predictor}/loss_of_ragged_batch"])
    assert ragged_loss == pytest.approx(stored_loss, abs=LOSS_TOLERANCE)


SIZES: List[Dict[str, int]] = [
    {"width": 12, "n_heads": 3, "head_width": 6, "n_layers": 1, "kernel_size": 1, "dec_layers": 1},
    {"width": 20, "n_heads": 2, "head_width": 10, "n_layers": 3, "n_key_layers": 1, "n_query_layers": 3},
    {"width": 8, "n_heads": 8, "head_width": 4, "n_layers": 2, "kernel_size": 5, "dec_layers": 3},
]


@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"kernel {sizes.get('kernel_size', 3)}")
@pytest.mark.parametrize("sparsity, predictor", list(itertools.product(SPARSITIES, PREDICTORS)))
def test_every_variant_and_size_equals_the_oracle(
    sizes: Dict[str, int], sparsity: str, predictor: Tuple[str, bool], tmp_path: Path
) -> None:
    name, use_value = predictor
    state = random_state(seed=1, **sizes)
    if not use_value:
        state = {key: array for key, array in state.items() if "value_trans" not in key}
    options: Dict[str, Any] = {"n_heads": sizes["n_heads"], "sparsity": sparsity, "feature_predictor": name}
    model = load_original(state, tmp_path, top_k_rate=1.7, dec_len=2, **options)
    oracle = GlomoOracle(state, use_value=use_value, top_k_rate=1.7, dec_len=2, **options)
    assert_equal_to_oracle(model, oracle, [[3, 1, 4, 1, 5, 9, 2, 6, 5], [2, 7, 1], [8, 2, 8, 1]])
    positions = ([0, 3, 1], [4, 4, 0])
    ids, mask = pad([[3, 1, 4, 1, 5, 9, 2], [2, 7, 1]], extra=1)
    with torch.no_grad():
        loss = float(model.loss(ids, mask, positions=(torch.tensor(positions[0]), torch.tensor(positions[1]))))
    assert loss == pytest.approx(oracle.loss([[3, 1, 4, 1, 5, 9, 2], [2, 7, 1]], positions), abs=LOSS_TOLERANCE)


WORKED_SCORES = np.array([[2, 1, 0, 3], [1, 5, 2, 0], [3, 1, 9, 4], [0.5, 2, 3, 7]])
WORKED_THRESHOLDS = np.array([0, 0.5, 1.5, 1])
LEFT_GRAPH = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0.2, 0.8, 0]]
RIGHT_GRAPH = [[0, 0.1, 0, 0.9], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_worked_example_of_the_oracle() -> None:
    left = weigh(WORKED_SCORES, sparsity="threshold", threshold=WORKED_THRESHOLDS)
    right = weigh(WORKED_SCORES[::-1, ::-1], sparsity="threshold", threshold=WORKED_THRESHOLDS[::-1])[::-1, ::-1]
    np.testing.assert_allclose(left, LEFT_GRAPH)
    np.testing.assert_allclose(right, RIGHT_GRAPH)


def test_worked_example_of_the_model() -> None:
    """Keys are unit vectors and queries rows of scores; a fifth channel carries the threshold."""
    config = GlomoConfig(vocab_size=5, width=5, n_heads=1, n_layers=1, head_width=5, n_key_layers=1, n_query_layers=1)
    model = GlomoModel(config).eval()
    ids = torch.arange(4)[None]
    with torch.no_grad():
        model.embedding.weight.copy_(torch.eye(5))
        for half in (model.left, model.right):
            for parameter in half.graph.parameters():
                parameter.zero_()
            for encoder in (half.graph.key_cnn, half.graph.query_cnn):
                encoder.blocks[0].conv.weight[:, :, -1] = torch.eye(5)  # the token itself
                encoder.blocks[0].norm.weight.fill_(1.0)
                encoder.blocks[0].norm.running_var.fill_(1.0 - 1e-5)
            half.graph.keys[0].weight.copy_(torch.eye(5))
            half.graph.queries[0].weight[:4, :4] = torch.from_numpy(WORKED_SCORES).float().T
            half.graph.queries[0].weight[4, :4] = torch.from_numpy(WORKED_THRESHOLDS).float()
            half.graph.sparsity.thresholds[0].weight[0, 4] = 1.0
        left, right = model.graphs(ids)[0, :, 0]
    np.testing.assert_allclose(left, LEFT_GRAPH, atol=1e-6)
    np.testing.assert_allclose(right, RIGHT_GRAPH, atol=1e-6)


def test_fixture_files_are_those_of_their_script() -> None:
    stored, made = load_file(FIXTURE / "state_dict.safetensors"), random_state()
    assert stored.keys() == made.keys()
    assert all(np.array_equal(stored[name], made[name]) for name in made)
