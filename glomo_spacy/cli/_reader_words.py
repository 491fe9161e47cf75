"""Which words of a reader keep their vectors when it is exported: the table is most of its size."""

from pathlib import Path
from typing import List, Optional

import numpy as np

from ..corpora.squad_corpus import SquadCorpus
from ..errors import Errors
from ..indexers import WordIndexer
from ..models.checkpoint import read_checkpoint


def frequent_words(checkpoint: Path, n_words: int, *, corpus: Optional[Path]) -> List[str]:
    """The words whose vectors are worth most.

    checkpoint (Path): Of a reader.
    n_words (int): How many, > 0; `<unk>`, which has none, is not counted.
    corpus (Optional[Path]): Corpus prepared by `--format squad`; the words that its training text looks up most often,
        most frequent first. None: the first ones of the reader's list, whose order is that of the vectors' file.
    RETURNS (List[str]): At most as many as there are.
    RAISES: ValueError G101 for n_words below 1, G359 for a checkpoint without word vectors; as `read_checkpoint` and
        `SquadCorpus`.
    """
    if n_words < 1:
        raise ValueError(Errors.G101.format(name="--words", expected="a whole number above 0", value=n_words))
    whole = read_checkpoint(checkpoint)
    if whole.kind != "reader" or whole.vocab is None:
        raise ValueError(Errors.G359.format(path=checkpoint, found=whole.kind))
    words = whole.vocab[:-1]
    if corpus is None:
        return words[:n_words]
    texts, indexer = SquadCorpus(corpus), WordIndexer.from_config(whole.indexer, whole.vocab)
    types = texts.split("train").token_counts(len(texts.types))
    counts = np.bincount(indexer.ids(texts.types), weights=types, minlength=len(whole.vocab))[:-1]
    return [words[place] for place in np.argsort(-counts, kind="stable")[:n_words]]
