"""The page in a real browser: what stands in the document after its scripts ran."""

import re
import struct
from html import unescape
from pathlib import Path
from typing import List, Optional

import numpy
from visual.chromium import dom_after_scripts, needs_chromium, run_chromium

from glomo_spacy.visual import render_graph

pytestmark = needs_chromium
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"


def graph_of(n_words: int) -> numpy.ndarray:
    """Distinct weights in whole thousandths, rows that sum to about 1."""
    weights = numpy.random.default_rng(n_words).random((n_words, n_words)) ** 4 * (1 - numpy.eye(n_words))
    return numpy.round(weights / weights.sum(axis=1, keepdims=True), 3)


def n_expected(graph: numpy.ndarray, *, min_weight: float, top_k: Optional[int]) -> int:
    """Weights that are large enough and among the strongest of their row."""
    strongest = -numpy.sort(-graph, axis=1)[:, :top_k]
    return int((strongest >= min_weight - 1e-9).sum())


def n_arcs(dom: str) -> int:
    return len(re.findall(r'<g class="arc[ "]', dom))


def places(dom: str, axis: str) -> List[float]:
    """Where the words stand along an axis."""
    return [
        float(place) for place in re.findall(rf'<g class="word.*?<text[^>]* {axis}="([\d.]+)"', dom, flags=re.DOTALL)
    ]


def test_default_view_draws_two_sources_per_word(tmp_path: Path) -> None:
    graph = graph_of(5)
    dom = dom_after_scripts(render_graph(["Dogs", "chase", "cats", "at", "night"], graph), tmp_path)
    assert n_arcs(dom) == n_expected(graph, min_weight=0.01, top_k=2) > 5
    x = places(dom, "x")
    assert len(x) == 5
    assert min(numpy.diff(x)) > 40
    assert 'data-layout="line"' in re.search(r"<main[^>]*>", dom)[0]


def test_address_sets_threshold_sources_graph_and_word(tmp_path: Path) -> None:
    first, second = graph_of(8), numpy.round(graph_of(8) ** 2, 3)
    page = render_graph(list("abcdefgh"), [first, second])
    dom = dom_after_scripts(page, tmp_path, address="graph=graph-2&threshold=0.2&sources=all&word=3&theme=dark")
    assert n_arcs(dom) == n_expected(second, min_weight=0.2, top_k=None)
    assert n_arcs(dom) not in (0, n_expected(first, min_weight=0.2, top_k=None))
    assert 'data-theme="dark"' in dom
    chosen = re.search(r'<g class="word on chosen" data-word="(\d)"', dom)
    assert chosen[1] == "2"
    badges = re.findall(r'<g class="badge', dom)
    assert len(badges) == int((second[2] >= 0.2).sum() + (second[:, 2] >= 0.2).sum())


def test_sixty_words_stand_in_a_column_that_fits_the_window(tmp_path: Path) -> None:
    graph = graph_of(60)
    dom = dom_after_scripts(render_graph([f"word{place}" for place in range(60)], graph), tmp_path)
    assert n_arcs(dom) == n_expected(graph, min_weight=0.01, top_k=2)
    assert 'data-layout="column"' in re.search(r"<main[^>]*>", dom)[0]
    assert min(numpy.diff(places(dom, "y"))) >= 20
    assert float(re.search(r'<svg id="arcs-svg"[^>]* width="([\d.]+)"', dom)[1]) < 850


def test_hostile_words_stay_text(tmp_path: Path) -> None:
    words = [HOSTILE, "&lt;b&gt;", "\u2028", "'\"`${1}", "<svg onload=alert(1)>"]
    page = render_graph(words, graph_of(5), title=f"Safe {HOSTILE}")
    dom = dom_after_scripts(page, tmp_path, address="word=1")
    title = unescape(re.search(r"<title>(.*?)</title>", dom, flags=re.DOTALL)[1])
    assert title == f"Safe {HOSTILE}"
    assert "<img" not in dom
    assert "<svg onload" not in dom
    shown = re.findall(r'<g class="word[^>]*>.*?<text[^>]*>(.*?)</text>', dom, flags=re.DOTALL)
    assert [unescape(word) for word in shown] == [word for word in words if not word.isspace()]


def test_empty_and_single_words_are_drawn(tmp_path: Path) -> None:
    for words in ([], ["alone"]):
        dom = dom_after_scripts(render_graph(words, numpy.zeros((len(words),) * 2)), tmp_path)
        assert len(places(dom, "x")) == len(words)
        assert "no word takes anything in" in dom


def test_screenshot_is_a_picture_of_the_window(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    page = render_graph([f"word{place}" for place in range(20)], graph_of(20))
    run_chromium(page, tmp_path, address="", action=f"--screenshot={picture}")
    data = picture.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (1280, 1400)
    assert len(data) > 60_000  # an empty page of this size takes about 10 kB
