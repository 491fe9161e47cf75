"""A part of any corpus, for learning curves: a smaller part is always contained in a larger one."""

import random
from functools import partial
from typing import Callable, Iterable, Iterator, List
from weakref import WeakKeyDictionary

from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from ..errors import Errors

Reader = Callable[[Language], Iterable[Example]]
Drawn = WeakKeyDictionary[Language, List[Example]]


@registry.readers("glomo_spacy.corpus_share.v1")
def create_corpus_share_reader_v1(corpus: Reader, *, share: float, order_seed: int = 0) -> Reader:
    """Read a share of what another reader gives.

    All examples are put into an order that depends on their number and on `order_seed` only; the share is the
    beginning of it. So two shares of one corpus are nested, and every process draws the same. What was drawn is given
    in the order of the corpus. A pipeline asks several times, to initialise each component and to train: the corpus is
    read for it once.

    corpus (Callable): Any reader that ends and gives the same examples at each call, as a sub-section of the config.
    share (float): How much of it, in (0, 1]; rounded to whole examples, at least one.
    order_seed (int): Draws the order.
    RETURNS (Callable[[Language], Iterator[Example]]): Gives the part, to one pipeline always the same examples.
    RAISES: ValueError G101 for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(Errors.G101.format(name="share", expected="above 0 and at most 1", value=share))
    drawn: Drawn = WeakKeyDictionary()
    return partial(_read_share, drawn=drawn, corpus=corpus, share=share, order_seed=order_seed)


def _read_share(nlp: Language, *, drawn: Drawn, corpus: Reader, share: float, order_seed: int) -> Iterator[Example]:
    if nlp not in drawn:
        drawn[nlp] = _draw(list(corpus(nlp)), share=share, order_seed=order_seed)
    yield from drawn[nlp]


def _draw(examples: List[Example], *, share: float, order_seed: int) -> List[Example]:
    order = list(range(len(examples)))
    random.Random(order_seed).shuffle(order)
    n_drawn = max(1, round(share * len(examples)))
    return [examples[place] for place in sorted(order[:n_drawn])]
