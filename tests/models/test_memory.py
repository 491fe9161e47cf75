"""What was compiled once is not compiled again."""

import os
import subprocess
import sys
from typing import Dict, Optional

import pytest
import torch

from glomo_spacy.models.memory import keep_compiled_products

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
MORE_SHAPES_THAN_ARE_KEPT_BY_DEFAULT = """
import sys, torch
from glomo_spacy.models.memory import keep_compiled_products
if sys.argv[1] == "keep":
    keep_compiled_products()
for turn in ("first", "second"):
    print(turn, flush=True)
    for rows in range(1, 1200):
        torch.mm(torch.ones(rows, 8, dtype=torch.bfloat16), torch.ones(8, 8, dtype=torch.bfloat16))
"""


def compiled_again(*, mode: str) -> Dict[str, int]:
    """How many products of the second turn were found and not found among those compiled."""
    command = [sys.executable, "-c", MORE_SHAPES_THAN_ARE_KEPT_BY_DEFAULT, mode]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | {"ONEDNN_VERBOSE": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    second = done.stdout.partition("second\n")[2]
    return {kind: second.count(f"create:cache_{kind}") for kind in ("hit", "miss")}


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
def test_products_are_compiled_once_for_each_shape() -> None:
    default, kept = compiled_again(mode="default"), compiled_again(mode="keep")
    if not default["miss"]:
        pytest.skip("on this processor torch does not hand these products to oneDNN")
    assert default["miss"] > 1000
    assert kept["miss"] == 0
    assert kept["hit"] > 1000


@pytest.mark.parametrize(("before", "after"), [(None, "16384"), ("7", "7")])
def test_who_sets_the_capacity_keeps_it(before: Optional[str], after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, before or "")
    if before is None:
        monkeypatch.delenv(VARIABLE)
    keep_compiled_products()
    assert os.environ[VARIABLE] == after
