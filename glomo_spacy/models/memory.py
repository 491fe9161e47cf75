"""What was made once is kept: memory that was freed, products that were compiled for their shape."""

import os
from functools import cache

import torch

_PRODUCTS = 1 << 14
_LARGEST = (32 << 20) - (1 << 16)  # bytes; glibc learns from blocks below 32 MB


@cache
def keep_freed_memory() -> None:
    """Teach glibc's `malloc` to keep up to 64 MB of freed memory; elsewhere nothing happens.

    It takes blocks above a threshold straight from the system, which clears each page at its first use: up to half the
    time of a recurrence whose tensors have some megabytes. When such a block is freed, its size becomes the threshold,
    so that one block, never touched, is enough. The first call counts.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)


def keep_compiled_products() -> None:
    """Let oneDNN keep the code of many more products than the 1,024 of its default, unless its own variable is set.

    It compiles each product for its shapes, in bfloat16 for longer than the product itself takes. A GLoMo model that
    learns its graphs, from windows of some hundred lengths, trained a third faster with all of them kept, in half a
    gigabyte more memory (one run on a busy machine). It is for shapes that come again: of a reader or a biLM, whose
    batches hardly ever have as many tokens as one before, each step would leave 15 MB of code that nothing uses, and in
    float32 compiling takes no time to speak of.

    Counts if it is called before the first product of the process.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_PRODUCTS))
