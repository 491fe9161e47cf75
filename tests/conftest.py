"""What every test shares: a fixed seed and one thread, so that a result never depends on order or machine load."""

import os
import random

# Set before torch is imported. Two tests in two processes then share two cores fairly, and sums have one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Charts and progress bars of subprocesses write plain text of a known width.
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("NO_COLOR", "1")

import numpy
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_everything() -> None:
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
