import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli.demo import SENTENCES, strongest_relations
from glomo_spacy.cli.visualize import graph_pipeline


def test_demo_prints_each_sentence_with_its_relations_and_writes_the_page(checkpoint: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "demo"), "--pretrained", str(checkpoint)])
    assert result.exit_code == 0, result.output
    for sentence in SENTENCES:
        after = result.output.split(sentence)[1].splitlines()[1:5]
        assert all(re.fullmatch(r" +\S+ ← \S+ +0\.\d\d  █+", line) for line in after), after
    page = (tmp_path / "demo" / "graph.html").read_text(encoding="utf-8")
    docs = json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])["docs"]
    assert [doc["name"] for doc in docs] == list(SENTENCES)


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
