"""Memory that was freed is kept for the next use, not given back to the system and cleared anew each time."""

from functools import cache

import torch

_LARGEST = (32 << 20) - (1 << 16)  # bytes; glibc learns from blocks below 32 MB


@cache
def keep_freed_memory() -> None:
    """Teach glibc's `malloc` to keep up to 64 MB of freed memory; elsewhere nothing happens.

    It takes blocks above a threshold straight from the system, which clears each page at its first use: up to half the
    time of a recurrence whose tensors have some megabytes. When such a block is freed, its size becomes the threshold,
    so that one block, never touched, is enough. The first call counts.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
