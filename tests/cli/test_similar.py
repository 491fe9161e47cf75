"""The tokens of a text that are used most like a word of a query."""

import json
from pathlib import Path
from typing import Any, List, Tuple

import numpy as np
import pytest
from typer.testing import CliRunner

from glomo_spacy import Embedder
from glomo_spacy.cli import app
from glomo_spacy.cli._feature_folder import FeatureSettings
from glomo_spacy.cli.extract import extract
from glomo_spacy.cli.similar import find_similar, similar

LINES = ["The bank lent money .", "A river bank .", "", "Dogs bark at the Bank .", "A river bank ."]
QUERY = "She went to the bank ."


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf8")
    return path


def run(*args: object) -> Any:
    return CliRunner().invoke(app, ["similar", *map(str, args)])


def by_hand(checkpoint: str, *, layer: int = -1) -> List[Tuple[float, str]]:
    """Every token of the distinct sentences with its cosine, best first."""
    embedder = Embedder(checkpoint)
    query = embedder.encode([QUERY.split()], layer=layer)[0][4].astype(float)
    scored = []
    for line in dict.fromkeys(LINES):
        for token, vector in zip(line.split(), embedder.encode([line.split()], layer=layer)[0].astype(float)):
            scored.append((vector @ query / np.linalg.norm(vector) / np.linalg.norm(query), token))
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("layer", [-1, 1])
def test_nearest_tokens_are_those_of_the_highest_cosines(text: Path, elmo_checkpoint: str, layer: int) -> None:
    arguments: Any = {"pretrained": elmo_checkpoint, "layer": str(layer), "tokenized": True}
    found = similar(QUERY, "bank", [str(text)], n_best=6, **arguments)
    expected = by_hand(elmo_checkpoint, layer=layer)[:6]
    assert [item.token for item in found] == [token for _, token in expected]
    np.testing.assert_allclose([item.cosine for item in found], [cosine for cosine, _ in expected], atol=1e-5)


def test_a_hit_names_its_sentence_and_place(text: Path, elmo_checkpoint: str) -> None:
    for item in similar(QUERY, "bank", [str(text)], pretrained=elmo_checkpoint, tokenized=True):
        assert item.tokens == LINES[item.sentence].split()
        assert item.tokens[item.position] == item.token


@pytest.mark.parametrize(
    "which, expected",
    [("same", [(0, "bank"), (1, "bank"), (3, "Bank")]), ("other", [])],
)
def test_only_the_same_word_or_all_others_are_found(
    text: Path, elmo_checkpoint: str, which: str, expected: List[Tuple[int, str]]
) -> None:
    arguments: Any = {"pretrained": elmo_checkpoint, "tokenized": True, "n_best": 50}
    found = similar(QUERY, "bank", [str(text)], which=which, **arguments)
    banks = sorted((item.sentence, item.token) for item in found if item.token.lower() == "bank")
    assert banks == expected
    assert len(found) == (3 if which == "same" else 12)


def test_the_query_itself_and_repeated_sentences_are_left_out(text: Path, elmo_checkpoint: str) -> None:
    found = similar(LINES[0], "bank", [str(text)], pretrained=elmo_checkpoint, tokenized=True, n_best=50)
    places = [(item.sentence, item.position) for item in found]
    assert (0, 1) not in places
    assert not [place for place in places if place[0] == 4]  # sentence 4 repeats sentence 1
    assert len(places) == len(set(places)) == 14


@pytest.mark.parametrize("stored", ["all", "mean"])
def test_a_folder_made_by_extract_gives_the_same_as_its_text(
    text: Path, tmp_path: Path, elmo_checkpoint: str, stored: str
) -> None:
    settings = FeatureSettings(layer=stored, shard_tokens=5, file_format="safetensors")
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=settings)
    arguments: Any = {"pretrained": elmo_checkpoint, "tokenized": True}
    from_text = similar(QUERY, "bank", [str(text)], **arguments)
    from_folder = similar(QUERY, "bank", [str(tmp_path / "out")], **arguments)
    assert [(item.token, item.sentence) for item in from_folder] == [(item.token, item.sentence) for item in from_text]
    np.testing.assert_allclose([item.cosine for item in from_folder], [item.cosine for item in from_text], atol=1e-5)


def test_a_folder_that_is_not_complete_is_refused(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    settings = FeatureSettings(shard_tokens=1)
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=settings, part=(1, 2))
    result = run(QUERY, "bank", tmp_path / "out", "-m", elmo_checkpoint)
    assert result.output.startswith(f"✘ [G053] {tmp_path / 'out'} lacks 2 of 4 shards. Finish it")


def test_a_folder_of_other_weights_is_refused(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint)
    record = tmp_path / "out" / "extract.json"
    changed = json.loads(record.read_text())
    record.write_text(json.dumps({**changed, "weights": "0" * 64}))
    with pytest.raises(ValueError, match=r"\[G057\] .*out was extracted with other weights than"):
        similar(QUERY, "bank", [str(tmp_path / "out")], pretrained=elmo_checkpoint)


def test_a_layer_that_was_not_stored_is_named(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    settings = FeatureSettings(layer="mean")
    extract([str(text)], tmp_path / "out", pretrained=elmo_checkpoint, settings=settings)
    with pytest.raises(ValueError, match=r"\[G100\] layer = '1' is not available. Choose one of: mean, the one in"):
        similar(QUERY, "bank", [str(tmp_path / "out")], pretrained=elmo_checkpoint, layer="1")


def test_command_prints_tokens_in_their_sentences(text: Path, elmo_checkpoint: str) -> None:
    result = run(QUERY, "BANK", text, "-m", elmo_checkpoint, "-n", "3", "--tokenized")
    assert result.exit_code == 0, result.output
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["cosine", "sentence"]
    assert len(lines) == 3
    for line in lines:
        cosine, sentence, *words = line.split()
        assert -1 <= float(cosine) <= 1
        assert " ".join(words) in LINES[int(sentence)]


def test_raw_text_is_cut_into_sentences(tmp_path: Path, elmo_checkpoint: str) -> None:
    (tmp_path / "raw.txt").write_text("Dogs bark. The bank\n\nlent money.", encoding="utf8")
    found = similar("She went to the bank.", "bank", [str(tmp_path / "raw.txt")], pretrained=elmo_checkpoint)
    by_sentence = {item.sentence: item.tokens for item in found}
    assert by_sentence == {0: ["Dogs", "bark", "."], 1: ["The", "bank"], 2: ["lent", "money", "."]}


def test_command_prints_json(text: Path, elmo_checkpoint: str) -> None:
    result = run(QUERY, "bank", text, "-m", elmo_checkpoint, "--json", "--tokenized", "--layer", "mean")
    found = json.loads(result.stdout)
    assert set(found[0]) == {"cosine", "token", "sentence", "position", "tokens"}


def test_occurrence_chooses_among_equal_words(text: Path, elmo_checkpoint: str) -> None:
    arguments: Any = {"pretrained": elmo_checkpoint, "tokenized": True}
    first, second = (similar("the bank of the man .", "the", [str(text)], occurrence=n, **arguments) for n in (1, 2))
    assert [item.cosine for item in first] != [item.cosine for item in second]
    with pytest.raises(ValueError, match=r"\[G052\] 'the' does not stand in the query as often as 3 times"):
        similar("the bank of the man .", "the", [str(text)], occurrence=3, **arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"word": "cow"}, r"\[G052\] 'cow' does not stand in the query: She went to the bank"),
        ({"which": "some"}, r"\[G100\] which = 'some' is not available. Choose one of: any, same, other"),
        ({"n_best": 0}, r"\[G101\] n_best must be at least 1, but is 0"),
        ({"layer": "all"}, r"\[G100\] layer = 'all' is not available. Choose one of: mean or the number of a layer"),
        ({"layer": "7"}, r"\[G100\] layer = 7 is not available"),
    ],
)
def test_a_wrong_argument_is_named(text: Path, elmo_checkpoint: str, change: Any, message: str) -> None:
    arguments: Any = {"query": QUERY, "word": "bank", "text": [str(text)], "pretrained": elmo_checkpoint, **change}
    with pytest.raises(ValueError, match=message):
        similar(**arguments)


def test_ties_keep_the_order_of_the_text_and_zero_vectors_are_far() -> None:
    ones, zeros = np.ones((2, 3), dtype="float32"), np.zeros((1, 3), dtype="float32")
    vectors = [(["a", "b"], ones), (["zero"], zeros), (["c", "d"], ones)]
    found = find_similar(vectors, ones[0], query=(["x"], 0), n_best=3)
    assert [item.token for item in found] == ["a", "b", "c"]
    assert find_similar(vectors, ones[0], query=(["x"], 0), n_best=9)[-1].cosine == 0


def test_no_sentences_give_nothing() -> None:
    assert find_similar([], np.ones(3, dtype="float32"), query=(["x"], 0), n_best=3) == []
