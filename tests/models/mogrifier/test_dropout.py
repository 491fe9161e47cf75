"""Dropout and resets of a language model: what is dropped when, and that nothing else changes."""

from typing import Any, Dict, List

import pytest
import torch
from torch import nn

from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig, State

VOCAB, BATCH, SEQ = 20, 3, 7
CELLS = ("mogrifier", "lstm", "gru", "rnn-tanh", "rnn-relu", "transformer")


def make_model(**changes: Any) -> LanguageModel:
    fields = {"embedding_width": 8, "hidden_width": 8, "n_layers": 2, "n_heads": 2, "ffn_width": 8, **changes}
    model = LanguageModel(MogrifierConfig(VOCAB, **fields))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6)
    return model.eval()


def random_ids() -> torch.Tensor:
    return torch.randint(1, VOCAB, (BATCH, SEQ))


def dropped_channels(**rates: float) -> List[torch.Tensor]:
    """Of each output of a one-layer model that repeats one word, in training."""
    model = make_model(n_layers=1, **rates).train()
    outputs, _ = model(torch.full((BATCH, SEQ), 5))
    return list((outputs == 0).detach())


def test_outputs_lose_the_same_channels_at_every_word_and_others_in_every_row() -> None:
    rows = dropped_channels(output_dropout=0.5)
    for row in rows:
        assert bool((row == row[0]).all())
    assert len({tuple(row[0].tolist()) for row in rows}) > 1
    assert 0 < float(torch.stack(rows).float().mean()) < 1


def masks_of(layer: nn.Module, model: LanguageModel) -> Dict[str, torch.Tensor]:
    """What a layer is given in one call: its inputs over those without dropout, and the mask of its state."""
    seen: Dict[str, Any] = {}

    def watch(_: nn.Module, arguments: Any, options: Any) -> None:
        seen["inputs"], seen["state"] = arguments[0].detach(), options["state_mask"]

    handle = layer.register_forward_pre_hook(watch, with_kwargs=True)
    model(torch.full((BATCH, SEQ), 5))
    handle.remove()
    return seen


def test_input_dropout_has_one_mask_per_row_and_call_and_keeps_the_mean() -> None:
    model = make_model(n_layers=1, input_dropout=0.5).train()
    vector = model.embedding.weight[5].detach()
    factors = [masks_of(model.body.layers[0], model)["inputs"].unflatten(0, (SEQ, BATCH)) / vector for _ in range(2)]
    for each in factors:
        assert bool((each == each[0]).all())  # constant over time
        assert set(each.flatten().tolist()) == {0.0, 2.0}
        assert len({tuple(row.tolist()) for row in each[0]}) > 1  # not over rows
    assert not torch.equal(*factors)


def test_state_dropout_has_one_mask_per_layer_and_call() -> None:
    model = make_model(state_dropout=0.5).train()
    masks = [masks_of(layer, model)["state"] for layer in model.body.layers for _ in range(2)]
    for mask in masks:
        assert mask.shape == (BATCH, 8)
        assert set(mask.flatten().tolist()) == {0.0, 2.0}
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 4


def test_layer_dropout_acts_between_layers_only() -> None:
    model = make_model(layer_dropout=0.5).train()
    first, second = (masks_of(layer, model)["inputs"] for layer in model.body.layers)
    assert bool((first == model.embedding.weight[5]).all())
    assert 0.1 < float((second == 0).float().mean()) < 0.9


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_acts_in_training_only_and_follows_the_seed(cell: str) -> None:
    rates = {"input_dropout": 0.3, "layer_dropout": 0.3, "state_dropout": 0.3, "output_dropout": 0.3}
    model, ids = make_model(cell=cell, **rates), random_ids()
    plain = make_model(cell=cell)
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(ids)[0], plain(ids)[0], rtol=0, atol=0)
    model.train()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(model(ids)[0])
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert not torch.allclose(found[0], found[2])


def test_read_and_drop_are_the_halves_of_a_call() -> None:
    model, ids = make_model(output_dropout=0.5).train(), random_ids()
    torch.manual_seed(1)
    whole, _ = model(ids)
    torch.manual_seed(1)
    raw, _ = model.read(ids)
    assert not bool((raw == 0).any())
    torch.testing.assert_close(model.drop(raw), whole, rtol=0, atol=0)


def test_states_of_some_rows_are_forgotten_at_random_in_training_only() -> None:
    model = make_model(reset_probability=0.5)
    state = State(torch.ones(2, 400, 8), torch.ones(2, 400, 8))
    ids = torch.full((400, 1), 5)
    kept, forgotten = (model(ids[:1], given and State(*(part[:, :1] for part in given)))[0] for given in (state, None))
    assert bool((model(ids, state)[0] == model(ids, state)[0][0]).all())
    model.train()
    outputs, _ = model(ids, state)
    is_kept, is_forgotten = (torch.isclose(outputs, each, atol=1e-5).all(2)[:, 0] for each in (kept, forgotten))
    assert bool((is_kept ^ is_forgotten).all())
    assert 0.4 < float(is_kept.float().mean()) < 0.6
    with torch.no_grad():  # as Monte Carlo evaluation calls it
        assert bool(torch.isclose(model(ids, state)[0], kept, atol=1e-5).all())
