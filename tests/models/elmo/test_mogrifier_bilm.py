"""A biLM of Mogrifier cells: the gates are the published ones, and all that holds for a biLM still does."""

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import pytest
import torch
from reference.elmo_state import SENTENCES, tiny_bilm
from torch import Tensor, nn

from glomo_spacy.models import load_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig, LSTMStack, State, set_precision
from glomo_spacy.models.mogrifier import mogrify
from glomo_spacy.models.mogrifier.cell import as_weights
from glomo_spacy.training.config import load_config

CONFIGS = Path(__file__).parents[3] / "configs"
WIDTH, CELL, BATCH, SEQ = 6, 10, 4, 7
LENGTHS = [3, 7, 0, 5]
OPTIONS: Dict[str, Any] = {"rounds": 5, "rank": 2, "input_gate": "free"}
Options = Dict[str, Any]


def make_stack(options: Optional[Options] = None, *, clip: Optional[float] = 0.4, **changes: Any) -> LSTMStack:
    """Lively weights; the clip is reached."""
    sizes = {"projection_width": WIDTH, "cell_width": CELL, "cell_clip": clip, "proj_clip": clip, **changes}
    options = OPTIONS if options is None else options
    stack = LSTMStack(ElmoConfig(filters=((1, 4),), cell="mogrifier", cell_options=options, **sizes))
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.5)
    return stack.eval()


def make_batch(width: int = WIDTH) -> Tuple[Tensor, Tensor]:
    mask = torch.arange(SEQ)[None] < torch.tensor(LENGTHS)[:, None]
    return torch.randn(BATCH, SEQ, width), mask


def make_bilm(**changes: Any) -> BiLM:
    # As wide as it takes for the fast products to be chosen.
    sizes = {"projection_width": 64, "cell_width": 96, "cell_options": {"rounds": 4, "rank": None}}
    return tiny_bilm(cell="mogrifier", **{**sizes, **changes})


def plain_layers(stack: LSTMStack, inputs: Tensor) -> List[Tensor]:
    """Each layer's outputs for one row (seq, width), step by step from the equations of a biLM and of the gates."""
    config, layers = stack.config, []
    for index, layer in enumerate(stack.layers):
        hidden, cell = inputs.new_zeros(1, WIDTH), inputs.new_zeros(1, CELL)
        q_weights, r_weights = as_weights(layer.q_weights), as_weights(layer.r_weights)
        outputs = []
        for word in inputs:
            biases = {"q_biases": list(layer.q_biases), "r_biases": list(layer.r_biases)}
            x, h = mogrify(word[None], hidden, q_weights, r_weights, **biases)
            write, candidate, keep, read = (x @ layer.input_weight.T + h @ layer.hidden_weight.T + layer.bias).chunk(
                4, dim=1
            )
            keep = torch.sigmoid(keep + config.forget_bias)
            write = torch.sigmoid(write)
            if config.cell_options["input_gate"] == "capped":
                write = write.minimum(1 - keep)
            cell = (keep * cell + write * candidate.tanh()).clamp(-0.4, 0.4)
            hidden = ((torch.sigmoid(read) * cell.tanh()) @ layer.projection.T).clamp(-0.4, 0.4)
            outputs.append(hidden[0])
        inputs = torch.stack(outputs) + (inputs if index and config.use_skip_connections else 0)
        layers.append(inputs)
    return layers


@pytest.mark.parametrize("has_gradient", [True, False])
@pytest.mark.parametrize("options", [{"input_gate": "capped"}, {"rounds": 4, "rank": None}, {"rounds": 0}])
def test_layers_are_those_of_the_equations(options: Options, has_gradient: bool) -> None:
    stack, (inputs, mask) = make_stack({**OPTIONS, **options}), make_batch()
    with torch.set_grad_enabled(has_gradient):
        layers, _ = stack(inputs, mask=mask)
    for row, length in enumerate(LENGTHS):
        expected = plain_layers(stack, inputs[row, :length]) if length else [inputs[row, :0]] * 2
        for layer, plain in zip(layers, expected, strict=True):
            torch.testing.assert_close(layer[row, :length], plain, rtol=0, atol=1e-6)
            assert not layer[row, length:].any()


def test_without_rounds_it_is_the_lstm_of_the_bilm() -> None:
    stack, (inputs, mask) = make_stack({"rounds": 0, "input_gate": "free"}), make_batch()
    plain = LSTMStack(replace(stack.config, cell="lstm", cell_options={})).eval()
    plain.load_state_dict(stack.state_dict())
    (layers, end), (expected, expected_end) = stack(inputs, mask=mask), plain(inputs, mask=mask)
    assert float((expected[0].detach().abs() == 0.4).float().mean()) > 0.02  # clipped
    torch.testing.assert_close(layers, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(tuple(end), tuple(expected_end), rtol=0, atol=1e-6)


@pytest.mark.parametrize("clip", [0.4, None])
def test_gradients_of_states_and_of_all_else_agree_with_differences(clip: Optional[float]) -> None:
    stack = make_stack(clip=clip, projection_width=3, cell_width=4).double()
    mask = torch.arange(4)[None] < torch.tensor([2, 4, 0])[:, None]
    names = [name for name, _ in stack.named_parameters()]

    def run(inputs: Tensor, hidden: Tensor, cell: Tensor, *parameters: Tensor) -> Tuple[Tensor, ...]:
        options = {"mask": mask, "state": State(hidden, cell)}
        layers, state = torch.func.functional_call(stack, dict(zip(names, parameters)), (inputs,), options)
        return (*layers, *state)

    shapes = (3, 4, 3), (2, 3, 3), (2, 3, 4)
    given = [(0.3 * torch.randn(shape, dtype=torch.float64)).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(run, (*given, *stack.parameters()), fast_mode=True)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_state_goes_on_where_each_row_ended(has_gradient: bool) -> None:
    stack, (inputs, mask) = make_stack(), make_batch()
    with torch.set_grad_enabled(has_gradient):
        whole, end = stack(inputs, mask=mask)
        first, state = stack(inputs[:, :4], mask=mask[:, :4])
        second, last = stack(inputs[:, 4:], mask=mask[:, 4:], state=state)
    for parts in zip(whole, first, second, strict=True):
        torch.testing.assert_close(torch.cat(parts[1:], dim=1), parts[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(tuple(last), tuple(end), rtol=0, atol=1e-6)


def assert_close(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    assert [layers.shape for layers in found] == [layers.shape for layers in expected]
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_sentence_has_the_same_vectors_alone_in_a_batch_and_after_other_text() -> None:
    model = make_bilm()
    together = model.layers(SENTENCES)
    assert_close([model.layers([sentence])[0] for sentence in SENTENCES], together)
    model.layers(SENTENCES[:2], state="carry")
    assert all(np.array_equal(one, other) for one, other in zip(model.layers(SENTENCES), together))


def test_carried_states_change_the_vectors_of_the_next_call() -> None:
    model = make_bilm()
    first, second = (model.layers(SENTENCES[-1:], state="carry")[0] for _ in range(2))
    assert not np.allclose(first[1:], second[1:], atol=1e-3)
    model.reset_state()
    assert_close(model.layers(SENTENCES[-1:], state="carry"), [first])


@pytest.mark.parametrize("directions", ["both", "forward"])
def test_each_direction_reads_what_it_may(directions: str) -> None:
    model = make_bilm(directions=directions)
    words = list(SENTENCES[-1])
    changed = [*words[:3], "mat", *words[4:]]
    before, after = (model.layers([sentence])[0][1:] for sentence in (words, changed))
    differs = (np.abs(before - after) > 1e-7).any(0)  # (tokens, width)
    width = model.config.projection_width
    assert differs[:, :width].any(1).tolist() == [place >= 3 for place in range(len(words))]
    if directions == "both":
        assert differs[:, width:].any(1).tolist() == [place <= 3 for place in range(len(words))]


def test_a_checkpoint_keeps_cells_and_options(tmp_path: Path) -> None:
    model = make_bilm(cell_options=OPTIONS)
    assert model.indexer is not None
    save_checkpoint(tmp_path / "model", model, indexer=model.indexer.config, vocab=None, meta={})
    loaded = load_checkpoint(tmp_path / "model")
    assert isinstance(loaded, BiLM)
    assert loaded.config == model.config
    for same in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert all(map(np.array_equal, same.layers(SENTENCES), model.layers(SENTENCES)))


@pytest.mark.parametrize("precision, error", [("bfloat16", 0.02), ("int8", 0.04)])
def test_other_precisions_are_near_float32(precision: str, error: float) -> None:
    model = make_bilm(projection_width=128, cell_width=160)
    exact = model.layers(SENTENCES)[0]
    set_precision(model, precision)
    near = model.layers(SENTENCES)[0]
    assert 1e-5 < np.linalg.norm(near - exact) / np.linalg.norm(exact) < error
    set_precision(model, "float32")
    np.testing.assert_array_equal(model.layers(SENTENCES)[0], exact)


def test_weights_begin_as_in_the_language_model() -> None:
    model = BiLM(ElmoConfig(filters=((1, 4),), projection_width=64, cell_width=128, cell="mogrifier"))
    for name, parameter in model.forward_lm.named_parameters():
        spread = parameter.detach().std().item()
        expected = 0.0 if "bias" in name else 1 / math.sqrt(parameter.shape[1])
        assert spread == pytest.approx(expected, rel=0.1)


def test_the_two_recipes_of_the_comparison_differ_in_the_cell_alone() -> None:
    gated, plain = (load_config(CONFIGS / f"pretrain_elmo_{name}.cfg") for name in ("mogrifier", "lstm"))
    sizes = []
    for config in (gated, plain):
        with torch.device("meta"):
            model = BiLM(ElmoConfig(**{**config["model"], "vocab_size": 1000}))
        directions = [*model.forward_lm.parameters(), *(model.backward_lm or nn.Module()).parameters()]
        sizes.append(sum(parameter.numel() for parameter in directions))
        for name in ("cell", "cell_width", "cell_options"):
            del config["model"][name]
    assert gated == plain
    assert sizes == [2_364_800, 2_367_488]  # as the files say


@pytest.mark.parametrize(
    "cell, options, message",
    [
        ("mogrify", {}, "G100.*cell = 'mogrify'.*lstm, mogrifier"),
        ("lstm", {"rounds": 5}, "G156.*model.cell_options has rounds, but 'lstm' cells take: nothing"),
        ("mogrifier", {"round": 5}, "G156.*has round, but 'mogrifier' cells take: rounds, rank, input_gate"),
        ("mogrifier", {"rounds": -1}, "G101.*cell_options.rounds must be a whole number, 0 or more, but is -1"),
        ("mogrifier", {"rounds": True}, "G101.*cell_options.rounds.*True"),
        ("mogrifier", {"rank": 0}, "G101.*cell_options.rank must be a whole number above 0, or null .* but is 0"),
        ("mogrifier", {"input_gate": "open"}, "G100.*cell_options.input_gate = 'open'.*capped, tied, free"),
    ],
)
def test_what_cells_do_not_know_is_refused(cell: str, options: Options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BiLM(ElmoConfig(filters=((1, 4),), projection_width=4, cell_width=4, cell=cell, cell_options=options))
