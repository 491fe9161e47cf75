"""The language model computes what the equations say, with every option; its state carries on."""

import math
from dataclasses import asdict
from typing import Any, Dict

import numpy as np
import pytest
import torch
from reference.mogrifier import MogrifierOracle
from torch import nn

from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig
from glomo_spacy.models.softmax import Negatives

VOCAB, BATCH, SEQ = 20, 3, 7
CELLS = ("mogrifier", "lstm", "gru", "rnn-tanh", "rnn-relu", "transformer")

VARIANTS: Dict[str, Dict[str, Any]] = {
    "usual": {},
    "no rounds": {"rounds": 0},
    "one round": {"rounds": 1},
    "six rounds of low rank": {"rounds": 6, "rank": 2},
    "LSTM": {"cell": "lstm"},
    "tied gates": {"input_gate": "tied"},
    "free gates": {"input_gate": "free", "gate_bias": False},
    "layer norm": {"layer_norm": True},
    "tied gates with layer norm": {"input_gate": "tied", "layer_norm": True, "proj_width": 5},
    "clipped": {"cell_clip": 0.3},
    "projected": {"proj_width": 5, "rank": 2},
    "top layer": {"outputs": "top", "n_layers": 3},
    "word vectors of another width": {"embedding_width": 6},
    "untied": {"tied": False, "embedding_width": 6},
    "mixture": {"n_softmaxes": 3},
    "untied mixture": {"n_softmaxes": 2, "tied": False, "embedding_width": 6},
}


def make_model(std: float = 0.6, **changes: Any) -> LanguageModel:
    fields = {"embedding_width": 8, "hidden_width": 8, "n_layers": 2, "n_heads": 2, "ffn_width": 8, **changes}
    model = LanguageModel(MogrifierConfig(VOCAB, **fields))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    return model.eval()


def make_oracle(model: LanguageModel) -> MogrifierOracle:
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return MogrifierOracle(weights, asdict(model.config))


def random_ids(batch: int = BATCH, seq: int = SEQ) -> torch.Tensor:
    return torch.randint(1, VOCAB, (batch, seq))


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("has_gradient", [True, False])
def test_outputs_and_probabilities_are_those_of_the_equations(fields: Dict[str, Any], has_gradient: bool) -> None:
    model = make_model(**fields)
    oracle, ids = make_oracle(model), random_ids()
    with torch.set_grad_enabled(has_gradient):
        outputs, state = model(ids)
        chances = model.log_probabilities(outputs.flatten(0, 1)).exp().unflatten(0, (BATCH, SEQ))
        losses = model.losses(outputs.flatten(0, 1), ids.flatten()).unflatten(0, (BATCH, SEQ))
    for row in range(BATCH):
        expected, end = oracle.read(ids[row].tolist())
        np.testing.assert_allclose(outputs[row].detach(), expected, atol=2e-6)
        for layer, (hidden, cell) in enumerate(end):
            np.testing.assert_allclose(state.hidden[layer, row].detach(), hidden, atol=2e-6)
            np.testing.assert_allclose(state.cell[layer, row].detach(), cell, atol=2e-6)
        for place, word in enumerate(ids[row].tolist()):
            probabilities = oracle.probabilities(expected[place])
            np.testing.assert_allclose(chances[row, place].detach(), probabilities, atol=2e-6)
            assert losses[row, place].item() == pytest.approx(-math.log(probabilities[word]), abs=2e-5)


@pytest.mark.parametrize("fields", [{}, {"n_softmaxes": 2}], ids=["one", "mixture"])
def test_a_temperature_divides_what_the_softmax_reads(fields: Dict[str, Any]) -> None:
    model = make_model(**fields)
    outputs, ids = torch.randn(5, 8), random_ids(1, 5)[0]
    expected = np.stack([make_oracle(model).probabilities(output, 0.7) for output in outputs.double().numpy()])
    with torch.no_grad():
        np.testing.assert_allclose(model.log_probabilities(outputs, temperature=0.7).exp(), expected, atol=2e-6)
        losses = model.losses(outputs, ids, temperature=0.7)
    np.testing.assert_allclose(losses, -np.log(expected[np.arange(5), ids]), atol=2e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_of_0_or_below_is_refused(temperature: float) -> None:
    model = make_model()
    with pytest.raises(ValueError, match="G186.*temperature must be above 0"):
        model.losses(torch.zeros(1, 8), torch.ones(1, dtype=torch.int64), temperature=temperature)
    with pytest.raises(ValueError, match="G186"):
        model.log_probabilities(torch.zeros(1, 8), temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_an_adaptive_softmax_sums_to_1_and_scores_as_its_table_says(temperature: float) -> None:
    model = make_model(tied=False, softmax="adaptive", adaptive_cutoffs=(9,))
    outputs, targets = torch.randn(VOCAB - 1, 8), torch.arange(1, VOCAB)
    with torch.no_grad():
        table = model.log_probabilities(outputs, temperature=temperature)
        losses = model.losses(outputs, targets, temperature=temperature)
    torch.testing.assert_close(table.exp().sum(1), torch.ones(VOCAB - 1))
    torch.testing.assert_close(losses, -table.gather(1, targets[:, None])[:, 0])
    assert bool((table[:, 0] == -math.inf).all())
    if temperature == 1.0:
        cooler = model.log_probabilities(outputs, temperature=0.5).detach()
        torch.testing.assert_close(cooler, torch.log_softmax(2 * table, 1))


@pytest.mark.parametrize("fields", [{}, {"embedding_width": 6}, {"tied": False}], ids=["tied", "projected", "untied"])
def test_losses_over_a_sample_of_all_words_are_those_over_all_words(fields: Dict[str, Any]) -> None:
    model, targets = make_model(**fields), torch.arange(1, VOCAB)
    outputs = torch.randn(VOCAB - 1, 8)
    everything = Negatives(torch.arange(VOCAB), torch.tensor(math.inf, dtype=torch.float64))
    found = model.sampled_losses(outputs, targets, everything)
    torch.testing.assert_close(found, model.losses(outputs, targets))


@pytest.mark.parametrize(
    "fields", [{"n_softmaxes": 2}, {"tied": False, "softmax": "adaptive", "adaptive_cutoffs": (9,)}]
)
def test_mixtures_and_adaptive_softmaxes_take_no_samples(fields: Dict[str, Any]) -> None:
    negatives = Negatives(torch.arange(VOCAB), torch.tensor(math.inf))
    with pytest.raises(ValueError, match="G187"):
        make_model(**fields).sampled_losses(torch.zeros(1, 8), torch.ones(1, dtype=torch.int64), negatives)


@pytest.mark.parametrize("cell", CELLS)
def test_probabilities_sum_to_1_without_the_begin_of_a_sentence(cell: str) -> None:
    model = make_model(cell=cell)
    with torch.no_grad():
        outputs, _ = model(random_ids())
        chances = model.log_probabilities(outputs.flatten(0, 1)).exp()
    torch.testing.assert_close(chances.sum(1), torch.ones(BATCH * SEQ))
    assert not chances[:, 0].any()


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_gets_a_finite_gradient(cell: str) -> None:
    model = make_model(cell=cell).train()
    ids = random_ids()
    outputs, state = model(ids)
    outputs, _ = model(ids, state)
    model.losses(outputs.flatten(0, 1), ids.flatten()).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert parameter.grad[1:].any(), name


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "transformer"])
def test_a_state_carried_on_gives_what_one_go_gives(cell: str) -> None:
    model, ids = make_model(cell=cell), random_ids()
    with torch.no_grad():
        expected, end = model(ids)
        first, state = model(ids[:, :4])
        second, state = model(ids[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), expected, rtol=0, atol=1e-6)
    for part, other in zip(state, end, strict=True):
        assert part.shape[:2] == (2, BATCH)
        torch.testing.assert_close(part, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_the_model_sees_no_future_and_padding_changes_nothing(cell: str) -> None:
    # Rounding differs by the shape of a product; the states of "rnn-relu" have no bound.
    model, ids = make_model(cell=cell), random_ids()
    mask = torch.arange(SEQ)[None] < torch.tensor([3, SEQ, 5])[:, None]
    with torch.no_grad():
        outputs, state = model(ids, mask=mask)
        for row, length in enumerate([3, SEQ, 5]):
            alone, end = model(ids[row : row + 1, :length])
            torch.testing.assert_close(outputs[row, :length], alone[0], rtol=1e-6, atol=5e-6)
            for part, expected in zip(state, end, strict=True):
                torch.testing.assert_close(part[:, row], expected[:, 0], rtol=1e-6, atol=5e-6)


def test_a_first_state_is_zero_and_has_the_widths_of_the_layers() -> None:
    state = make_model(proj_width=5).initial_state(3)
    assert [tuple(part.shape) for part in state] == [(2, 3, 5), (2, 3, 8)]
    assert not any(part.any() for part in state)
    assert [part.numel() for part in make_model(cell="transformer").initial_state(3)] == [0, 0]
    assert tuple(make_model(cell="gru").initial_state(3).cell.shape) == (2, 3, 0)


def test_tied_tables_are_one_and_words_of_another_width_are_projected() -> None:
    assert not [name for name in make_model().state_dict() if name.startswith("output.") and name != "output.bias"]
    assert make_model(embedding_width=6).state_dict()["output.projection.weight"].shape == (6, 8)
    assert make_model(tied=False).state_dict()["output.weight"].shape == (VOCAB, 8)


def test_half_precision_changes_losses_little_and_leaves_them_in_float32() -> None:
    model, ids = make_model(std=0.3).train(), random_ids()
    losses = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outputs, _ = model(ids)
            losses.append(model.losses(outputs.flatten(0, 1), ids.flatten()))
        assert losses[-1].dtype == outputs.dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0.02, atol=0.02)
    assert not torch.equal(*losses)


def test_no_words_are_ordinary_input() -> None:
    model = make_model()
    outputs, _ = model(torch.zeros(2, 0, dtype=torch.int64))
    assert outputs.shape == (2, 0, 8)
    assert model(torch.zeros(0, 3, dtype=torch.int64))[0].shape == (0, 3, 8)
    assert model.losses(outputs.flatten(0, 1), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_a_checkpoint_gives_the_same_model_with_its_words(tmp_path: Any) -> None:
    words = ["<S>", "</S>", "<UNK>", *(f"w{number}" for number in range(VOCAB - 3))]
    model = make_model(rank=2, spelling_width=4, n_softmaxes=2)
    model.attach_indexer(VocabularyIndexer(words))
    save_checkpoint(tmp_path / "lm", model, indexer=model.indexer.config, vocab=words, meta={})
    again = load_checkpoint(tmp_path / "lm")
    assert again.config == model.config
    assert again.indexer.words == tuple(words)
    texts = [["w1", "w2", "new"], ["w3"]]
    for found, expected in zip(again.score(texts), model.score(texts), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_an_indexer_of_another_kind_or_size_is_refused() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="G185.*kind 'characters'.*reads whole words"):
        model.attach_indexer(CharIndexer())
    with pytest.raises(ValueError, match="G108.*has 3 words, but the model's table has 20"):
        model.attach_indexer(VocabularyIndexer(["<S>", "</S>", "<UNK>"]))
    assert model.indexer is None
