"""Training steps: equal to those of the formulas in plain torch, with batch statistics over real positions only."""

from typing import Any, Dict, List, Tuple

import pytest
import torch
from reference.glomo_state import random_state
from reference.glomo_torch import Sizes, Transcription
from torch import Tensor, nn

from glomo_spacy.convert.key_map import GLOMO
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel, Negatives
from glomo_spacy.models.glomo.decoder import SampledRows, sampled_losses, target_losses
from glomo_spacy.models.glomo.encoders import EncoderBlock, MaskedBatchNorm

SIZES: Dict[str, Any] = {"vocab_size": 23, "width": 16, "n_heads": 4, "n_layers": 2, "n_key_layers": 2}
SIZES["n_query_layers"] = 1
N_STEPS = 6
Batch = Tuple[Tensor, Tuple[Tensor, Tensor]]


def make_pair(**variant: Any) -> Tuple[GlomoModel, Transcription]:
    """The model and the transcription with equal weights."""
    transcription = Transcription(Sizes(**SIZES, **variant))
    state = {name: torch.from_numpy(array) for name, array in random_state(seed=3).items()}
    names = set(transcription.state_dict())
    transcription.load_state_dict({name: tensor for name, tensor in state.items() if name in names}, strict=False)
    model = GlomoModel(GlomoConfig(**SIZES, **variant))
    copy_weights(transcription, model)
    return model, transcription


def copy_weights(transcription: nn.Module, model: nn.Module) -> None:
    theirs, ours = transcription.state_dict(), model.state_dict()
    names = {name: GLOMO.to_theirs(name) for name in ours}
    model.load_state_dict({name: theirs[source] if source else ours[name] for name, source in names.items()})


def make_batches(*, seed: int = 0) -> List[Batch]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 23, (N_STEPS, 4, 15), generator=generator)
    positions = torch.randint(0, 12, (N_STEPS, 2, 5), generator=generator)
    return [(batch, (left, right)) for batch, (left, right) in zip(ids, positions, strict=True)]


def sgd_steps(network: Any, batches: List[Batch], *, learn_rate: float) -> List[float]:
    """The published recipe: SGD, momentum 0.2, global norm clipped to 0.25."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=learn_rate, momentum=0.2)
    losses = []
    for ids, positions in batches:
        optimizer.zero_grad()
        loss = network.loss(ids, positions=positions)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "variant",
    [
        {"sparsity": "square"},
        {"sparsity": "relu"},
        {"sparsity": "shifted-relu"},
        {"sparsity": "top-k", "top_k_rate": 1.5},
        {"sparsity": "threshold"},
        {"sparsity": "threshold", "feature_predictor": "additive"},
        {"sparsity": "relu", "feature_predictor": "additive", "use_value": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype, learn_rate, tolerance", [(torch.float32, 1.0, 1e-4), (torch.float64, 8.0, 1e-9)])
def test_six_sgd_steps_equal_those_of_the_formulas(
    variant: Dict[str, Any], dtype: torch.dtype, learn_rate: float, tolerance: float
) -> None:
    """At the published rate of 8 a network this small amplifies rounding, so that rate is compared in float64."""
    model, transcription = (network.to(dtype) for network in make_pair(**variant))
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    losses = sgd_steps(model, make_batches(), learn_rate=learn_rate)
    assert losses == pytest.approx(sgd_steps(transcription, make_batches(), learn_rate=learn_rate), abs=tolerance)
    theirs = transcription.state_dict()
    for name, tensor in model.state_dict().items():
        source = GLOMO.to_theirs(name)
        if source:
            torch.testing.assert_close(tensor, theirs[source], atol=tolerance, rtol=0)
            # A bias before batch norm has no effect, hence no gradient.
            assert name.endswith("conv.bias") or not torch.equal(tensor, start[name]), f"{name} did not move"


def test_batch_norm_without_padding_equals_torch() -> None:
    ours, theirs = MaskedBatchNorm(6), nn.BatchNorm1d(6)
    values = torch.randn(3, 5, 6)
    for mask in (None, torch.ones(3, 5).bool()):
        expected = theirs(values.transpose(1, 2)).transpose(1, 2)
        torch.testing.assert_close(ours(values, mask), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_batch_norm_statistics_are_those_of_real_positions() -> None:
    norm = MaskedBatchNorm(6)
    values = torch.randn(2, 7, 6)
    mask = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])
    values[~mask] = 1e6
    real = values[mask]
    normed = norm(values, mask)[mask]
    expected = (real - real.mean(0)) / (real.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(normed, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_mean, 0.1 * real.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * real.var(0))


def test_batch_norm_does_not_see_the_tail_of_the_convolution() -> None:
    """A convolution padded on both sides has outputs after the last token; its published form normalised over them."""
    block = EncoderBlock(6, 3)
    values = torch.randn(2, 4, 6)
    block(values, None)
    channels = nn.functional.conv1d(values.transpose(1, 2), block.conv.weight, block.conv.bias, padding=2)[:, :, :4]
    torch.testing.assert_close(block.norm.running_mean, 0.1 * channels.mean((0, 2)))


def test_training_never_depends_on_padding() -> None:
    gradients = []
    ids = torch.randint(0, 23, (3, 9))
    for extra in (0, 4):
        model, _ = make_pair(sparsity="threshold")
        model.train()
        padded = torch.cat([ids, torch.full((3, extra), 5)], dim=1)
        mask = torch.arange(9 + extra).expand(3, -1) < 9
        loss = model.loss(padded, mask, positions=(torch.tensor([0, 3]), torch.tensor([5, 2])))
        loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        gradients[-1]["loss"] = loss.detach()
        gradients[-1].update(model.named_buffers())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-5, rtol=1e-4)


def test_sampled_softmax_over_the_whole_vocabulary_is_the_exact_one() -> None:
    """With every word drawn once, each expected once, and the target's own draw left out."""
    outputs, table, targets = torch.randn(5, 8), torch.randn(11, 8), torch.tensor([0, 3, 3, 10, 7])
    negatives = Negatives(ids=torch.arange(11), log_expected=torch.zeros(11))
    sample = SampledRows(negatives, table[negatives.ids], table[targets])
    sampled = sampled_losses(outputs, targets, table[targets], sample)
    torch.testing.assert_close(sampled, target_losses(outputs, targets, table))


@pytest.mark.parametrize("scale_grad_by_freq", [False, True])
@pytest.mark.parametrize("is_padded", [False, True])
def test_a_sample_of_every_word_gives_the_exact_loss_and_its_gradients(
    scale_grad_by_freq: bool, is_padded: bool
) -> None:
    model = GlomoModel(GlomoConfig(**SIZES, scale_grad_by_freq=scale_grad_by_freq)).eval()
    ids, positions = make_batches()[0]
    lengths = torch.tensor([ids.shape[1] - 4 * is_padded] + [ids.shape[1]] * (len(ids) - 1))
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    everything = Negatives(torch.arange(model.config.vocab_size), torch.zeros(model.config.vocab_size))
    gradients = []
    for negatives in (None, everything):
        model.zero_grad()
        model.loss(ids, mask, positions=positions, negatives=negatives).backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-6, rtol=1e-4)


def test_half_of_the_loss_comes_from_each_direction() -> None:
    model, _ = make_pair(sparsity="relu")
    model.eval()
    ids, positions = make_batches()[0]
    (left, left_count), (right, right_count) = model.step_losses(ids, positions=positions)
    expected = 0.5 * left.sum() / left_count.sum() + 0.5 * right.sum() / right_count.sum()
    torch.testing.assert_close(model.loss(ids, positions=positions), expected)
    assert left_count.tolist() == [20, 20, 20]


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_acts_in_training_only(rate: float) -> None:
    model = GlomoModel(GlomoConfig(**SIZES, dropout=rate))
    ids, positions = make_batches()[0]
    model.eval()
    assert torch.equal(model.loss(ids, positions=positions), model.loss(ids, positions=positions))
    model.train()
    first, second = (model.loss(ids, positions=positions).item() for _ in range(2))
    assert (first != second) == (rate > 0)
