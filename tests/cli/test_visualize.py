import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.tokens import Doc
from typer.testing import CliRunner

import glomo_spacy
from glomo_spacy.cli import app
from glomo_spacy.cli.visualize import graph_pipeline, read_texts, visualize

TEXT = "She won two prizes because she discovered radium."
HOSTILE = '</script><img src=x onerror="alert(1)">'


def data_of(page: str) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])


def run(*args: object, text: str = "") -> Any:
    return CliRunner().invoke(app, ["visualize", *map(str, args)], input=text)


def test_command_writes_a_page_with_the_text_and_all_graphs(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "graph.html"
    result = run(TEXT, "-o", output, "--pretrained", checkpoint)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"✔ {output}: 1 text, ")
    data = data_of(output.read_text(encoding="utf-8"))
    assert data["docs"][0]["words"] == TEXT.replace(".", " .").split()
    assert [graph["id"] for graph in data["graphs"]][:2] == ["mixed", "left-1-1"]
    assert len(data["graphs"]) == 1 + 2 * 2 * 3


def test_weights_of_the_page_are_those_of_the_graph(checkpoint: Path) -> None:
    doc = graph_pipeline(pretrained=str(checkpoint))(TEXT)
    packed = data_of(visualize(doc))["docs"][0]["graphs"][1]  # of the head that looks at the word before
    assert packed == {
        "rows": [0, *range(len(doc))],
        "sources": [*range(len(doc) - 1)],
        "weights": [1000] * (len(doc) - 1),
    }


def test_paragraphs_of_a_file_become_texts(checkpoint: Path, tmp_path: Path) -> None:
    text = tmp_path / "story.txt"
    text.write_bytes("\ufeffThe cat\r\nsat.\r\n\r\n \r\nShe won.\r\n".encode())
    result = run(text, "-o", tmp_path / "graph.html", "--pretrained", checkpoint)
    assert result.exit_code == 0, result.output
    docs = data_of((tmp_path / "graph.html").read_text(encoding="utf-8"))["docs"]
    assert [doc["name"] for doc in docs] == ["The cat sat.", "She won."]


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"The cat sat.\n\nShe won.\n")))
    assert read_texts("-") == ["The cat sat.", "She won."]


@pytest.mark.parametrize("text", ["The cat sat.", "a" * 5000, "nul \0 byte", "sat.txt is a file", HOSTILE])
def test_a_text_itself_is_one_text(text: str) -> None:
    assert read_texts(text) == [text]


@pytest.mark.parametrize("text", ["", " \n "])
def test_empty_text_is_one_clear_error(checkpoint: Path, tmp_path: Path, text: str) -> None:
    result = run(text, "-o", tmp_path / "graph.html", "--pretrained", checkpoint)
    assert result.exit_code == 1
    assert (
        result.output
        == "✘ [G035] The text holds no text. Give a sentence, a UTF-8 text file, or `-` to read from standard input.\n"
    )
    assert not (tmp_path / "graph.html").exists()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(ValueError, match=r"\[G035\] .*empty.txt holds no text"):
        read_texts(str(empty))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"ab\xff\xfe")
    with pytest.raises(ValueError, match=r"\[G006\] .*picture.png is not UTF-8 text: invalid start byte at byte 2"):
        read_texts(str(binary))


def test_a_missing_text_file_is_not_taken_for_a_text() -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G036\] no/such/story.txt looks like a file, but there is none"):
        read_texts("no/such/story.txt")


def test_missing_weights_are_one_clear_error(tmp_path: Path) -> None:
    result = run(TEXT, "-o", tmp_path / "graph.html", "--pretrained", tmp_path / "nothing")
    assert result.exit_code == 1
    assert result.output.startswith("✘ [G122]")
    assert len(result.output.splitlines()) == 1


def test_hostile_words_stay_text_in_the_page(checkpoint: Path) -> None:
    page = visualize(HOSTILE, pretrained=str(checkpoint), title=HOSTILE)
    assert "<img" not in page
    assert data_of(page)["docs"][0]["name"] == HOSTILE


def test_a_doc_without_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G037\] The Doc has no relational graph"):
        visualize(spacy.blank("en")("No graph."))


def test_no_docs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G035\] The input holds no text"):
        visualize([])


def test_docs_of_a_pipeline_that_keeps_the_mixed_graph_alone_are_shown(checkpoint: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"pretrained": str(checkpoint)})
    data = data_of(visualize([nlp(TEXT), "The cat sat."], nlp=nlp))
    assert [graph["id"] for graph in data["graphs"]] == ["mixed"]
    assert len(data["docs"]) == 2


def test_empty_one_token_and_whitespace_docs_are_shown(checkpoint: Path) -> None:
    nlp = graph_pipeline(pretrained=str(checkpoint))
    docs = [nlp(Doc(nlp.vocab)), nlp("radium"), nlp(" \n\n ")]
    assert [doc["words"] for doc in data_of(visualize(docs))["docs"]] == [[], ["radium"], []]


def test_settings_reach_the_page(checkpoint: Path) -> None:
    page = visualize(TEXT, pretrained=str(checkpoint), min_weight=0.25, top_k=None, title="Radium", lang="de")
    data = data_of(page)
    assert (data["threshold"], data["sources"], data["title"]) == (250, None, "Radium")
    assert '<html lang="de">' in page


def test_saved_pipeline_is_used(checkpoint: Path, tmp_path: Path) -> None:
    graph_pipeline(pretrained=str(checkpoint)).to_disk(tmp_path / "pipeline")
    result = run(TEXT, "-o", tmp_path / "graph.html", "--pipeline", tmp_path / "pipeline", "--pretrained", "nothing")
    assert result.exit_code == 0, result.output


def test_the_python_name_is_the_function_of_the_command() -> None:
    assert glomo_spacy.visualize is visualize


def test_a_process_that_only_reads_finds_the_graph_of_a_stored_doc(checkpoint: Path, tmp_path: Path) -> None:
    doc = graph_pipeline(pretrained=str(checkpoint))(TEXT)
    (tmp_path / "doc").write_bytes(doc.to_bytes())
    code = (
        "import glomo_spacy, spacy, sys; from spacy.tokens import Doc\n"
        "doc = Doc(spacy.blank('en').vocab).from_bytes(open(sys.argv[1], 'rb').read())\n"
        "print(len(glomo_spacy.visualize(doc)))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "doc"], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(visualize(doc))
