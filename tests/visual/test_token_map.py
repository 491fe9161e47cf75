"""Maps of words in context: what the page and the picture are given."""

import json
import re
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from glomo_spacy.visual import TokenMap, TokenRows, collect_rows, draw_maps, place_map, render_map

LAYERS = ["words alone", "layer 1", "layer 2"]


def data_of(page: str) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])


def test_the_page_holds_each_word_with_its_sentence(play: TokenMap) -> None:
    (item,) = data_of(render_map([place_map(play)], layers=LAYERS))["maps"]
    words = [item["sentences"][token["sentence"]]["words"][token["position"]] for token in item["tokens"]]
    assert words == [row.word for row in play.tokens.rows]
    assert item["groups"] == ["theatre", "sport"]
    assert [sentence["group"] for sentence in item["sentences"]] == [0, 0, 1, 1]
    assert [index for index, token in enumerate(item["tokens"]) if token["group"] is not None] == item["focus"]
    assert [item["tokens"][index]["group"] for index in item["focus"]] == [0, 0, 1, 1]


def test_each_layer_has_places_neighbours_and_score(play: TokenMap) -> None:
    (item,) = data_of(render_map([place_map(play)], layers=LAYERS))["maps"]
    n_tokens = len(play.tokens.rows)
    assert len(item["layers"]) == 3
    for layer in item["layers"]:
        assert len(layer["all"]["x"]) == len(layer["all"]["y"]) == len(layer["near"]) == n_tokens
        assert len(layer["focus"]["x"]) == 4
        assert all(index not in near for index, near in enumerate(layer["near"]))
    assert [layer["agreement"] for layer in item["layers"]][0::2] == [[0, 4], [4, 4]]


def test_equal_words_are_one_point_where_they_have_no_context(play: TokenMap) -> None:
    alone = data_of(render_map([place_map(play)], layers=LAYERS))["maps"][0]["layers"][0]["all"]
    assert len({(alone["x"][index], alone["y"][index]) for index in play.focus}) == 1


def test_a_map_without_focus_and_groups_has_one_colour(tokens: TokenRows) -> None:
    (item,) = data_of(render_map([place_map(TokenMap("all", tokens))], layers=LAYERS))["maps"]
    assert {token["group"] for token in item["tokens"]} == {0}
    assert {sentence["group"] for sentence in item["sentences"]} == {None}
    assert item["layers"][2]["agreement"] is None
    assert item["layers"][2]["focus"] == {"x": [], "y": []}


def test_a_sentence_without_group_does_not_count(play: TokenMap) -> None:
    mixed = replace(play, groups=["theatre", "", "sport", "sport"])
    assert mixed.group_names == ["theatre", "sport"]
    assert mixed.agreement(2) == (2, 3)
    assert replace(play, groups=["one"] * 4).agreement(2) is None


def test_progress_is_told_for_each_layer(play: TokenMap) -> None:
    calls = []
    place_map(play, progress=lambda: calls.append(1))
    assert len(calls) == 3


@pytest.mark.parametrize("first, expected", [(-1, 2), (0, 0), (1, 1)])
def test_the_first_layer_is_shown_first(play: TokenMap, first: int, expected: int) -> None:
    assert data_of(render_map([place_map(play)], layers=LAYERS, first=first))["layer"] == expected


def test_hostile_words_groups_and_names_stay_text() -> None:
    hostile = "</script><img src=x onerror=alert(1)>{{script}}"
    tokens = collect_rows([[hostile, "b"]], [numpy.eye(2)])
    placed = place_map(TokenMap(hostile, tokens, groups=[hostile], focus=[0], note=hostile))
    page = render_map([placed], layers=[hostile], title=hostile, subtitle=hostile, lang='"><img>')
    assert "<img" not in page
    assert data_of(page)["maps"][0]["sentences"][0]["words"][0] == hostile


def test_the_page_names_nothing_outside_itself(play: TokenMap) -> None:
    page = render_map([place_map(play)], layers=LAYERS).replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|//[a-z]|@import|url\(|<link|<iframe|\ssrc=|\shref=", page)
    assert "unsafe" not in page


def test_a_wrong_number_of_groups_or_layers_is_refused(play: TokenMap, tokens: TokenRows) -> None:
    with pytest.raises(
        ValueError, match=r"\[G055\] groups of the map 'x' must be one per sentence \(4\), but there are 1"
    ):
        TokenMap("x", tokens, groups=["one"])
    with pytest.raises(ValueError, match=r"\[G055\] layers of the map 'play' must be one per name \(1\), .* 3"):
        render_map([place_map(play)], layers=["one"])
    with pytest.raises(ValueError, match=r"\[G100\] first = 3 is not available. Choose one of: 0 to 2"):
        render_map([place_map(play)], layers=LAYERS, first=3)


def test_no_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G054\] There are no words to show"):
        render_map([], layers=LAYERS)
    with pytest.raises(ValueError, match=r"\[G054\]"):
        draw_maps([], tmp_path / "map.png", layer=0, layer_name="")


@pytest.mark.parametrize("n_maps, shape", [(1, (1080, 840)), (3, (2160, 1680))])
def test_the_picture_has_a_panel_for_each_map(play: TokenMap, tmp_path: Path, n_maps: int, shape: Any) -> None:
    path = tmp_path / "map.png"
    draw_maps([place_map(play)] * n_maps, path, layer=2, layer_name="layer 2", title="Senses")
    data = path.read_bytes()
    assert struct.unpack(">II", data[16:24]) == shape
    assert len(data) > 10_000


def test_the_picture_draws_any_word(tmp_path: Path) -> None:
    words = ["$x^2$", "猫", "\u200b", "a\nb", "$", "\\frac", "ok"]
    tokens = collect_rows([words], [numpy.random.default_rng(0).normal(size=(7, 4))])
    draw_maps([place_map(TokenMap("$", tokens))], tmp_path / "map.png", layer=0, layer_name="$")
    assert (tmp_path / "map.png").is_file()


def test_the_same_map_makes_the_same_picture(play: TokenMap, tmp_path: Path) -> None:
    placed = place_map(play)
    for name in ("one.png", "two.png"):
        draw_maps([placed], tmp_path / name, layer=2, layer_name="layer 2")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_missing_matplotlib_is_named_with_its_pip_line(
    play: TokenMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'\[G012\] This needs matplotlib.*pip install "glomo-spacy\[viz\]"'):
        draw_maps([place_map(play)], tmp_path / "map.png", layer=0, layer_name="")
