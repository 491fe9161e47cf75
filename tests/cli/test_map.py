"""Words in their sentences on a map, from the command line."""

import json
import re
import struct
from pathlib import Path
from typing import Any, List

import pytest
from typer.testing import CliRunner

from glomo_spacy import Embedder
from glomo_spacy.architectures.pretrained import packaged_names
from glomo_spacy.cli import app
from glomo_spacy.cli.map import Sentence, choose_sentences, gallery_sentences, make_maps, read_groups, token_map

LINES = ["theatre\tThe play opened. It closed.", "sport\tThey play football.", "We saw a play.", "Nothing here."]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "senses.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf8")
    return path


def run(*args: object) -> Any:
    return CliRunner().invoke(app, ["map", *map(str, args)])


def maps_of(path: Path) -> List[Any]:
    page = path.read_text(encoding="utf8")
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])["maps"]


def test_command_writes_page_picture_and_tables(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    page, picture, tables = tmp_path / "new" / "map.html", tmp_path / "map.png", tmp_path / "logs"
    result = run(text, "-w", "play", "-o", page, "-o", picture, "--projector", tables, "-m", elmo_checkpoint)
    assert result.exit_code == 0, result.output
    (item,) = maps_of(page)
    assert (item["name"], item["groups"]) == ("play", ["theatre", "sport"])
    assert [" ".join(sentence["words"]) for sentence in item["sentences"]] == [
        "The play opened .",
        "They play football .",
        "We saw a play .",
    ]
    assert len(item["focus"]) == 3
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (1080, 840)
    lines = (tables / "metadata.tsv").read_text(encoding="utf8").splitlines()
    assert lines[0] == "Index\tLabel\tSentence\tPosition\tGroup\tContext"
    assert lines[2] == "1\tplay\t0\t1\ttheatre\tThe [play] opened ."
    assert re.search(r"^play +3 +13 +\d/2 +\d/2 +\d/2 +\d/2$", result.stdout, flags=re.MULTILINE)


def test_words_of_several_maps_stand_in_folders_of_their_own(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run(
        text,
        "-w",
        "play",
        "-w",
        "SAW",
        "-o",
        tmp_path / "map.html",
        "--projector",
        tmp_path / "logs",
        "-m",
        elmo_checkpoint,
    )
    assert result.exit_code == 0, result.output
    assert [item["name"] for item in maps_of(tmp_path / "map.html")] == ["play", "SAW"]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "logs").glob("*/vectors.tsv")) == [
        "logs/01/vectors.tsv",
        "logs/02/vectors.tsv",
    ]


def test_without_a_word_all_are_in_colour(text: Path, tmp_path: Path, elmo_checkpoint: str) -> None:
    assert run(text, "-o", tmp_path / "map.html", "-m", elmo_checkpoint, "--max-sentences", "4").exit_code == 0
    (item,) = maps_of(tmp_path / "map.html")
    assert item["focus"] == []
    assert [sentence["group"] for sentence in item["sentences"]] == [0, 0, 1, None]


def test_rows_and_tables_hold_the_vectors_of_the_embedder(text: Path, elmo_checkpoint: str) -> None:
    sentences = {"play": [Sentence(["We", "play"]), Sentence(["play", "it"], "sport")]}
    made = make_maps(sentences, pretrained=elmo_checkpoint)
    arrays = Embedder(elmo_checkpoint).encode([["We", "play"], ["play", "it"]])
    tokens = made.placed[0].map.tokens
    assert [row.word for row in tokens.rows] == ["We", "play", "play", "it"]
    for index, row in enumerate(tokens.rows):
        for layer in range(3):
            assert tokens.vectors[layer, index] == pytest.approx(arrays[row.sentence][layer, row.position], abs=1e-5)
        assert tokens.vectors[3, index] == pytest.approx(arrays[row.sentence][:, row.position].mean(axis=0), abs=1e-5)
    assert made.layers == ["words alone", "layer 1", "layer 2", "mean of all"]


@pytest.mark.parametrize("layer, expected", [("-1", 2), ("0", 0), ("mean", 3)])
def test_layer_says_what_is_shown_first(elmo_checkpoint: str, layer: str, expected: int) -> None:
    assert make_maps({"a": [Sentence(["a", "b"])]}, pretrained=elmo_checkpoint, layer=layer).first == expected


def test_a_group_stands_before_a_tab(text: Path) -> None:
    assert [(sentence.group, len(sentence.tokens)) for sentence in read_groups([str(text)])] == [
        ("theatre", 4),
        ("theatre", 3),
        ("sport", 4),
        ("", 5),
        ("", 3),
    ]


def test_tokenised_lines_stay_as_they_are(text: Path) -> None:
    first = next(read_groups([str(text)], tokenized=True))
    assert first == Sentence(["The", "play", "opened.", "It", "closed."], "theatre")


def test_no_more_text_is_read_than_needed() -> None:
    def sentences():
        for _ in range(3):
            yield Sentence(["Play", "it"])
        raise AssertionError("read too far")

    assert len(choose_sentences(sentences(), words=["play"], max_sentences=3)["play"]) == 3
    assert len(choose_sentences(sentences(), max_sentences=2)["all sentences"]) == 2


def test_the_gallery_uses_each_word_once_in_each_sentence_and_in_several_senses() -> None:
    gallery = gallery_sentences()
    assert next(iter(gallery)) == "play"
    for word, sentences in gallery.items():
        assert len({sentence.group for sentence in sentences}) >= 2
        for sentence in sentences:
            assert [token.lower() for token in sentence.tokens].count(word) == 1, sentence
            assert sentence.tokens[-1] == "."
        assert len({" ".join(sentence.tokens) for sentence in sentences}) == len(sentences)


def test_without_text_the_gallery_is_drawn(tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run("-w", "match", "-o", tmp_path / "gallery.html", "-m", elmo_checkpoint)
    assert result.exit_code == 0, result.output
    (item,) = maps_of(tmp_path / "gallery.html")
    assert (item["name"], item["groups"]) == ("match", ["sport", "fire"])


@pytest.mark.parametrize(
    "args, message",
    [
        (["-o", "map.pdf"], "✘ [G056] map.pdf must end in .html or .png.\n"),
        (["-w", "dog"], "✘ [G100] word = 'dog' is not available. Choose one of: play, bank, "),
        (["-m", "elmo_xx"], "✘ [G046] 'elmo_xx' is neither a packaged model"),
    ],
)
def test_a_wrong_option_is_one_clear_error(args: List[str], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 1
    assert result.output.startswith(message)


@pytest.mark.parametrize(
    "args, message",
    [
        (["-w", "cow"], "✘ [G052] 'cow' does not stand in the text. Give a whole token"),
        (["--max-sentences", "0"], "✘ [G101] max_sentences must be at least 1, but is 0"),
        (["--layer", "all"], "✘ [G100] layer = 'all' is not available. Choose one of: mean or the number of a layer"),
        (["--layer", "9"], "✘ [G100] layer = 9 is not available."),
        (["--perplexity", "0"], "✘ [G101] perplexity must be positive, but is 0.0"),
        (["--lang", "xx_"], "✘ [G008] There is no tokeniser for the language 'xx_'"),
    ],
)
def test_a_wrong_option_for_a_text_is_one_clear_error(
    text: Path, tmp_path: Path, elmo_checkpoint: str, args: List[str], message: str
) -> None:
    result = run(text, "-o", tmp_path / "map.html", "-m", elmo_checkpoint, *args)
    assert result.exit_code == 1
    assert result.output.startswith(message)
    assert not (tmp_path / "map.html").exists()


def test_a_text_without_words_is_one_clear_error(tmp_path: Path, elmo_checkpoint: str) -> None:
    result = run(tmp_path / "none.txt", "-m", elmo_checkpoint)
    assert result.output.startswith("✘ [G004] No file matches")


@pytest.mark.skipif("elmo_en_sm" not in packaged_names(), reason="needs the packaged weights")
def test_packaged_weights_keep_the_senses_of_the_gallery_apart() -> None:
    embedder = Embedder()
    right = total = 0
    for word, sentences in gallery_sentences().items():
        item = token_map(word, sentences, embedder)
        agreement = item.agreement(embedder.n_layers - 1)
        if word == "play":
            assert agreement[0] >= 0.9 * agreement[1]
        assert item.agreement(0)[0] == 0  # the words alone are the same in all senses
        right, total = right + agreement[0], total + agreement[1]
    assert right >= 0.8 * total
