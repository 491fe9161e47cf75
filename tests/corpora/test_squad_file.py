"""Files in the format of SQuAD: read whole, and one clear error for each mistake."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from squad_files import TINY, make_content, write_squad

from glomo_spacy.corpora import read_squad
from glomo_spacy.corpora.squad_file import Answer


def test_every_question_of_a_file_is_read_in_order() -> None:
    data = read_squad(TINY)
    assert len(data.paragraphs) == 6
    assert [question.id for question in data.questions] == [f"tiny{place:02}" for place in range(1, 21)]
    first = data.paragraphs[0]
    assert first.title == "The_lighthouse_of_Orvik"
    assert first.questions[0].text == "Who built the lighthouse of Orvik?"
    assert first.questions[0].answers[0] == Answer(45, "Marta Lind")
    assert data.answers["tiny03"] == ["31 metres", "31 metres tall", "31"]
    assert (data.n_moved, data.n_unanswerable) == (0, 0)


def test_each_answer_stands_in_its_context() -> None:
    for paragraph in read_squad(TINY).paragraphs:
        for question in paragraph.questions:
            for start, text in question.answers:
                assert paragraph.context[start : start + len(text)] == text


def test_a_packed_file_equals_the_plain_one(tmp_path: Path) -> None:
    packed = tmp_path / "tiny.json.gz"
    packed.write_bytes(gzip.compress(TINY.read_bytes()))
    assert read_squad(packed).paragraphs == read_squad(TINY).paragraphs


def test_an_answer_that_moved_is_found_where_it_stands_nearest(tmp_path: Path) -> None:
    content = make_content("A mast, a long mast and a mast.", answers=[{"answer_start": 16, "text": "mast"}])
    data = read_squad(write_squad(tmp_path / "moved.json", content))
    assert [answer.start for question in data.questions for answer in question.answers] == [15]
    assert data.n_moved == 1


def test_unanswerable_questions_can_be_left_out(tmp_path: Path) -> None:
    content = make_content()
    entries = content["data"][0]["paragraphs"][0]["qas"]
    entries += [{"id": "q2", "question": "What is small?", "answers": [], "is_impossible": True}]
    content["data"][0]["paragraphs"].append({"context": "Nobody asks.", "qas": []})
    path = write_squad(tmp_path / "two.json", content)
    data = read_squad(path, answerable_only=True)
    assert [question.id for question in data.questions] == ["q1"]
    assert (data.n_unanswerable, len(data.paragraphs)) == (1, 1)
    with pytest.raises(ValueError, match=r"\[G069\] .*: question 'q2' has no answer, as in SQuAD 2\.0\. Leave"):
        read_squad(path)


def test_the_first_questions_can_be_taken() -> None:
    data = read_squad(TINY).first(5)
    assert [question.id for question in data.questions] == ["tiny01", "tiny02", "tiny03", "tiny04", "tiny05"]
    assert len(data.paragraphs) == 2


PLACE = r"data\[0\]\.paragraphs\[0\]"
ENTRY = rf"{PLACE}\.qas\[0\] \(id 'q1'\)"


@pytest.mark.parametrize(
    "content, text",
    [
        ({"version": "1.1"}, r'\[G065\] .*bad\.json is not a SQuAD file: it has no "data"'),
        ([1], r'\[G065\] .* it has no "data"'),
        ({"data": 3}, r"\[G066\] .*: data of the file must be a list, but is 3"),
        ({"data": ["x"]}, r"\[G066\] .*: data\[0\] must be an object, but is 'x'"),
        ({"data": [{"title": "x"}]}, r"\[G066\] .*: paragraphs of data\[0\] must be a list, but is missing"),
        (make_content(7), rf"\[G066\] .*: context of {PLACE} must be text, but is 7"),  # type: ignore[arg-type]
        (make_content("  \n"), rf"\[G068\] .*: the context of {PLACE} is empty"),
        (make_content(id=None), rf"\[G066\] .*: id of {PLACE}\.qas\[0\] must be text, but is missing"),
        (make_content(question=" "), rf"\[G068\] .*: the question of {ENTRY} is empty"),
        (make_content(question="\ud800"), rf"\[G066\] .*: question of {ENTRY} must be text, but is '.ud800'"),
        (make_content(answers={}), rf"\[G066\] .*: answers of {ENTRY} must be a list, but is \{{\}}"),
        (make_content(answers=[]), r"\[G069\] .*: question 'q1' has no answer"),
        (
            make_content(answers=[{"text": "mast"}]),
            rf"\[G066\] .*: answer_start of an answer of {ENTRY} must be a whole",
        ),
        (
            make_content(answers=[{"text": "", "answer_start": 4}]),
            rf"\[G068\] .*: the text of an answer of {ENTRY} is emp",
        ),
        (
            make_content(answers=[{"text": "sail", "answer_start": 4}]),
            r"\[G070\] .*: the answer 'sail' to question 'q1' does not stand in its context",
        ),
        (
            make_content(answers=[{"text": "tall. And", "answer_start": 12}]),
            r"\[G070\] .*: the answer 'tall\. And' to question 'q1' does not stand in its context",
        ),
        ({"data": []}, r"\[G071\] .* holds no question\."),
    ],
)
def test_a_mistake_is_named_with_its_place(content: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=text):
        read_squad(write_squad(tmp_path / "bad.json", content))


def test_an_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    content = make_content()
    content["data"].append(make_content()["data"][0])
    with pytest.raises(ValueError, match=r"\[G067\] .* lists the question id 'q1' twice"):
        read_squad(write_squad(tmp_path / "twice.json", content))


def test_a_file_of_unanswerable_questions_holds_none_that_has_an_answer(tmp_path: Path) -> None:
    path = write_squad(tmp_path / "none.json", make_content(answers=[]))
    with pytest.raises(ValueError, match=r"\[G071\] .* holds no question that has an answer\."):
        read_squad(path, answerable_only=True)


@pytest.mark.parametrize("content", [b'{"data": [', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"\[G065\] .*broken\.json is not a SQuAD file: "):
        read_squad(path)


def test_a_cut_packed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.json.gz"
    path.write_bytes(gzip.compress(json.dumps(make_content()).encode())[:-12])
    with pytest.raises(ValueError, match=r"\[G065\] .*cut\.json\.gz is not a SQuAD file: "):
        read_squad(path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G004\] No file matches 'none\.json'"):
        read_squad("none.json")
