"""GRU, simple RNN and Transformer are what their equations say, and language models of them hold what all hold."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple, cast

import numpy as np
import pytest
import torch
from reference import recurrent as oracle
from torch import Tensor

from glomo_spacy.indexers import SPECIALS, VocabularyIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig
from glomo_spacy.models.mogrifier.gru import GRULayer
from glomo_spacy.models.mogrifier.rnn import RNNLayer, TorchLayer
from glomo_spacy.models.mogrifier.transformer import Transformer

RECURRENT = ("gru", "rnn-tanh", "rnn-relu")
CELLS = (*RECURRENT, "transformer")
N_IN, WIDTH, BATCH, SEQ = 5, 6, 4, 7
LENGTHS = [3, 7, 0, 5]
RAGGED, EQUAL = [3, 3, 3, 2, 2, 1, 1], [4] * SEQ
VOCAB = [*SPECIALS, "the", "cat", "sat", "on", "mat", "."]
SENTENCES = [["the", "cat", "sat"], [], ["on"], ["the", "mat", ".", "the", "dog", "</S>", "on"]]


def make_layer(cell: str) -> TorchLayer:
    """With biases that are not 0."""
    layer = GRULayer(N_IN, WIDTH) if cell == "gru" else RNNLayer(N_IN, WIDTH, activation=cell.removeprefix("rnn-"))
    return cast(TorchLayer, randomise(layer).double())


def make_transformer(**changes: Any) -> Transformer:
    settings = {"n_layers": 2, "n_heads": 2, "ffn_width": 8, "positions": "sine", "outputs": "sum", "dropout": 0.0}
    return cast(Transformer, randomise(Transformer(N_IN, WIDTH, **{**settings, **changes})).double().eval())


def randomise(network: torch.nn.Module) -> torch.nn.Module:
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def make_model(cell: str, **changes: Any) -> LanguageModel:
    sizes: Dict[str, Any] = {"embedding_width": 8, "hidden_width": 8, "n_heads": 2, "ffn_width": 16, "n_layers": 2}
    model = LanguageModel(MogrifierConfig(len(VOCAB), cell=cell, **{**sizes, **changes}))
    model.attach_indexer(VocabularyIndexer(VOCAB))
    return model


def arrays(network: torch.nn.Module) -> Dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def rows_of(packed: Tensor, sizes: List[int], row: int) -> Tensor:
    """One row of a packed tensor."""
    return torch.stack([rows[row] for rows in packed.split(sizes) if row < len(rows)] or [packed[0, :0]])


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [RAGGED, EQUAL])
@pytest.mark.parametrize("cell", RECURRENT)
def test_a_recurrent_layer_is_its_equations(cell: str, sizes: List[int], masked: bool) -> None:
    layer = make_layer(cell)
    inputs, hidden = double(sum(sizes), N_IN), double(BATCH, WIDTH)
    mask = 2 * torch.randint(2, (BATCH, WIDTH)).double() if masked else None
    outputs, end, _ = layer(inputs, hidden, hidden[:, :0], sizes, state_mask=mask)
    run: Callable[..., np.ndarray] = oracle.gru
    options: Dict[str, Any] = {} if cell == "gru" else {"activation": cell[4:]}
    run = run if cell == "gru" else oracle.rnn
    for row in range(sizes[0]):
        row_mask = None if mask is None else mask[row].numpy()
        expected = run(
            arrays(layer), rows_of(inputs, sizes, row).numpy(), hidden[row].numpy(), mask=row_mask, **options
        )
        np.testing.assert_allclose(rows_of(outputs, sizes, row).detach().numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(end[row].detach().numpy(), expected[-1], atol=1e-12)
    assert torch.equal(end[sizes[0] :], hidden[sizes[0] :])  # an empty row keeps its state


@pytest.mark.parametrize("sizes", [RAGGED, EQUAL])
@pytest.mark.parametrize("cell", RECURRENT)
def test_a_mask_that_drops_nothing_changes_no_gradient(cell: str, sizes: List[int]) -> None:
    layer = make_layer(cell)
    weights, found = double(sum(sizes), WIDTH), []
    given = double(sum(sizes), N_IN), double(BATCH, WIDTH)
    for mask in (None, torch.ones(BATCH, WIDTH, dtype=torch.float64)):
        inputs, hidden = (each.clone().requires_grad_() for each in given)
        outputs, end, _ = layer(inputs, hidden, hidden[:, :0], sizes, state_mask=mask)
        asked = [inputs, hidden, *layer.parameters()]
        found.append(torch.autograd.grad((outputs * weights).sum() + end.square().sum(), asked))
    for by_torch, by_us in zip(*found, strict=True):
        torch.testing.assert_close(by_us, by_torch, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outputs": "top"},
        {"positions": "none"},
        {"n_layers": 1, "n_heads": 3},
        {"n_layers": 3, "n_heads": 1, "outputs": "top"},
    ],
)
def test_a_transformer_is_its_equations(changes: Dict[str, Any]) -> None:
    body = make_transformer(**changes)
    inputs = double(BATCH, SEQ, N_IN)
    settings = {"n_heads": 2, "positions": "sine", "outputs": "sum", **changes}
    settings.pop("n_layers", None)
    for found, row in zip(body(inputs).detach().numpy(), inputs.numpy()):
        np.testing.assert_allclose(found, oracle.transformer(arrays(body), row, **settings), atol=1e-6)


def test_a_transformer_sees_no_later_word() -> None:
    body, inputs = make_transformer(), double(1, SEQ, N_IN)
    changed = inputs.clone()
    changed[:, 4] += 1
    before, after = body(inputs), body(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert bool((before[:, 4:] != after[:, 4:]).any(-1).all())


def test_without_positions_the_order_of_past_words_is_unknown_to_a_layer() -> None:
    inputs = double(1, SEQ, N_IN)
    swapped = inputs[:, [1, 0, *range(2, SEQ)]]
    for positions, is_equal in (("none", True), ("sine", False)):
        body = make_transformer(n_layers=1, positions=positions)
        assert torch.allclose(body(inputs)[:, -1], body(swapped)[:, -1], rtol=0, atol=1e-6) == is_equal


def test_gradients_of_a_transformer_agree_with_differences() -> None:
    body = make_transformer(n_layers=1, positions="none")
    inputs = double(1, 3, N_IN).requires_grad_()
    assert torch.autograd.gradcheck(body, (inputs,), fast_mode=True)


def test_a_transformer_drops_the_same_channels_at_each_place() -> None:
    body = make_transformer(n_layers=1, dropout=0.5).train()
    for name, parameter in body.named_parameters():
        if "output" in name:  # what each half adds is then the same everywhere
            torch.nn.init.constant_(parameter, 0.0 if name.endswith("weight") else 1.0)
    inputs = double(BATCH, SEQ, WIDTH)
    added = body.layers[0](inputs, dropout=0.5) - inputs
    torch.testing.assert_close(added, added[:, :1].expand_as(added))
    assert set(added.round(decimals=6).unique().tolist()) == {0.0, 2.0, 4.0}


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_without_tokens_is_ordinary(cell: str, shape: Tuple[int, int]) -> None:
    outputs, state = make_model(cell)(torch.zeros(shape, dtype=torch.long))
    assert outputs.shape == (*shape, 8)
    assert state.hidden.shape[:2] == (2, shape[0])


@pytest.mark.parametrize("cell", RECURRENT)
def test_states_carry_on_across_windows(cell: str) -> None:
    model, ids = make_model(cell).eval(), torch.randint(3, len(VOCAB), (BATCH, SEQ))
    whole, end = model(ids)
    first, state = model(ids[:, :4])
    second, last = model(ids[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(last.hidden, end.hidden, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_no_real_word(cell: str) -> None:
    model, ids = make_model(cell).eval(), torch.randint(3, len(VOCAB), (BATCH, SEQ))
    mask = torch.arange(SEQ)[None] < torch.tensor(LENGTHS)[:, None]
    padded, state = model(ids, mask=mask)
    for row, length in enumerate(LENGTHS):
        alone, end = model(ids[row : row + 1, :length])
        torch.testing.assert_close(padded[row, :length], alone[0], rtol=1e-6, atol=2e-6)
        torch.testing.assert_close(state.hidden[:, row], end.hidden[:, 0], rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_a_list_has_the_same_scores_in_any_company(cell: str) -> None:
    model = make_model(cell)
    together = model.score(SENTENCES)
    for tokens, expected in zip(SENTENCES, together):
        assert len(expected) == len(tokens) + 1
        np.testing.assert_allclose(model.score([tokens])[0], expected, atol=1e-5)


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_any_depth_is_saved_and_loaded(cell: str, n_layers: int, tmp_path: Path) -> None:
    model = make_model(cell, n_layers=n_layers, embedding_width=6)
    indexer = cast(VocabularyIndexer, model.indexer)
    save_checkpoint(tmp_path / "model", model, indexer=indexer.config, vocab=VOCAB, meta={})
    loaded = cast(LanguageModel, load_checkpoint(tmp_path / "model"))
    assert len(loaded.body.layers) == n_layers
    for found, expected in zip(loaded.score(SENTENCES), model.score(SENTENCES)):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("cell", CELLS)
def test_summed_outputs_are_not_those_of_the_top(cell: str) -> None:
    summed, top = (make_model(cell, outputs=outputs) for outputs in ("sum", "top"))
    top.load_state_dict(summed.state_dict())
    assert not np.allclose(summed.states(SENTENCES[:1])[0], top.states(SENTENCES[:1])[0], atol=1e-3)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sentence_is_learned_with_dropout(cell: str, autocast: bool) -> None:
    rates = {f"{name}_dropout": 0.1 for name in ("input", "layer", "state", "output")}
    model = make_model(cell, **rates)
    before = model.score([VOCAB[3:]])[0].mean()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    ids = torch.tensor([1, *range(3, len(VOCAB)), 1]).expand(8, -1)  # between two </S>
    for _ in range(25):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs, state = model.train()(ids[:, :-1])
            loss = model.losses(outputs.flatten(0, 1), ids[:, 1:].flatten()).mean()
        assert outputs.dtype == state.hidden.dtype == torch.float32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.score([VOCAB[3:]])[0].mean() > max(before + 1, -1)


@pytest.mark.parametrize("cell", RECURRENT)
def test_dropout_of_states_acts_in_training_only(cell: str) -> None:
    model, ids = make_model(cell, state_dropout=0.5), torch.randint(3, len(VOCAB), (BATCH, SEQ))
    assert not torch.equal(model.train()(ids)[0], model(ids)[0])
    assert torch.equal(model.eval()(ids)[0], model(ids)[0])
    model.train()
    assert torch.equal(model(ids[:, :1])[0], model(ids[:, :1])[0])  # before the first word the state is 0


@pytest.mark.parametrize("cell", RECURRENT)
def test_evaluation_mode_leaves_torchs_network_able_to_give_gradients(cell: str) -> None:
    layer = make_layer(cell).eval()
    assert not layer.training
    assert layer.network.training  # cuDNN gives none otherwise


@pytest.mark.gpu
@pytest.mark.parametrize("cell", CELLS)
def test_a_gpu_gives_the_same_outputs_and_gradients(cell: str) -> None:
    model, ids = make_model(cell).eval(), torch.randint(3, len(VOCAB), (BATCH, SEQ))
    mask = torch.arange(SEQ)[None] < torch.tensor(LENGTHS)[:, None]
    found = []
    for device in ("cpu", "cuda"):
        model.zero_grad()
        outputs, _ = model.to(device)(ids.to(device), mask=mask.to(device))
        outputs[mask.to(device)].square().sum().backward()
        gradients = [parameter.grad.cpu() for parameter in model.body.parameters() if parameter.grad is not None]
        found.append([outputs[mask.to(device)].detach().cpu(), *gradients])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_begin_with_a_variance_of_one_over_their_inputs(cell: str) -> None:
    model = make_model(cell, embedding_width=64, hidden_width=64, ffn_width=128)
    for name, parameter in model.body.named_parameters():
        if parameter.dim() == 2:
            assert parameter.detach().var().item() * parameter.shape[1] == pytest.approx(1, abs=0.1)
        elif "norm" not in name:
            assert not parameter.any()
