"""Batches of questions for `spacy train` in which several are about one context, so that it is read once for them.

Source: ours; `corpora.questions_per_context` of `glomo-spacy pretrain` does the same for readers trained there.
"""

from functools import partial
from typing import Callable, Dict, Iterable, Iterator, List

from spacy.training import Example
from spacy.util import registry

from ..errors import Errors

Batcher = Callable[[Iterable[Example]], Iterator[List[Example]]]


@registry.batchers("glomo_spacy.batch_by_context.v1")
def create_context_batcher_v1(size: int, *, questions_per_context: int = 4) -> Batcher:
    """Put questions about equal contexts side by side.

    spaCy shuffles the examples of an epoch before they come here. Each one that comes brings along the next ones about
    its context, and stands where the first of them stood. `extractive_qa` reads equal contexts of a batch once, which
    takes most of its time.

    size (int): Questions per batch at most, > 0. Published: 32.
    questions_per_context (int): So many of one context are drawn together, > 0. More are quicker, but batches of few
        contexts vary more. 1: the order stays as it is.
    RETURNS (Callable[[Iterable[Example]], Iterator[List[Example]]]): The batcher. It holds all examples of an epoch.
    RAISES: ValueError G101 for a number out of range.
    """
    for name, value in (("size", size), ("questions_per_context", questions_per_context)):
        if value < 1:
            raise ValueError(Errors.G101.format(name=name, expected="a whole number above 0", value=value))
    return partial(_batches, size=size, together=min(questions_per_context, size))


def _batches(examples: Iterable[Example], *, size: int, together: int) -> Iterator[List[Example]]:
    batch: List[Example] = []
    for group in _groups(examples, together=together):
        if len(batch) + len(group) > size:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


def _groups(examples: Iterable[Example], *, together: int) -> List[List[Example]]:
    """Examples by context, `together` at most, in the order of the first of each."""
    groups: List[List[Example]] = []
    open_groups: Dict[str, List[Example]] = {}
    for example in examples:
        context = example.reference.text
        group = open_groups.get(context)
        if group is None or len(group) == together:
            group = open_groups[context] = []
            groups.append(group)
        group.append(example)
    return groups
