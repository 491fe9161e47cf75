"""What a reader looks up of a word."""

import numpy as np
import torch

from glomo_spacy.models.qa import ReaderConfig
from glomo_spacy.models.qa.inputs import TypeTable, reader_indexer, spell

TYPES = ["Dog", "dogs", "CAT", "x" * 20, "ü", "the"]


def test_words_are_looked_up_in_four_casings_and_unknown_ones_have_the_last_row():
    indexer = reader_indexer(["dog", "Cat", "the", "The"], lang="en")
    assert indexer.ids(["Dog", "CAT", "cat", "THE", "the", "bird", "4"]).tolist() == [0, 1, 1, 2, 2, 4, 4]
    assert len(indexer) == 5


def test_words_are_cut_and_unknown_characters_share_an_id():
    rows = spell(["cab", "", "caüb", "bbbbbb"], alphabet="abc", max_chars=4)
    np.testing.assert_array_equal(rows, [[4, 2, 3, 0], [0, 0, 0, 0], [4, 2, 1, 3], [3, 3, 3, 3]])


def test_a_table_gives_rows_and_characters_of_each_token():
    config = ReaderConfig(n_words=3, word_width=4, characters="Ddgo", max_chars=5)
    table = TypeTable(TYPES, config, indexer=reader_indexer(["dog", "the"], lang="en"))
    ids, mask = torch.tensor([[0, 5], [1, 0]]), torch.tensor([[True, True], [True, False]])
    side = table.side(ids, mask, graphs=None)
    assert side.word_ids is not None
    assert side.char_ids is not None
    assert side.word_ids[mask].tolist() == [0, 1, 2]
    assert side.char_ids[0, 0].tolist() == [2, 5, 4, 0, 0]
    assert side.mask is mask


def test_what_the_config_does_not_ask_for_is_left_out():
    side = TypeTable(TYPES, ReaderConfig(feature_width=4)).side(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1))
    assert (side.word_ids, side.char_ids) == (None, None)
