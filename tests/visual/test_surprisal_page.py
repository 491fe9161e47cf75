"""The page of surprisal: what it is given, and what stands in a browser after its scripts ran."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any, List

import pytest
from visual.chromium import dom_after_scripts, needs_chromium

from glomo_spacy.visual import Passage, Reading, render_surprisal

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"
PATH = Reading(["Horses", "raced", "fell", "."], [9.5, 4.25, 18.125, 2.0], label="garden path", ends={3: 0.5})
PLAIN = Reading(["Horses", "they", "raced", "fell", "."], [9.5, 7.0, 3.0, 12.0, 2.0], label="plain")
PAIR = Passage([PATH, PLAIN], name="Racing", focus="fell")
SHORT = Passage(
    [
        Reading(
            ["Zyx", "ran", "."],
            [21.5, 3.0, 1.0],
            spaces=[True, False, False],
            unknown=[True, False, False],
            expected=[[("The", 0.25), ("It", 0.125)], [("ran", 0.125)], []],
        )
    ]
)


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
    found = re.findall(r'<span class="word([^"]*)".*?<b>(.*?)</b>', body_of(dom), flags=re.DOTALL)
    return [unescape(word) for kinds, word in found if kind in kinds.split()]


def test_the_page_holds_words_bits_and_ends() -> None:
    (item,) = data_of(render_surprisal([PAIR]))["passages"]
    first, second = item["readings"]
    assert first["words"] == ["Horses", "raced", "fell", "."]
    assert first["bits"] == [9.5, 4.25, 18.125, 2.0]
    assert first["ends"] == [[3, 0.5]]
    assert first["total"] == pytest.approx(sum(PATH.bits))
    assert (first["focus"], second["focus"]) == (2, 3)
    assert PAIR.focus_bits == [18.125, 12.0]


def test_what_is_not_given_has_its_plain_meaning() -> None:
    (item,) = data_of(render_surprisal([Passage([PATH])]))["passages"]
    assert item["name"] == "Horses raced fell ."
    assert item["readings"][0]["spaces"] == [1, 1, 1, 1]
    assert item["readings"][0]["unknown"] == [0, 0, 0, 0]
    assert (item["readings"][0]["focus"], item["readings"][0]["expected"]) == (None, [])


def test_the_last_of_several_occurrences_is_compared() -> None:
    assert Passage([Reading(["a", "b", "a"], [1.0, 2.0, 3.0])], focus="a").focus_bits == [3.0]


def test_hostile_words_names_and_candidates_stay_text() -> None:
    reading = Reading([HOSTILE], [1.0], label=HOSTILE, expected=[[(HOSTILE, 0.5)]])
    page = render_surprisal([Passage([reading], name=HOSTILE, focus=HOSTILE, note=HOSTILE)], title=HOSTILE)
    assert "<img" not in page
    assert data_of(page)["passages"][0]["readings"][0]["words"] == [HOSTILE]


def test_the_page_names_nothing_outside_itself() -> None:
    page = render_surprisal([PAIR]).replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?:|//[a-z]|@import|url\(|<link|<iframe|\ssrc=|\shref=", page)
    assert "unsafe" not in page


@pytest.mark.parametrize(
    "values, message",
    [
        ({"bits": [1.0]}, r"\[G940\] A reading needs one of its bits per word \(2\), but has 1"),
        ({"bits": []}, r"\[G940\] A reading needs one of its bits per word \(2\), but has 0"),
        ({"spaces": [True]}, r"\[G940\] A reading needs one of its spaces per word \(2\), but has 1"),
        ({"bits": [1.0, float("nan")]}, r"\[G941\] Surprisal must be a finite number of bits, 0 or more, but is nan"),
        ({"bits": [1.0, -0.5]}, r"\[G941\].* but is -0.5"),
        ({"ends": {0: float("inf")}}, r"\[G941\].* but is inf"),
    ],
)
def test_values_that_do_not_fit_the_words_are_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reading(**{"words": ["a", "b"], "bits": [1.0, 2.0], **values})


def test_a_focus_that_a_reading_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G942\] The word 'fall' does not stand in: 'Horses raced fell \.'"):
        Passage([PATH], focus="fall")


@pytest.mark.parametrize("passages", [[], [Passage([])]])
def test_nothing_to_show_is_refused(passages: Any) -> None:
    with pytest.raises(ValueError, match=r"\[G943\] There is nothing to show: give at least one passage"):
        render_surprisal(passages)


@needs_chromium
def test_a_pair_is_shown_on_one_scale_with_its_difference(tmp_path: Path) -> None:
    dom = dom_after_scripts(render_surprisal([PAIR, SHORT]), tmp_path)
    assert text_of(dom, "score") == "“ fell ”: garden path 18.1 bits , plain 12.0 bits : +6.1 ."
    assert len(re.findall(r'<span class="word', body_of(dom))) == 9
    assert words_of(dom, "focus") == ["fell", "fell"]
    shares = [float(share) for share in re.findall(r"--share: ([\d.]+)", body_of(dom))]
    assert shares == pytest.approx([bits / 25 for bits in (*PATH.bits, *PLAIN.bits)], abs=0.002)
    assert 'title="end of sentence: 0.5 bits"' in dom
    assert text_of(dom, "detail").startswith("Most surprising Choose a word here or in the text. fell 18.1 fell 12.0")
    assert "bars" in re.search(r'<section id="text"[^>]*>', dom)[0]


@needs_chromium
def test_the_address_chooses_text_word_and_view(tmp_path: Path) -> None:
    page = render_surprisal([PAIR, SHORT])
    dom = dom_after_scripts(page, tmp_path, address="text=2&word=1&view=shades&theme=dark")
    assert words_of(dom, "chosen") == words_of(dom, "unknown") == ["Zyx"]
    detail = text_of(dom, "detail")
    assert detail.startswith("Zyx 21.5 bits : one in 2,965,821. Not in the vocabulary")
    assert detail.endswith("What the model expected here The 25.0 % It 12.5 %")
    assert text_of(dom, "readings").endswith("Zyx ran .")
    assert "bars" not in re.search(r'<section id="text"[^>]*>', dom)[0]
    assert 'data-theme="dark"' in dom


@needs_chromium
def test_hostile_and_missing_words_are_drawn(tmp_path: Path) -> None:
    words = [HOSTILE, "&lt;b&gt;", "\u2028", "'\"`${1}"]
    readings = [Reading(words, [50.0, 0.0, 1.0, 2.0], expected=[[(HOSTILE, 1.0)], [], [], []]), Reading([], [])]
    dom = dom_after_scripts(render_surprisal([Passage(readings)], title=HOSTILE), tmp_path, address="word=1")
    assert unescape(re.search(r"<title>(.*?)</title>", dom, flags=re.DOTALL)[1]) == HOSTILE
    assert "<img" not in dom
    assert [unescape(word) for word in re.findall(r"<b>(.*?)</b>", body_of(dom))][:2] == words[:2]
    assert "no words" in body_of(dom)
