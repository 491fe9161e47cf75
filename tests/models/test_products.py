"""Products by way of oneDNN, and the GRU built on them, are torch's own."""

from pathlib import Path
from typing import Optional

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glomo_spacy.models import products
from glomo_spacy.models.gru import gru, gru_cell
from glomo_spacy.models.products import Linear, linear


def gradients(function: object, *tensors: Optional[Tensor]) -> list[Tensor]:
    copies = [None if tensor is None else tensor.detach().clone().requires_grad_() for tensor in tensors]
    result = function(*copies)  # type: ignore[operator]
    (result * torch.arange(result.numel()).view_as(result)).sum().backward()
    return [result.detach()] + [copy.grad for copy in copies if copy is not None and copy.grad is not None]


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 5), (2, 1, 4, 5)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_linear_and_its_gradients_are_those_of_torch(shape: tuple[int, ...], has_bias: bool) -> None:
    tensors = torch.randn(shape), torch.randn(6, 5), torch.randn(6) if has_bias else None
    for ours, theirs in zip(gradients(linear, *tensors), gradients(F.linear, *tensors), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("product_library")
def test_linear_takes_views_of_any_stride() -> None:
    values, weight = torch.randn(5, 7).t(), torch.randn(5, 6).t()
    torch.testing.assert_close(linear(values, weight), values @ weight.t())
    expanded = torch.randn(1, 5).expand(4, 5)
    torch.testing.assert_close(linear(expanded, weight), expanded @ weight.t())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_WORTH_IT", 0)
    monkeypatch.setattr(products, "mkl_is_at_home", lambda: False)
    values, weight = torch.randn(3, 5, dtype=dtype), torch.randn(6, 5, dtype=dtype)
    assert torch.equal(linear(values, weight), F.linear(values, weight))


def test_build_without_the_operator_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Tensor:
        raise AttributeError("no such operator")

    products._is_available.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(products, "_product", fail)
        patch.setattr(products, "_WORTH_IT", 0)
        patch.setattr(products, "mkl_is_at_home", lambda: False)
        values, weight = torch.randn(3, 5), torch.randn(6, 5)
        assert torch.equal(linear(values, weight), F.linear(values, weight))
    products._is_available.cache_clear()


@pytest.mark.parametrize("vendor, is_at_home", [("GenuineIntel", True), ("AuthenticAMD", False)])
def test_mkl_is_at_home_on_intel_s_processors(
    vendor: str, is_at_home: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n", encoding="utf8")
    monkeypatch.setattr(products, "Path", lambda _: description)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert products.mkl_is_at_home.__wrapped__() is is_at_home
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not products.mkl_is_at_home.__wrapped__()


def test_linear_layer_has_the_parameters_of_torch() -> None:
    ours, theirs = Linear(5, 6), nn.Linear(5, 6)
    ours.load_state_dict(theirs.state_dict())
    values = torch.randn(3, 5)
    torch.testing.assert_close(ours(values), theirs(values))


@pytest.mark.usefixtures("product_library")
def test_gru_cell_is_torch_s() -> None:
    cell, inputs, state = nn.GRUCell(6, 4), torch.randn(5, 6), torch.randn(5, 4)
    torch.testing.assert_close(gru_cell(cell, inputs, state), cell(inputs, state))


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("n_layers", [1, 3])
def test_gru_is_torch_s(n_layers: int) -> None:
    network = nn.GRU(4, 4, n_layers, batch_first=True)
    inputs, state = torch.randn(5, 3, 4), torch.randn(5, 4)
    expected, _ = network(inputs, state.expand(n_layers, -1, -1).contiguous())
    torch.testing.assert_close(gru(network, inputs, state, is_train=True), expected)


def test_dropout_between_gru_layers_acts_in_training_only() -> None:
    network = nn.GRU(4, 4, 2, batch_first=True, dropout=0.5)
    inputs, state = torch.randn(5, 3, 4), torch.randn(5, 4)
    quiet = [gru(network, inputs, state, is_train=False) for _ in range(2)]
    assert torch.equal(*quiet)
    assert not torch.equal(gru(network, inputs, state, is_train=True), quiet[0])
