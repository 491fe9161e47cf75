"""Products of weights that are laid out once are the plain ones, with every library."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from glomo_spacy.models.prepacked import prepack

pytestmark = pytest.mark.usefixtures("product_library")


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def parameters(request: pytest.FixtureRequest) -> "tuple[Tensor, Tensor | None]":
    return torch.randn(6, 5), torch.randn(6) if request.param else None


@pytest.mark.parametrize("n_rows", [0, 1, 7])
@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 0.05)])
def test_product_is_linear_s(
    parameters: "tuple[Tensor, Tensor | None]", n_rows: int, dtype: torch.dtype, error: float
) -> None:
    weight, bias = (None if part is None else part.to(dtype) for part in parameters)
    values = torch.randn(n_rows, 5, dtype=dtype)
    found = prepack(weight, bias, rows=3)(values)
    torch.testing.assert_close(found, F.linear(values, weight, bias), rtol=error, atol=error)


def test_product_is_added_to_a_total_in_place(parameters: "tuple[Tensor, Tensor | None]") -> None:
    values, total = torch.randn(7, 5), torch.randn(9, 12)[:7, :6]
    expected = total + F.linear(values, *parameters)
    assert prepack(*parameters, rows=3).add_to(total, values) is total
    torch.testing.assert_close(total, expected)


def test_int8_is_near_and_takes_each_row_by_itself(parameters: "tuple[Tensor, Tensor | None]") -> None:
    values = torch.randn(7, 5) * torch.logspace(-3, 3, 7)[:, None]
    product = prepack(*parameters, rows=3, is_int8=True)
    found, expected = product(values), F.linear(values, *parameters)
    assert (found - expected).norm(dim=1).max() / expected.norm(dim=1).max() < 0.02
    torch.testing.assert_close(torch.cat([product(row[None]) for row in values]), found)
