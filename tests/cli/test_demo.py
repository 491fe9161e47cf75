import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glomo_spacy import Embedder
from glomo_spacy.cli import app
from glomo_spacy.cli._demo_answers import QUESTIONS, TEXT
from glomo_spacy.cli._demo_graphs import SENTENCES, strongest_relations
from glomo_spacy.cli._demo_senses import WORDS, first_of_each_sense, in_context, most_alike
from glomo_spacy.cli.ask import answer, qa_pipeline
from glomo_spacy.cli.map import Sentence, gallery_sentences
from glomo_spacy.cli.surprisal import make_passages, read_pairs, surprisal_pipeline
from glomo_spacy.cli.visualize import graph_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "new"


@pytest.fixture(scope="module")
def shown(
    folder: Path, checkpoint: Path, elmo_checkpoint: str, mogrifier_checkpoint: str, reader_checkpoint: str
) -> str:
    """What the command prints."""
    models = {
        "pretrained": checkpoint,
        "elmo": elmo_checkpoint,
        "language-model": mogrifier_checkpoint,
        "reader": reader_checkpoint,
    }
    options = [f"--{name}={value}" for name, value in models.items()]
    result = CliRunner().invoke(app, ["demo", "-o", str(folder), *options])
    assert result.exit_code == 0, result.output
    return result.output


def data_of(page: Path) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), flags=re.DOTALL)[1])


def test_demo_prints_each_sentence_with_its_relations_and_writes_the_page(shown: str, folder: Path) -> None:
    for sentence in SENTENCES:
        after = shown.split(sentence)[1].splitlines()[1:5]
        assert all(re.fullmatch(r" +\S+ ← \S+ +0\.\d\d  █+", line) for line in after), after
    assert [doc["name"] for doc in data_of(folder / "graph.html")["docs"]] == list(SENTENCES)


def test_demo_prints_words_in_their_sentences_with_those_used_most_alike(shown: str, elmo_checkpoint: str) -> None:
    for word, sentences in gallery_sentences(WORDS).items():
        chosen = first_of_each_sense(sentences)
        lines = re.findall(rf"^  .*\[{word}\].*  ~  .*\[{word}\].*  (-?\d\.\d\d)$", shown, flags=re.MULTILINE | re.I)
        assert [f"{cosine:.2f}" for _, cosine in most_alike(word, chosen, Embedder(elmo_checkpoint))] == lines


def test_demo_prints_a_garden_path_word_by_word_and_writes_the_page(
    shown: str, folder: Path, mogrifier_checkpoint: str
) -> None:
    (passage,) = make_passages(read_pairs()[:1], surprisal_pipeline(mogrifier_checkpoint))
    for reading in passage.readings:
        lines = shown.split(" ".join(reading.words))[1].splitlines()[1 : len(reading.words) + 1]
        for line, word, bits in zip(lines, reading.words, reading.bits):
            assert re.fullmatch(rf" +{re.escape(word)} +{bits:.1f}  █+", line), line
    assert len(data_of(folder / "surprisal.html")["passages"]) == len(read_pairs())


def test_demo_answers_questions_from_their_text_and_writes_the_page(
    shown: str, folder: Path, reader_checkpoint: str
) -> None:
    for question in QUESTIONS:
        _, ((best, score),) = answer(qa_pipeline(reader_checkpoint), TEXT, question)
        assert re.search(
            rf"^  {re.escape(question)} +{re.escape(best.text)}  \({score:.2f}\)$", shown, flags=re.MULTILINE
        )
    assert QUESTIONS[0] in (folder / "answer.html").read_text(encoding="utf8")


def test_the_first_sentences_of_each_sense_are_chosen() -> None:
    sentences = [Sentence([str(place)], group) for place, group in enumerate("aabaabb")]
    assert [sentence.tokens for sentence in first_of_each_sense(sentences)] == [["0"], ["1"], ["2"], ["5"]]


def test_a_word_never_resembles_itself_most(elmo_checkpoint: str) -> None:
    sentences = [Sentence(["the", "bank"]), Sentence(["a", "bank"]), Sentence(["the", "bank"])]
    nearest = most_alike("bank", sentences, Embedder(elmo_checkpoint))
    assert [other for other, _ in nearest] == [2, nearest[1][0], 0]
    assert nearest[0][1] == pytest.approx(1, abs=1e-5)


def test_a_word_is_shown_with_a_few_around_it() -> None:
    assert in_context(list("abcdefgh"), 4) == "b c d [e] f g h"
    assert in_context(["e"], 0) == "[e]"


def test_strongest_relations_leave_out_punctuation_and_words_without_a_choice(checkpoint: Path) -> None:
    doc = graph_pipeline(pretrained=str(checkpoint))("She won two prizes, because she discovered the cat.")
    relations = strongest_relations(doc, n_shown=100)
    assert len({receiver.i for receiver, _, _ in relations}) == len(relations) > 3
    assert [weight for _, _, weight in relations] == sorted((weight for _, _, weight in relations), reverse=True)
    for receiver, source, _ in relations:
        assert not receiver.is_punct
        assert not source.is_punct
        assert (receiver.i, source.i) != (1, 0)


@pytest.mark.parametrize("text", ["", "radium"])
def test_a_text_without_relations_has_none_to_show(checkpoint: Path, text: str) -> None:
    assert strongest_relations(graph_pipeline(pretrained=str(checkpoint))(text)) == []
