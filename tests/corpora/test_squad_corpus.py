"""A corpus of questions: what is prepared is what stands in the file, and damage is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from squad_files import TINY, make_content, write_squad

from glomo_spacy.corpora import SquadCorpus, prepare_squad, read_squad
from glomo_spacy.corpora.squad_alignment import answer_text
from glomo_spacy.corpora.squad_prepare import SquadSettings

VECTORS = """\
the 1 2
metres 3 4.5
<unk> 9 9
Marta -1 .5
OTTERS 5 6
zebra 7 8
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> SquadCorpus:
    """The tiny file for training and a single question held out, with vectors of a few words."""
    folder = tmp_path_factory.mktemp("squad")
    (folder / "vectors.txt").write_text(VECTORS, encoding="utf8")
    dev = write_squad(folder / "dev.json", make_content())
    prepare_squad([TINY], folder / "corpus", dev=[dev], vectors=folder / "vectors.txt")
    return SquadCorpus(folder / "corpus")


def test_each_question_comes_with_its_context_and_answer(corpus: SquadCorpus) -> None:
    split = corpus.split("train")
    assert (split.n_questions, split.n_contexts) == (20, 6)
    question = split.question(2)
    assert question.id == "tiny03"
    assert [corpus.types[index] for index in question.question] == ["How", "tall", "is", "the", "lighthouse", "?"]
    assert question.answer is not None
    first, last = question.answer
    assert [corpus.types[index] for index in question.context[first : last + 1]] == ["31"]  # the last one listed
    assert split.answers("tiny03") == ["31 metres", "31 metres tall", "31"]


def test_tokens_are_the_text_between_their_offsets(corpus: SquadCorpus) -> None:
    split = corpus.split("train")
    for index, paragraph in enumerate(read_squad(TINY).paragraphs):
        assert split.context_text(index) == paragraph.context
        pairs = zip(split.context(index), split.offsets(index), strict=True)
        for token, (start, end) in pairs:
            shown = paragraph.context[start:end]
            assert corpus.types[token] == shown or (corpus.types[token] == '"' and shown == "'")


def test_spans_give_the_answers_back(corpus: SquadCorpus) -> None:
    split = corpus.split("train")
    for index in range(split.n_questions):
        question, context = split.question(index), int(split.context_of[index])
        assert question.answer == tuple(split.answer_spans[index])
        found = answer_text(split.context_text(context), split.offsets(context), question.answer)
        assert found == split.answers(question.id)[-1]


def test_lengths_are_those_of_the_tokens(corpus: SquadCorpus) -> None:
    split = corpus.split("train")
    assert split.context_lengths.tolist() == [len(split.context(index)) for index in range(split.n_contexts)]
    assert split.question_lengths.tolist() == [len(split.question_tokens(index)) for index in range(split.n_questions)]


def test_spellings_stand_by_falling_count_and_have_no_blanks(corpus: SquadCorpus) -> None:
    counts = sum(corpus.split(name).token_counts(len(corpus.types)) for name in ("train", "dev"))
    assert (np.diff(counts) <= 0).all()
    assert counts.min() > 0
    assert not any(token.isspace() or not token for token in corpus.types)


def test_only_vectors_of_words_that_are_looked_up_are_kept(corpus: SquadCorpus) -> None:
    assert corpus.words == ["the", "metres", "Marta", "OTTERS"]  # otters is found in upper case
    assert corpus.vectors is not None
    assert corpus.vectors.tolist() == [[1, 2], [3, 4.5], [-1, 0.5], [5, 6]]
    assert corpus.record["vectors"] == {"file": "vectors.txt", "n_words": 4, "width": 2}
    known = corpus.record["splits"]["dev"]["known"]
    assert known == {"contexts": 0.2, "questions": 0.0}  # The, of five tokens


def test_the_first_vectors_are_kept_if_asked(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(VECTORS.replace("zebra", "the"), encoding="utf8")
    settings = SquadSettings(max_vectors=5, vector_dtype="float16")
    prepare_squad([TINY], tmp_path / "corpus", vectors=tmp_path / "vectors.txt", settings=settings)
    corpus = SquadCorpus(tmp_path / "corpus")
    assert corpus.words == ["the", "metres", "Marta", "OTTERS"]
    assert corpus.vectors is not None
    assert (corpus.vectors.dtype, corpus.vectors[0, 0]) == (np.float16, 1)


def test_answers_are_counted_by_how_they_fit(tmp_path: Path) -> None:
    answers = [{"answer_start": start, "text": text} for start, text in ((4, "mast"), (9, "1"), (0, "mast"))]
    path = write_squad(tmp_path / "file.json", make_content("The mast 11m tall.", answers=answers))
    record = prepare_squad([path], tmp_path / "corpus")
    assert record["splits"]["train"]["answers"] == {"exact": 2, "widened": 1, "lost": 0, "moved": 1}


def test_the_same_files_give_the_same_corpus(tmp_path: Path) -> None:
    corpora = []
    for name in ("a", "b"):
        prepare_squad([TINY], tmp_path / name)
        corpora.append(SquadCorpus(tmp_path / name))
    assert corpora[0].fingerprint == corpora[1].fingerprint
    prepare_squad([TINY], tmp_path / "b", settings=SquadSettings(lang="de"), overwrite=True)
    assert SquadCorpus(tmp_path / "b").lang == "de"


def test_white_space_and_line_separators_do_not_shift_tokens(tmp_path: Path) -> None:
    context = "One\u2028two  three\n\nmast\u00a0end. \U0001f600 smile"
    path = write_squad(tmp_path / "file.json", make_content(context, answers=[{"answer_start": 16, "text": "mast"}]))
    prepare_squad([path], tmp_path / "corpus")
    corpus = SquadCorpus(tmp_path / "corpus")
    split = corpus.split("train")
    question = split.question(0)
    assert split.context_text(0) == context
    assert question.answer is not None
    assert corpus.types[question.context[question.answer[0]]] == "mast"


def test_a_file_in_both_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G020\] .*squad_tiny\.json is both in the text and in --dev"):
        prepare_squad([TINY], tmp_path / "corpus", dev=[TINY])
    assert not (tmp_path / "corpus").exists()


def test_an_id_in_two_files_is_refused(tmp_path: Path) -> None:
    paths = [write_squad(tmp_path / f"{name}.json", make_content()) for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"\[G067\] .*b\.json lists the question id 'q1' twice"):
        prepare_squad(paths, tmp_path / "corpus")


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"max_vectors": 0}, r"\[G908\] max_vectors must be at least 1, but is 0"),
        ({"vector_dtype": "int8"}, r"\[G908\] vector_dtype must be one of float32, float16, but is 'int8'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SquadSettings(**settings)


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear to somebody")
    with pytest.raises(FileNotFoundError, match=r"\[G903\]"):
        prepare_squad([TINY], tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").exists()


def test_another_split_is_refused(corpus: SquadCorpus) -> None:
    with pytest.raises(ValueError, match=r"\[G905\] .* has no split 'test'\. It has: train, dev"):
        corpus.split("test")


def test_a_corpus_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({"format_version": 1, "format": "sentences", "splits": {}}))
    with pytest.raises(ValueError, match=r"\[G920\] .* is a corpus of sentences, but squad are needed"):
        SquadCorpus(tmp_path)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A corpus of one question, to be damaged."""
    prepare_squad([write_squad(tmp_path / "file.json", make_content())], tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.mark.parametrize(
    "name, values, reason",
    [
        ("tokens", np.array([0, 1, 2, 3, 99], dtype=np.uint32), r"id 99 is beyond the \d lines of types\.txt"),
        ("tokens", np.array([0, 1], dtype=np.uint32), "the sizes of its arrays differ"),
        ("tokens", np.zeros((5, 1), dtype=np.uint32), "uint32 of rank 2"),
        ("tokens", np.zeros(5), "float64 of rank 1"),
        ("contexts", np.array([0, 7]), "contexts do not fit the tokens"),
        ("ends", np.array([1, 4]), "ends do not fit the tokens"),
        ("examples", np.array([[1, 0, 0]], dtype=np.int32), "a question is on a context that there is not"),
        ("examples", np.array([[0, 0, 5]], dtype=np.int32), "an answer is not within its context"),
        ("examples", np.array([[0, 2, 1]], dtype=np.int32), "an answer is not within its context"),
    ],
)
def test_arrays_that_do_not_fit_are_named(name: str, values: Any, reason: str, damaged: Path) -> None:
    np.save(damaged / f"train.{name}.npy", values)
    with pytest.raises(ValueError, match=rf"\[G902\] .*{reason}"):
        SquadCorpus(damaged).split("train")


@pytest.mark.parametrize("name", ["train.offsets.npy", "train.contexts.jsonl", "train.records.jsonl"])
def test_files_that_are_missing_or_cut_are_named(name: str, damaged: Path) -> None:
    (damaged / name).write_bytes((damaged / name).read_bytes()[:9])
    with pytest.raises(ValueError, match=rf"\[G902\] .*{name}"):
        read_everything(damaged)
    (damaged / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"\[G902\] .*{name} is missing"):
        read_everything(damaged)


def test_too_few_records_are_named(damaged: Path) -> None:
    (damaged / "train.records.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"\[G902\] .*train\.records\.jsonl is damaged: 0 lines, not 1"):
        read_everything(damaged)


def test_words_without_vectors_are_named(corpus: SquadCorpus, tmp_path: Path) -> None:
    record = json.loads((corpus.directory / "corpus.json").read_text())
    for name in ("corpus.json", "types.txt", "vectors.npy"):
        (tmp_path / name).write_bytes((corpus.directory / name).read_bytes())
    (tmp_path / "words.txt").write_text("the\nend\n")
    assert record["vectors"]["n_words"] == 4
    with pytest.raises(ValueError, match=r"\[G902\] .* is damaged: 2 words for 4 vectors"):
        SquadCorpus(tmp_path)


def read_everything(directory: Path) -> None:
    split = SquadCorpus(directory).split("train")
    split.question(0)
    split.context_text(0)
