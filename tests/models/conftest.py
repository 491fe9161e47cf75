"""What the tests of several models share."""

import pytest
import torch

from glomo_spacy.models import prepacked, products


@pytest.fixture(params=["MKL", "oneDNN", "neither"])
def product_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every product, however small, as on Intel's processors, as on others, and as where torch lacks the operators."""
    library: str = request.param
    has_operators = products._is_available() and prepacked._is_available(torch.float32) and prepacked._has_int8()
    if library == "oneDNN" and not has_operators:
        pytest.skip("this build of torch lacks the operators")
    for module in (products, prepacked):
        monkeypatch.setattr(module, "_WORTH_IT", 0)
        monkeypatch.setattr(module, "mkl_is_at_home", lambda: library == "MKL")
    if library == "neither":
        monkeypatch.setattr(products, "_is_available", lambda: False)
        monkeypatch.setattr(prepacked, "_is_available", lambda dtype: False)
        monkeypatch.setattr(prepacked, "_has_int8", lambda: False)
    return library
