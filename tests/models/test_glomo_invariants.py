"""What holds for every sequence: padding, batch mates, causality, row sums, gradients."""

from typing import Any, Dict, List

import numpy as np
import pytest
import torch
from torch import Tensor

from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.models.glomo.config import FEATURE_PREDICTORS
from glomo_spacy.models.glomo.sparsity import SPARSITY_CLASSES, NormalizedSquares

SPARSITIES = list(SPARSITY_CLASSES)
EXTENSIONS: List[Dict[str, Any]] = [
    {},
    {"sparsity": "square"},
    {"sparsity": "relu"},
    {"sparsity": "shifted-relu"},
    {"sparsity": "top-k"},
    {"sparsity": "softmax"},
    {"fixed_windows": (1, 3)},
    {"center_queries": True},
    {"fixed_windows": (1, 0, 2, -1)},
    {"feature_predictor": "additive"},
    {"encoder": "feed-forward"},
    {"feature_predictor": "additive", "use_value": False, "n_layers": 1, "kernel_size": 2},
    {"learn_nearness": True, "fixed_windows": (1,)},
    {"learn_nearness": True, "sparsity": "top-k", "top_k_rate": 1.5},
    {"learn_nearness": True, "sparsity": "softmax"},
    {"fixed_windows": (1, 3), "head_channels": (3, 3, 2, 8)},
    {"sparsity": "stick-breaking", "reach": (1.1, 3, 13, 400), "flat_start": True},
    {"sparsity": "stick-breaking", "learn_nearness": True, "fixed_windows": (1, 3)},
]
LENGTHS = (11, 4, 1, 7)


def make_model(**options: Any) -> GlomoModel:
    torch.manual_seed(0)
    sizes: Dict[str, Any] = {"vocab_size": 19, "width": 16, "n_layers": 2, "n_heads": 4}
    sizes.update(n_key_layers=2, n_query_layers=1, **options)
    model = GlomoModel(GlomoConfig(**sizes))
    with torch.no_grad():
        model.embedding.weight.normal_()
        for name, parameter in model.named_parameters():
            if "nearness" in name:
                parameter.normal_()
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model.eval()


def make_batch(*, seq: int = 13) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 19, (len(LENGTHS), seq), generator=generator)
    mask = torch.arange(seq) < torch.tensor(LENGTHS)[:, None]
    return ids, mask


every_variant = pytest.mark.parametrize("options", EXTENSIONS, ids=str)


@every_variant
@torch.no_grad()
def test_padding_and_batch_mates_never_change_a_real_row(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    ids, mask = make_batch()
    graphs, features = model.graphs(ids, mask), model.features(ids, mask)
    mixed = model.mixed_graph(ids, mask)
    for row, length in enumerate(LENGTHS):
        alone = ids[row : row + 1, :length]
        torch.testing.assert_close(graphs[row, :, :, :length, :length], model.graphs(alone)[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(features[:, row, :length], model.features(alone)[:, 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(mixed[row, :length, :length], model.mixed_graph(alone)[0], atol=1e-5, rtol=0)


@every_variant
@torch.no_grad()
def test_padding_rows_and_columns_are_zero(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    ids, mask = make_batch()
    graphs = model.graphs(ids, mask)
    for row, length in enumerate(LENGTHS):
        assert not graphs[row, :, :, length:].any()
        assert not graphs[row, :, :, :, length:].any()
        assert not model.features(ids, mask)[:, row, length:].any()


@every_variant
@torch.no_grad()
def test_left_graphs_are_strictly_lower_and_right_graphs_strictly_upper(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    graphs = model.graphs(*make_batch())
    left, right = graphs.chunk(2, dim=1)
    assert torch.equal(left, left.tril(-1))
    assert torch.equal(right, right.triu(1))


@every_variant
@torch.no_grad()
def test_rows_are_not_negative_and_sum_to_one_or_zero(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    ids, mask = make_batch()
    graphs = model.graphs(ids, mask)
    sums = graphs.sum(-1)
    assert graphs.min() >= 0
    assert torch.all((sums.sub(1).abs() < 1e-5) | (sums == 0))
    left, right = sums.chunk(2, dim=1)
    assert not left[:, :, :, 0].any(), "the first token has no past"
    for row, length in enumerate(LENGTHS):
        assert not right[row, :, :, length - 1].any(), "the last real token has no future"
    mixed = model.mixed_graph(ids, mask).sum(-1)
    assert torch.all((mixed.sub(1).abs() < 1e-5) | (mixed == 0))


@every_variant
@torch.no_grad()
def test_left_half_sees_no_future_and_right_half_no_past(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    ids, _ = make_batch()
    changed = ids.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 19
    n_left = 1 + model.config.n_layers
    before, after = model.features(ids), model.features(changed)
    torch.testing.assert_close(before[:n_left, :, :6], after[:n_left, :, :6], atol=1e-6, rtol=0)
    torch.testing.assert_close(before[n_left:, :, 7:], after[n_left:, :, 7:], atol=1e-6, rtol=0)
    assert not torch.allclose(before[n_left - 1, :, 6], after[n_left - 1, :, 6])


@every_variant
@torch.no_grad()
def test_mixed_graph_is_the_normalised_mean_of_the_graphs(options: Dict[str, Any]) -> None:
    model = make_model(**options)
    ids, mask = make_batch()
    weights = torch.rand(2 * model.config.n_layers, model.config.n_heads)
    mean = torch.einsum("lh,blhrs->brs", weights, model.graphs(ids, mask))
    expected = mean / mean.sum(-1, keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(model.mixed_graph(ids, mask, weights), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_top_k_counts_the_real_length_not_the_padded_one() -> None:
    model = make_model(sparsity="top-k", top_k_rate=1.5)
    ids, mask = make_batch(seq=60)
    kept = (model.graphs(ids, mask) > 0).sum(-1).amax((1, 2, 3))
    assert kept.tolist() == [min(int(1.5 * length**0.5), length - 1) for length in LENGTHS]


@torch.no_grad()
def test_top_k_keeps_the_largest_squares() -> None:
    model, dense = make_model(sparsity="top-k"), make_model(sparsity="square")
    dense.load_state_dict(model.state_dict())
    ids, _ = make_batch(seq=12)
    kept, all_sources = model.graphs(ids)[0, 0, 0], dense.graphs(ids)[0, 0, 0]
    for receiver in range(4, 12):
        largest = all_sources[receiver].topk(3).indices.sort().values
        assert torch.equal(kept[receiver].nonzero()[:, 0], largest)


def test_denominator_is_the_sum_of_squares() -> None:
    scores, allowed = torch.tensor([4.0, 5.0, 9.0]), torch.tensor([True, True, False])
    weights = NormalizedSquares.apply(scores, torch.tensor(1.0), allowed, True)
    assert weights.tolist() == pytest.approx([0.36, 0.64, 0.0])


@pytest.mark.parametrize("is_rectified", [True, False])
def test_gradient_of_normalized_squares_equals_finite_differences(is_rectified: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    thresholds = torch.randn(2, 3, 5, 1, dtype=torch.float64, generator=generator, requires_grad=True)
    allowed = torch.ones(5, 5).tril(-1).bool()
    assert torch.autograd.gradcheck(NormalizedSquares.apply, (scores, thresholds, allowed, is_rectified))


@pytest.mark.parametrize("is_rectified", [True, False])
def test_gradient_of_nearness_equals_finite_differences(is_rectified: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 3, 5, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    nearness = torch.randn(3, 5, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    allowed = torch.ones(5, 5).tril(-1).bool()
    assert torch.autograd.gradcheck(NormalizedSquares.apply, (scores, None, allowed, is_rectified, nearness))


@pytest.mark.parametrize("sparsity", [name for name in SPARSITIES if name != "stick-breaking"])
@torch.no_grad()
def test_nearness_multiplies_what_is_squared_by_the_range_of_the_distance(sparsity: str) -> None:
    """Against numpy: mass * exp(2 nearness), ranges 1, 2, 3, 4-5, 6-8, 9-13, ... of the distance."""
    model = make_model(sparsity=sparsity, learn_nearness=True, n_layers=1, top_k_rate=1.5)
    ids = torch.arange(16)[None]
    predictor, embedded = model.left.graph, model.embedding(ids)
    assert predictor.nearness is not None
    nearness = predictor.nearness.weights[0].numpy().astype(np.float64)  # (heads, ranges)
    place = [next(i for i in range(12) if d < (2, 3, 4, 6, 9, 14, 21)[i]) for d in range(1, 16)]
    query, key = predictor.affinity(predictor.key_cnn(embedded, None), predictor.query_cnn(embedded, None), None, 0)
    threshold = predictor.sparsity.threshold(query, 0)
    scores = (query @ key.transpose(-1, -2) - (0.0 if threshold is None else threshold))[0].numpy().astype(np.float64)
    if sparsity in ("relu", "shifted-relu", "threshold"):
        scores = np.maximum(scores, 0.0)
    mass = np.exp(scores / np.sqrt(query.shape[-1])) if sparsity == "softmax" else scores**2
    graphs = model.graphs(ids)[0, 0].numpy()
    for head in range(4):
        for receiver in range(1, 16):
            row = mass[head, receiver, :receiver] * np.exp(
                [2 * nearness[head, place[receiver - s - 1]] for s in range(receiver)]
            )
            if sparsity == "top-k":
                row = np.where(row >= np.sort(row)[-min(6, receiver)], row, 0.0)
            np.testing.assert_allclose(graphs[head, receiver, :receiver], row / (row.sum() + 1e-16), atol=1e-5)


@pytest.mark.parametrize("sparsity", ["threshold", "shifted-relu", "softmax"])
@torch.no_grad()
def test_a_flat_start_gives_equal_weights(sparsity: str) -> None:
    equal = torch.ones(18, 18).tril(-1)
    equal = equal / equal.sum(-1, keepdim=True).clamp(min=1)
    for is_flat in (False, True):
        graphs = make_model(sparsity=sparsity, flat_start=is_flat).graphs(torch.arange(18)[None])[0, :2]
        assert torch.allclose(graphs, equal.expand_as(graphs), atol=1e-6) == is_flat


def test_graphs_that_sleep_in_a_flat_start_cost_nothing_and_change_nothing() -> None:
    """Equal to the control with uniform heads, to the computed flat graphs, and not skipped once anything moved."""
    ids, positions = torch.arange(18)[None], (torch.tensor([3, 9]), torch.tensor([5, 14]))
    options: Dict[str, Any] = {"flat_start": True, "learn_nearness": True, "head_channels": (2, 4, 2, 8)}
    model = make_model(fixed_windows=(1, 3), **options).train()
    with torch.no_grad():
        for half in (model.left, model.right):
            assert half.graph.nearness is not None
            half.graph.nearness.weights.zero_()
    calls: List[int] = []
    model.left.graph.key_cnn.register_forward_hook(lambda *_: calls.append(1))
    computed = model.loss(ids, positions=positions)
    assert len(calls) == 1
    for half in (model.left, model.right):
        half.graph.requires_grad_(False)
    asleep = model.loss(ids, positions=positions)
    assert len(calls) == 1
    torch.testing.assert_close(asleep, computed, atol=1e-6, rtol=0)
    control = make_model(fixed_windows=(1, 3, -1, -1), head_channels=(2, 4, 2, 8)).train()
    control.load_state_dict({name: model.state_dict()[name] for name in control.state_dict()})
    torch.testing.assert_close(asleep, control.loss(ids, positions=positions), atol=1e-6, rtol=0)
    with torch.no_grad():
        model.left.graph.keys[0].get_parameter("weight")[0, 0] = 0.1
    model.loss(ids, positions=positions)
    assert len(calls) == 2


@torch.no_grad()
def test_each_head_sends_its_own_channels() -> None:
    """Against numpy, head by head: without GRU and values a layer is the features and what arrives."""
    channels = (2, 2, 5, 7)
    options: Dict[str, Any] = {"feature_predictor": "additive", "use_value": False}
    model = make_model(fixed_windows=(1, 3), head_channels=channels, **options)
    ids = torch.arange(12)[None]
    graphs, features = model.graphs(ids)[0].numpy(), model.features(ids)[:, 0].numpy()
    for place, (below, graph) in enumerate(zip((0, 1), graphs[:2], strict=True)):
        starts = np.cumsum((0, *channels))
        message = [graph[head] @ features[below][:, starts[head] : starts[head + 1]] for head in range(4)]
        np.testing.assert_allclose(features[place + 1], features[below] + np.concatenate(message, 1), atol=1e-5)


@pytest.mark.parametrize("channels", [(8, 8), (4, 4, 4, 5), (16, 0, 0, 0)], ids=str)
def test_channels_that_do_not_add_up_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"G101.*head_channels.*4 numbers above 0.*width of 16"):
        make_model(head_channels=channels)


def test_where_scores_are_cut_near_zero_nothing_can_start_flat() -> None:
    with pytest.raises(ValueError, match=r"G101.*shifted-relu, threshold, softmax"):
        GlomoConfig(vocab_size=19, sparsity="relu", flat_start=True)


def test_detached_graphs_send_no_gradient_into_the_words() -> None:
    gradients = {}
    for is_detached in (False, True):
        model = make_model(detach_embeddings=is_detached, feature_predictor="additive", use_value=False)
        model.left.graph(model.embedding(torch.arange(8)[None]), None)[0][0, 0, :, 0].sum().backward()
        gradients[is_detached] = model.embedding.weight.grad
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.left.graph.parameters())
    assert gradients[True] is None
    assert gradients[False] is not None
    assert gradients[False].any()


def test_models_that_differ_in_their_graphs_begin_with_the_same_other_weights() -> None:
    states = []
    for options in ({}, {"fixed_windows": (-1,) * 4}, {"learn_nearness": True, "n_key_layers": 3}):
        torch.manual_seed(0)
        sizes: Dict[str, Any] = {"vocab_size": 19, "width": 16, "n_layers": 2, "n_heads": 4, **options}
        state = GlomoModel(GlomoConfig(**sizes)).state_dict()
        states.append({name: value for name, value in state.items() if ".graph." not in name})
    for other in states[1:]:
        assert list(other) == list(states[0])
        assert all(torch.equal(other[name], value) for name, value in states[0].items())


def test_row_without_positive_score_is_zero_and_has_a_finite_gradient() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    graph = NormalizedSquares.apply(scores, None, torch.ones(3, dtype=torch.bool), True)
    graph.sum().backward()
    assert not graph.any()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("predictor", FEATURE_PREDICTORS)
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_gradients_equal_finite_differences(sparsity: str, predictor: str) -> None:
    model = make_model(sparsity=sparsity, feature_predictor=predictor, scale_grad_by_freq=False).double()
    ids, mask = make_batch()
    positions = (torch.tensor([0, 3, 7]), torch.tensor([2, 5, 5]))
    model.loss(ids, mask, positions=positions).backward()
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        index = int(torch.randint(parameter.numel(), (), generator=generator))
        values = parameter.data.view(-1)
        assert parameter.grad is not None, name
        gradient = float(parameter.grad.view(-1)[index])
        start, losses = float(values[index]), []
        for step in (1e-6, -1e-6):
            values[index] = start + step
            with torch.no_grad():
                losses.append(float(model.loss(ids, mask, positions=positions)))
        values[index] = start
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient, abs=2e-7), name


@pytest.mark.parametrize("is_padded", [False, True])
def test_embedding_gradient_is_divided_by_the_count_of_real_tokens(is_padded: bool) -> None:
    plain, scaled = make_model(scale_grad_by_freq=False), make_model(scale_grad_by_freq=True)
    ids = torch.tensor([[4, 4, 9, 4, 9, 2, 4]])
    mask = torch.ones_like(ids).bool()
    if is_padded:
        ids = torch.cat([ids, torch.full((1, 3), 4)], dim=1)
        mask = torch.cat([mask, torch.zeros(1, 3).bool()], dim=1)
    gradients = []
    for model in (plain, scaled):
        model.features(ids, mask)[-1].square().sum().backward()
        gradients.append(model.embedding.weight.grad)
    for word, count in ((4, 4), (9, 2), (2, 1)):
        torch.testing.assert_close(gradients[0][word], gradients[1][word] * count)


@torch.no_grad()
def test_empty_batches_and_one_token_give_empty_rows() -> None:
    model = make_model()
    assert model.graphs(torch.zeros(0, 5).long()).shape == (0, 4, 4, 5, 5)
    assert not model.graphs(torch.tensor([[3]])).any()
    ids = torch.tensor([[3, 4, 5], [1, 2, 3]])
    mask = torch.tensor([[True, True, True], [False, False, False]])
    assert not model.graphs(ids, mask)[1].any(), "a row of padding only"


@torch.no_grad()
def test_targets_beyond_a_sequence_are_left_out_of_its_loss() -> None:
    model = make_model()
    short, long = torch.tensor([[3, 4, 5, 6]]), torch.tensor([[3, 4, 5, 6, 9, 9, 9, 9]])
    mask = torch.tensor([[True] * 4 + [False] * 4])
    positions = (torch.tensor([0]), torch.tensor([0]))
    expected = model.loss(short, positions=positions)
    torch.testing.assert_close(model.loss(long, mask, positions=positions), expected)
    beyond = (torch.tensor([0, 4]), torch.tensor([0, 4]))
    torch.testing.assert_close(model.loss(long, mask, positions=beyond), expected)


@pytest.mark.parametrize("mask, code", [([[True, False, True]], "G104"), ([[True, True]], "G103")])
def test_bad_mask_is_an_error(mask: List[List[bool]], code: str) -> None:
    with pytest.raises(ValueError, match=code):
        make_model().graphs(torch.tensor([[1, 2, 3]]), torch.tensor(mask))


def test_positions_out_of_range_are_an_error() -> None:
    ids = torch.tensor([[1, 2, 3, 4]])
    with pytest.raises(ValueError, match="G105"):
        make_model().loss(ids, positions=(torch.tensor([0]), torch.tensor([1])))
