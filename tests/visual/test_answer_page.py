"""The page of answers: what it is given, and what stands in a browser after its scripts ran."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any, List

import numpy
import pytest
from visual.chromium import dom_after_scripts, needs_chromium

from glomo_spacy.visual import Answer, AnswerExplanation, AnswerGraph, candidate_names, render_answer_page
from glomo_spacy.visual.answer_page import strongest_relations

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"
WORDS = ["Ada", "Byron", "\n\n", "wrote", "programs", "."]
BACK = numpy.zeros((6, 6), dtype="float32")
BACK[0, 3], BACK[1, 4], BACK[3, 0], BACK[1, 0] = 0.25, 0.125, 0.5, 0.75
AHEAD = numpy.zeros((6, 6), dtype="float32")
AHEAD[0, 3], AHEAD[4, 1] = 0.05, 0.5
MIXTURE = numpy.array([[0.9, 0.1], [0.5, 0.5], [0, 0], [0, 1], [0.25, 0.75], [1, 0]], dtype="float32")
WHO = {
    "question": "Who wrote programs?",
    "words": WORDS,
    "answers": [Answer(0, 2, 0.5), Answer(4, 5, 0.125)],
    "starts": [0.8, 0.0, 0, 0, 0.2, 0],
    "ends": [0.0, 0.5, 0, 0, 0.25, 0],
    "spaces": [True, False, False, True, False, False],
    "graphs": [AnswerGraph("Looks back", BACK, MIXTURE), AnswerGraph("Looks ahead", AHEAD, [1.0, 0.0])],
    "candidates": ["layer 1, head 1", "layers 1-2, head 1"],
    "note": "Words 1-6 of 6",
}


def explain(**changes: Any) -> AnswerExplanation:
    return AnswerExplanation(**{**WHO, **changes})


def data_of(page: str) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])


def body_of(dom: str) -> str:
    """What is shown, without style, data and scripts."""
    return dom.split("</head>")[1].split('<script type="application/json"')[0]


def text_of(dom: str, name: str) -> str:
    inside = re.search(rf'<(\w+) (?:[^>]* )?id="{name}".*?>(.*?)</\1>', body_of(dom), flags=re.DOTALL)[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inside)).split())


def words_of(dom: str, kind: str) -> List[str]:
    """The words that are marked as of a kind."""
    found = re.findall(r'<span class="(word[^"]*)".*?>(.*?)</span>', body_of(dom), flags=re.DOTALL)
    return [unescape(word) for kinds, word in found if kind in kinds.split()]


def relations_of(dom: str, kind: str) -> List[str]:
    found = re.findall(rf'<li class="{kind}">(.*?)</li>', body_of(dom), flags=re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", line)).split()) for line in found]


def shades_of(dom: str, kind: str) -> List[float]:
    """How strong the shade of each word is, 0-1."""
    return [float(share) for share in re.findall(rf"--{kind}: ([\d.]+)", body_of(dom))]


def test_the_page_holds_question_text_answers_and_graphs() -> None:
    (item,) = data_of(render_answer_page([explain()]))["items"]
    assert item["question"] == item["name"] == WHO["question"]
    assert item["words"] == WORDS
    assert item["answers"] == [[0, 2, 0.5], [4, 5, 0.125]]
    assert (item["starts"], item["ends"]) == (WHO["starts"], WHO["ends"])
    back, ahead = item["graphs"]
    assert back["relations"] == [[1, 0, 0.75], [3, 0, 0.5], [0, 3, 0.25], [1, 4, 0.125]]
    assert back["mixture"][1] == [0.5, 0.5]
    assert ahead["mixture"] == [[1.0, 0.0]]


def test_what_is_not_given_has_its_plain_meaning() -> None:
    (item,) = data_of(render_answer_page([explain(spaces=(), graphs=(), candidates=())]))["items"]
    assert item["spaces"] == [1] * 6
    assert (item["graphs"], item["candidates"]) == ([], [])
    (item,) = data_of(render_answer_page([explain(candidates=())]))["items"]
    assert item["candidates"] == ["graph 1", "graph 2"]


def test_the_strongest_relations_of_each_receiver_and_of_each_source_are_kept() -> None:
    weights = numpy.array([[0, 0.6, 0.3], [0.2, 0, 0.1], [0.5, 0.4, 0]])
    assert [edge[:2] for edge in strongest_relations(weights, n_relations=1)] == [(0, 1), (2, 0), (0, 2), (1, 0)]
    assert len(strongest_relations(weights, n_relations=5)) == 6
    assert strongest_relations(numpy.zeros((0, 0))) == []


def test_candidates_with_products_are_named_in_their_order() -> None:
    names = candidate_names(n_layers=3, n_heads=2, has_products=True)
    assert [name.split(",")[0] for name in names[::2]] == ["layer 1", "layer 2", "layers 1-2", "layer 3", "layers 1-3"]
    assert names[:2] == ["layer 1, head 1", "layer 1, head 2"]
    assert candidate_names(n_layers=2, n_heads=1, has_products=False) == ["layer 1, head 1", "layer 2, head 1"]


def test_hostile_words_and_names_stay_text() -> None:
    graph = AnswerGraph(HOSTILE, BACK, MIXTURE)
    item = explain(question=HOSTILE, words=[HOSTILE] * 6, graphs=[graph], candidates=[HOSTILE] * 2, name=HOSTILE)
    page = render_answer_page([item], title=HOSTILE)
    assert "<img" not in page
    assert data_of(page)["items"][0]["words"] == [HOSTILE] * 6


def test_the_page_names_nothing_outside_itself() -> None:
    page = render_answer_page([explain()]).replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|//[a-z]|@import|url\(|<link|<iframe|\ssrc=|\shref=", page)
    assert "unsafe" not in page


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"starts": [1.0]}, r"\[G950\] An answer's explanation needs starts for its words \(6\), but has 1"),
        ({"ends": []}, r"\[G950\].* needs ends for its words \(6\), but has 0"),
        ({"spaces": [True]}, r"\[G950\].* needs spaces for its words \(6\), but has 1"),
        ({"graphs": [AnswerGraph("Looks", BACK[:2])]}, r"\[G950\].* graph 'Looks' .*\(6, 6\)\), but has \(2, 6\)"),
        ({"graphs": [AnswerGraph("Looks", BACK, [1.0])]}, r"\[G950\].* mixture of 'Looks' .*\(2,\)\), but has \(1,\)"),
        ({"graphs": [AnswerGraph("Looks", BACK, MIXTURE[1:])]}, r"\[G950\].*\(6, 2\)\), but has \(5, 2\)"),
        ({"answers": [Answer(2, 2, 0.5)]}, r"\[G951\] The answer from word 2 up to 2 does not stand in a text of 6"),
        ({"answers": [Answer(5, 7, 0.5)]}, r"\[G951\] The answer from word 5 up to 7"),
        ({"answers": [Answer(0, 1, 1.5)]}, r"\[G953\] scores must be probabilities or shares .* but hold 1.5"),
        ({"starts": [float("nan")] * 6}, r"\[G953\] starts must be .* but hold nan"),
        ({"graphs": [AnswerGraph("Looks", BACK, [2.0, 0.0])]}, r"\[G953\] mixture of 'Looks' must be .* hold 2.0"),
        ({"graphs": [AnswerGraph("Looks", -BACK)]}, r"\[G954\] Weights of the graph 'Looks' must be finite and 0"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain(**changes)


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G952\] There is nothing to show: give at least one explanation"):
        render_answer_page([])


@needs_chromium
def test_the_answer_is_marked_and_its_relations_are_the_mean_of_the_graphs(tmp_path: Path) -> None:
    dom = dom_after_scripts(render_answer_page([explain()]), tmp_path)
    assert words_of(dom, "answer") == ["Ada", "Byron"]
    assert words_of(dom, "word") == [word for word in WORDS if word.strip()]
    assert text_of(dom, "question") == WHO["question"]
    assert text_of(dom, "answers").startswith("Answers Ada Byron 50.0 % programs 12.5 %")
    assert relations_of(dom, "in") == ["Ada ← wrote 0.15", "Byron ← programs 0.063"]
    assert relations_of(dom, "out") == ["wrote ← Ada 0.25", "programs ← Byron 0.25"]
    assert relations_of(dom, "graph") == [
        "Looks ahead: layer 1, head 1 100.0 %",
        "Looks back: layer 1, head 1 70.0 %",
        "Looks back: layers 1-2, head 1 30.0 %",
        "Looks ahead: layers 1-2, head 1 0.0 %",
    ]
    assert len(re.findall(r'<path class="(?:in|out)"', dom)) == 4
    assert re.search(r"begins the answer 80.0 %, ends it 0.0 %", dom)
    assert shades_of(dom, "starts") == [1.0, 0.0, 0.0, 0.25, 0.0]
    assert shades_of(dom, "ends") == [0.0, 1.0, 0.0, 0.5, 0.0]


@needs_chromium
def test_the_address_chooses_text_answer_word_graph_and_shade(tmp_path: Path) -> None:
    page = render_answer_page([explain(question="And who else?"), explain()])
    dom = dom_after_scripts(page, tmp_path, address="text=2&answer=2&word=4&graph=1&view=ends&theme=dark")
    assert text_of(dom, "question") == WHO["question"]
    assert words_of(dom, "answer") == ["programs"]
    assert words_of(dom, "chosen") == ["wrote"]
    assert relations_of(dom, "in") == ["Ada 0.50"]
    assert relations_of(dom, "out") == ["Ada 0.25"]
    assert relations_of(dom, "graph")[0] == "layers 1-2, head 1 100.0 %"
    assert re.search(r'<div id="words" class="words ends"', dom)
    assert 'data-theme="dark"' in dom


@needs_chromium
def test_hostile_words_and_texts_without_graphs_or_answers_are_drawn(tmp_path: Path) -> None:
    words = [HOSTILE, "&lt;b&gt;", "\u2028", "'\"`${1}"]
    bare = AnswerExplanation(HOSTILE, words, [], [0.05, 0.0, 0.0, 0.0], [0.0] * 4)
    empty = AnswerExplanation("?", [], [], [], [])
    dom = dom_after_scripts(render_answer_page([bare, empty], title=HOSTILE), tmp_path)
    assert unescape(re.search(r"<title>(.*?)</title>", dom, flags=re.DOTALL)[1]) == HOSTILE
    assert "<img" not in dom
    assert words_of(dom, "word") == [words[0], words[1], words[3]]
    assert "No answer was found" in text_of(dom, "answers")
    assert shades_of(dom, "starts") == [0.5, 0.0, 0.0]  # nothing is likely: no full shade
    assert relations_of(dom, "in") == []
