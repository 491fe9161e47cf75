"""Words in context with vectors that are known."""

from typing import List

import numpy
import pytest

from glomo_spacy.visual import TokenMap, TokenRows, collect_rows

SENTENCES = [
    "the play opened",
    "a new play about love",
    "they play football",
    "we play on Sunday",
]
SENSES = ["theatre", "theatre", "sport", "sport"]


@pytest.fixture
def tokens() -> TokenRows:
    """Three layers: in layer 0 equal words have equal vectors, in layer 2 their sense is added."""
    rng = numpy.random.default_rng(0)
    words = {word: rng.normal(size=6) for sentence in SENTENCES for word in sentence.split()}
    senses = {sense: 3 * rng.normal(size=6) for sense in SENSES}
    arrays: List[numpy.ndarray] = []
    for sentence, sense in zip(SENTENCES, SENSES):
        alone = numpy.stack([words[word] for word in sentence.split()])
        noise = 0.1 * rng.normal(size=alone.shape)
        arrays.append(numpy.stack([alone, alone + noise, alone + noise + senses[sense]]))
    return collect_rows([sentence.split() for sentence in SENTENCES], arrays)


@pytest.fixture
def play(tokens: TokenRows) -> TokenMap:
    """The four occurrences of "play" in two senses."""
    return TokenMap("play", tokens, groups=SENSES, focus=tokens.of_word("play"))
