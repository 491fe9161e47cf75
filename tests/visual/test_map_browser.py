"""The page of maps in a real browser: what stands in the document after its scripts ran."""

import re
import struct
from html import unescape
from pathlib import Path
from typing import Dict, List, Tuple

import numpy
import pytest
from visual.chromium import dom_after_scripts, needs_chromium, run_chromium

from glomo_spacy.visual import TokenMap, TokenRows, collect_rows, place_map, render_map

pytestmark = needs_chromium

LAYERS = ["words alone", "layer 1", "layer 2"]
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"


@pytest.fixture
def page(play: TokenMap, tokens: TokenRows) -> str:
    return render_map([place_map(play), place_map(TokenMap("all", tokens))], layers=LAYERS)


def shown(dom: str) -> Dict[int, Tuple[float, float]]:
    """Where the marks stand that are on the map, by token."""
    found = re.findall(r'<g class="point([^"]*)" data-token="(\d+)"[^>]*translate\(([-\d.]+)px, ([-\d.]+)px\)', dom)
    return {int(token): (float(x), float(y)) for classes, token, x, y in found if "off" not in classes.split()}


def body_of(dom: str) -> str:
    """What is shown, without style, data and scripts."""
    return dom.split("</head>")[1].split('<script type="application/json"')[0]


def pressed(dom: str) -> List[str]:
    return re.findall(r'aria-pressed="true"[^>]*>([^<]*)<', body_of(dom))


def text_of(dom: str, name: str) -> str:
    """The text of an element that holds none of its kind."""
    inside = re.search(rf'<(\w+) (?:[^>]* )?id="{name}".*?>(.*?)</\1>', body_of(dom), flags=re.DOTALL)[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inside)).split())


def test_first_view_shows_every_word_of_the_top_layer(page: str, play: TokenMap, tmp_path: Path) -> None:
    dom = dom_after_scripts(page, tmp_path)
    places = shown(dom)
    assert sorted(places) == list(range(len(play.tokens.rows)))
    assert all(0 <= x <= 800 and 0 <= y <= 660 for x, y in places.values())
    assert pressed(dom) == ["play", "layer 2", "all words"]
    assert text_of(dom, "score") == "The nearest other “play” has the same sense for 4 of 4 ."
    assert text_of(dom, "legend") == "theatre sport other words"
    assert text_of(dom, "count") == "15 words"
    assert text_of(dom, "detail").startswith("“play” in 4 sentences")


def test_equal_words_without_context_stand_on_one_point(page: str, play: TokenMap, tmp_path: Path) -> None:
    dom = dom_after_scripts(page, tmp_path, address="layer=0")
    places = shown(dom)
    assert len({places[index] for index in play.focus}) == 1
    assert text_of(dom, "score") == "Without its sentence every “play” is the same: one point for all 4."


def test_the_word_alone_has_a_map_of_its_own(page: str, play: TokenMap, tmp_path: Path) -> None:
    dom = dom_after_scripts(page, tmp_path, address="show=focus&theme=dark")
    assert sorted(shown(dom)) == list(play.focus)
    assert len(set(shown(dom).values())) == 4
    assert 'data-theme="dark"' in dom


def test_a_chosen_word_shows_its_sentence_and_nearest_words(page: str, play: TokenMap, tmp_path: Path) -> None:
    index = play.focus[0]
    dom = dom_after_scripts(page, tmp_path, address=f"word={index + 1}")
    assert text_of(dom, "detail").startswith("play · theatre the play opened Nearest words, with their sentences")
    assert len(re.findall(r'<li class="near', dom)) == 6
    assert len(re.findall(r"<line ", dom)) == 6
    assert len(re.findall(r'<g class="point [^"]*\bon\b', dom)) == 1


def test_found_words_are_marked_and_counted(page: str, tmp_path: Path) -> None:
    dom = dom_after_scripts(page, tmp_path, address="find=PL")
    assert text_of(dom, "count") == "4 found"
    assert len(re.findall(r'<g class="point [^"]*\bfound\b', dom)) == 4


def test_a_map_without_groups_is_drawn(page: str, tmp_path: Path) -> None:
    dom = dom_after_scripts(page, tmp_path, address="map=2&show=focus")
    assert len(shown(dom)) == 15
    assert re.search(r'<p id="score"[^>]*hidden', dom)
    assert text_of(dom, "detail").startswith("4 sentences")


def test_labels_never_cover_each_other(page: str, tmp_path: Path) -> None:
    rng = numpy.random.default_rng(0)
    tokens = collect_rows([[f"word{place}" for place in range(120)]], [rng.normal(size=(120, 5))])
    dom = dom_after_scripts(render_map([place_map(TokenMap("all", tokens))], layers=["one"]), tmp_path)
    corners = []
    for x, y, attributes in re.findall(r"translate\(([-\d.]+)px, ([-\d.]+)px\).*?<text([^>]*)>", body_of(dom)):
        if "off" not in attributes:
            dx, dy = (float(re.search(rf' {axis}="([^"]+)"', attributes)[1]) for axis in "xy")
            corners.append([float(x) + dx, float(y) + dy])
    corners = numpy.array(corners)
    assert 20 < len(corners) <= 120
    across = numpy.abs(corners[:, None, 0] - corners[None, :, 0])
    down = numpy.abs(corners[:, None, 1] - corners[None, :, 1])
    is_near = (across < 30) & (down < 10) & ~numpy.eye(len(corners), dtype=bool)
    assert not is_near.any()


def test_hostile_words_stay_text(tmp_path: Path) -> None:
    words = [HOSTILE, "&lt;b&gt;", "\u2028", "'\"`${1}", "<svg onload=alert(1)>"]
    tokens = collect_rows([words], [numpy.random.default_rng(0).normal(size=(5, 4))])
    placed = place_map(TokenMap(HOSTILE, tokens, groups=[HOSTILE], focus=[0, 4], note=HOSTILE))
    dom = dom_after_scripts(render_map([placed], layers=[HOSTILE], title=f"Safe {HOSTILE}"), tmp_path, address="word=1")
    assert unescape(re.search(r"<title>(.*?)</title>", dom, flags=re.DOTALL)[1]) == f"Safe {HOSTILE}"
    assert "<img" not in dom
    assert "<svg onload" not in dom


@pytest.mark.parametrize("n_words", [1, 2])
def test_one_and_two_words_are_drawn(tmp_path: Path, n_words: int) -> None:
    tokens = collect_rows([["alone", "together"][:n_words]], [numpy.eye(2)[:n_words]])
    dom = dom_after_scripts(
        render_map([place_map(TokenMap("all", tokens))], layers=["one"]), tmp_path, address="word=1"
    )
    assert len(shown(dom)) == n_words


def test_screenshot_is_a_picture_of_the_window(page: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    run_chromium(page, tmp_path, address="", action=f"--screenshot={picture}")
    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1280, 1400)
    assert len(data) > 40_000
