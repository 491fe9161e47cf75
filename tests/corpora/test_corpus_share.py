"""A part of any corpus: nested, in order, the same every time."""

from typing import Callable, Iterator, List

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from glomo_spacy.corpora.corpus_share import create_corpus_share_reader_v1


def numbers(n_docs: int) -> Callable[[Language], Iterator[Example]]:
    def read(nlp: Language) -> Iterator[Example]:
        for number in range(n_docs):
            yield Example(nlp.make_doc(str(number)), nlp.make_doc(str(number)))

    return read


def drawn(share: float, *, order_seed: int = 0, n_docs: int = 40) -> List[int]:
    reader = create_corpus_share_reader_v1(numbers(n_docs), share=share, order_seed=order_seed)
    return [int(example.reference.text) for example in reader(spacy.blank("en"))]


def test_a_smaller_share_is_contained_in_a_larger_one() -> None:
    shares = [set(drawn(share)) for share in (0.1, 0.3, 0.7, 1.0)]
    assert [len(share) for share in shares] == [4, 12, 28, 40]
    assert all(small < large for small, large in zip(shares, shares[1:]))


def test_the_whole_is_the_corpus_in_its_order() -> None:
    assert drawn(1.0) == list(range(40))


def test_a_share_stays_in_the_order_of_the_corpus() -> None:
    assert drawn(0.5) == sorted(drawn(0.5))


def test_the_order_seed_draws_another_share() -> None:
    assert drawn(0.25, order_seed=1) != drawn(0.25, order_seed=0) == drawn(0.25, order_seed=0)


def test_there_is_always_one_example() -> None:
    assert len(drawn(0.01, n_docs=3)) == 1


def test_an_empty_corpus_stays_empty() -> None:
    assert drawn(0.5, n_docs=0) == []


def test_the_corpus_is_read_once_for_a_pipeline() -> None:
    readings = []

    def counting(nlp: Language) -> Iterator[Example]:
        readings.append(nlp)
        return numbers(10)(nlp)

    reader = create_corpus_share_reader_v1(counting, share=0.5)
    first, second = spacy.blank("en"), spacy.blank("en")
    assert [list(reader(nlp)) for nlp in (first, first)] == [list(reader(first))] * 2
    assert list(reader(second))[0].predicted.vocab is second.vocab
    assert readings == [first, second]


def test_the_corpus_is_a_section_of_the_config() -> None:
    inner = {"@readers": "spacy.Corpus.v1", "path": "train.spacy", "gold_preproc": False}
    block = {"@readers": "glomo_spacy.corpus_share.v1", "share": 0.5, "corpus": inner}
    assert callable(registry.resolve({"corpus": block})["corpus"])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_is_above_nothing_and_at_most_all(share: float) -> None:
    with pytest.raises(ValueError, match=r"\[G101\] share must be above 0 and at most 1, but is"):
        create_corpus_share_reader_v1(numbers(3), share=share)
