"""Questions as examples for `spacy train`: the question on the Doc, the answers on its reference."""

from pathlib import Path
from typing import Any, List

import pytest
import spacy
from spacy import registry
from spacy.tokens import DocBin
from spacy.training import Example
from squad_files import TINY, make_content, write_squad

import glomo_spacy.pipeline  # noqa: F401  # installs doc._.question
from glomo_spacy.corpora.squad import ANSWERS_KEY, ID_KEY, create_squad_reader_v1
from glomo_spacy.evaluation import squad_scorer


def read_examples(path: Path = TINY, **settings: Any) -> List[Example]:
    return list(create_squad_reader_v1(str(path), **settings)(spacy.blank("en")))


def ids(examples: List[Example]) -> List[str]:
    return [example.reference.user_data[ID_KEY] for example in examples]


def test_reader_is_found_by_its_name() -> None:
    reader = registry.get("readers", "glomo_spacy.squad.v1")(str(TINY))
    assert len(list(reader(spacy.blank("en")))) == 20


def test_both_docs_carry_the_question_and_the_reference_the_answers() -> None:
    example = read_examples()[2]
    assert example.predicted._.question == example.reference._.question == "How tall is the lighthouse?"
    assert [span.text for span in example.reference.spans["answers"]] == ["31 metres", "31 metres tall", "31"]
    assert example.reference.user_data[ANSWERS_KEY] == ["31 metres", "31 metres tall", "31"]
    assert example.reference.user_data[ID_KEY] == "tiny03"
    assert not example.predicted.spans
    assert set(example.predicted.user_data.values()) == {"How tall is the lighthouse?"}  # no answer leaks


def test_answers_are_widened_to_words_without_white_space(tmp_path: Path) -> None:
    context = "A  mast\n\n31m  tall "
    answers = [{"answer_start": start, "text": text} for start, text in ((1, "  mast"), (9, "31"), (14, "tall "))]
    example = read_examples(write_squad(tmp_path / "file.json", make_content(context, answers=answers)))[0]
    assert [span.text for span in example.reference.spans["answers"]] == ["mast", "31", "tall"]
    assert example.reference.text == context


def test_the_scorer_finds_the_answers_of_the_reader() -> None:
    assert squad_scorer.ANSWERS_KEY == ANSWERS_KEY
    examples = read_examples(limit=4)
    for example in examples[:3]:
        example.predicted.spans["answers"] = [example.predicted[span.start : span.end] for span in gold_spans(example)]
    scores = squad_scorer.create_squad_scorer_v1()(examples)
    assert scores == {"answer_exact_match": 0.75, "answer_f1": 0.75}


def gold_spans(example: Example) -> Any:
    return example.reference.spans["answers"]


def test_an_example_survives_a_file_of_docs() -> None:
    reference = read_examples()[0].reference
    stored = DocBin(docs=[reference], store_user_data=True).to_bytes()
    doc = next(iter(DocBin().from_bytes(stored).get_docs(spacy.blank("en").vocab)))
    assert doc._.question == "Who built the lighthouse of Orvik?"
    assert list(doc.user_data[ANSWERS_KEY]) == ["Marta Lind", "Marta Lind, an engineer"]
    assert doc.spans["answers"][0].text == "Marta Lind"


def test_a_limit_takes_the_first_questions() -> None:
    assert ids(read_examples(limit=5)) == [f"tiny0{place}" for place in range(1, 6)]
    assert len(read_examples(limit=99)) == 20


def test_a_fraction_is_drawn_by_its_seed_and_keeps_the_order() -> None:
    drawn = ids(read_examples(fraction=0.3))
    assert len(drawn) == 6
    assert drawn == sorted(drawn) == ids(read_examples(fraction=0.3))
    assert drawn != ids(read_examples(fraction=0.3, seed=14))


def test_a_reader_can_be_read_twice() -> None:
    reader, nlp = create_squad_reader_v1(str(TINY)), spacy.blank("en")
    assert ids(list(reader(nlp))) == ids(list(reader(nlp)))


@pytest.mark.parametrize("settings", [{"limit": -1}, {"fraction": 0.0}, {"fraction": 1.5}])
def test_a_part_that_there_is_not_is_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"\[G077\] fraction must be above 0 and at most 1, and limit at least 0, but"):
        create_squad_reader_v1(str(TINY), **settings)


def test_unanswerable_questions_are_refused_or_left_out(tmp_path: Path) -> None:
    content = make_content()
    content["data"][0]["paragraphs"][0]["qas"].append({"id": "q2", "question": "Who?", "answers": []})
    path = write_squad(tmp_path / "two.json", content)
    assert ids(read_examples(path, answerable_only=True)) == ["q1"]
    with pytest.raises(ValueError, match=r"\[G069\] .* question 'q2' has no answer"):
        read_examples(path)
