"""How surprising words are, from the command line."""

import json
import re
from pathlib import Path
from typing import Any, List

import pytest
import spacy
from typer.testing import CliRunner

from glomo_spacy.architectures.pretrained import packaged_names
from glomo_spacy.cli import app
from glomo_spacy.cli.surprisal import Group, make_passages, make_reading, read_pairs, surprisal_pipeline
from glomo_spacy.cli.visualize import language_of

TEXT = "The dog sees a Zyx. A cat hears  the\ndog."
HEAD = "name\tword\tlabel\tsentence\tnote\n"


def run(*args: object, text: str = "") -> Any:
    return CliRunner().invoke(app, ["surprisal", *map(str, args)], input=text)


def data_of(path: Path) -> Any:
    page = path.read_text(encoding="utf8")
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])["passages"]


def table_of(path: Path) -> List[List[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf8").splitlines()]


def test_command_writes_page_and_table_with_the_surprisal_of_each_token(
    tmp_path: Path, mogrifier_checkpoint: str
) -> None:
    page, table = tmp_path / "new" / "text.html", tmp_path / "text.tsv"
    result = run(TEXT, "-o", page, "-o", table, "-m", mogrifier_checkpoint)
    assert result.exit_code == 0, result.output
    doc = surprisal_pipeline(mogrifier_checkpoint)(TEXT)
    tokens = [token for token in doc if not token.is_space]
    ((item,),) = [passage["readings"] for passage in data_of(page)]
    assert item["words"] == [token.text for token in tokens]
    assert item["bits"] == pytest.approx([token._.surprisal for token in tokens], abs=1e-4)
    assert [word for word, is_unknown in zip(item["words"], item["unknown"]) if is_unknown] == ["Zyx", "A"]
    assert [place for place, _ in item["ends"]] == [5, 11]
    head, *rows = table_of(table)
    assert head == ["text", "label", "place", "word", "surprisal", "unknown"]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("1", str(number), token.text) for number, token in enumerate(tokens, start=1)
    ]
    assert [float(row[4]) for row in rows] == pytest.approx([token._.surprisal for token in tokens], abs=1e-4)
    n_words = len(tokens)
    assert re.search(rf"The dog sees a Zyx\. A cat hears the dog\. +{n_words} +2 ", result.stdout)
    assert f"{doc._.perplexity:,.0f}" in result.stdout


def test_without_text_the_gallery_is_compared(tmp_path: Path, mogrifier_checkpoint: str) -> None:
    result = run("-o", tmp_path / "gallery.html", "-m", mogrifier_checkpoint, "-n", 2)
    assert result.exit_code == 0, result.output
    passages = data_of(tmp_path / "gallery.html")
    assert [item["name"] for item in passages] == [group.name for group in read_pairs()]
    for item in passages:
        first, last = (reading["bits"][reading["focus"]] for reading in item["readings"])
        row = re.search(rf"^{re.escape(item['name'])} +(\w+) +([\d.]+) +([\d.]+) +[+-]", result.stdout, flags=re.M)
        assert row[1] == item["focus"]
        assert [float(row[2]), float(row[3])] == pytest.approx([first, last], abs=0.06)


def test_every_pair_of_the_gallery_differs_before_its_word_only() -> None:
    for group in read_pairs():
        assert len(group.texts) == 2
        assert group.note
        ends = set()
        for _, sentence in group.texts:
            words = sentence.rstrip(".").split()
            place = max(place for place, word in enumerate(words) if word == group.word)
            ends.add(tuple(words[place:]))
        assert len(ends) == 1


def test_the_likeliest_words_of_a_place_are_those_of_its_prefix(mogrifier_checkpoint: str) -> None:
    nlp = surprisal_pipeline(mogrifier_checkpoint)
    component: Any = nlp.get_pipe("mogrifier_lm")
    doc = nlp("The dog. The cat.")
    expected = make_reading(doc, nlp, n_expected=3).expected
    wanted = component.candidates("The", n=3)
    assert [word for word, _ in expected[1]] == [word for word, _ in wanted]
    assert [share for _, share in expected[1]] == pytest.approx([2**log2 for _, log2 in wanted])
    # The bits of a word are those of its share: so places and prefixes belong together, behind an end as well.
    everything = make_reading(doc, nlp, n_expected=100)
    for word, bits, shares in zip(everything.words, everything.bits, everything.expected):
        assert dict(shares)[word] == pytest.approx(2**-bits, rel=1e-4)


def test_long_texts_show_no_likelier_words(mogrifier_checkpoint: str) -> None:
    nlp = surprisal_pipeline(mogrifier_checkpoint)
    assert make_reading(nlp("dog " * 101), nlp, n_expected=3).expected == ()


def test_the_tokeniser_is_that_of_the_checkpoint_unless_another_is_named(
    tmp_path: Path, mogrifier_checkpoint: str
) -> None:
    (tmp_path / "config.cfg").write_text('[indexer]\nlang = "de"\n', encoding="utf8")
    assert language_of(str(tmp_path)) == "de"
    assert surprisal_pipeline(mogrifier_checkpoint).lang == "en"
    assert surprisal_pipeline(mogrifier_checkpoint, lang="fr").lang == "fr"


def test_without_sentences_no_end_is_read(mogrifier_checkpoint: str) -> None:
    nlp = surprisal_pipeline(mogrifier_checkpoint, sentences=False)
    assert nlp.pipe_names == ["mogrifier_lm"]
    assert make_reading(nlp(TEXT), nlp).ends == {}


@pytest.mark.parametrize("text", ["", " \n ", "dog"])
def test_short_and_empty_texts_are_read(text: str, mogrifier_checkpoint: str) -> None:
    nlp = surprisal_pipeline(mogrifier_checkpoint)
    (passage,) = make_passages([Group([("", text)])], nlp, n_expected=2)
    assert passage.readings[0].words == text.split()


def test_a_saved_pipeline_is_used(tmp_path: Path, mogrifier_checkpoint: str) -> None:
    surprisal_pipeline(mogrifier_checkpoint).to_disk(tmp_path / "pipeline")
    result = run(TEXT, "-o", tmp_path / "text.tsv", "-p", tmp_path / "pipeline", "-m", "nothing")
    assert result.exit_code == 0, result.output
    doc = spacy.load(tmp_path / "pipeline")(TEXT)
    assert float(table_of(tmp_path / "text.tsv")[1][4]) == pytest.approx(doc[0]._.surprisal, abs=1e-4)


def test_pairs_of_ones_own_are_compared(tmp_path: Path, mogrifier_checkpoint: str) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(f"{HEAD}N\tdog\tone\tThe dog.\t\nN\tdog\ttwo\tThe red dog.\n", encoding="utf8")
    result = run("--pairs", pairs, "-o", tmp_path / "pairs.tsv.tsv", "-m", mogrifier_checkpoint)
    assert result.exit_code == 0, result.output
    assert [row[1] for row in table_of(tmp_path / "pairs.tsv.tsv")[1:]] == ["one"] * 3 + ["two"] * 4


@pytest.mark.parametrize(
    "content, line",
    [("", 1), (HEAD, 1), ("name\tsentence\nN\tThe dog.\n", 2), (f"{HEAD}N\tdog\tone\tThe dog.\nN\tdog\ttwo\n", 3)],
)
def test_a_file_of_pairs_that_is_not_as_wanted_is_named_with_its_line(content: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(content, encoding="utf8")
    with pytest.raises(ValueError, match=rf"\[G944\] Line {line} of .*pairs.tsv is no sentence to compare. Lines hold"):
        read_pairs(tmp_path / "pairs.tsv")


@pytest.mark.parametrize(
    "args, message",
    [
        (["-o", "text.pdf"], "✘ [G056] text.pdf must end in .html or .tsv.\n"),
        (["-m", "nothing"], "✘ [G122]"),
        (["--lang", "xx_"], "✘ [G008] There is no tokeniser for the language 'xx_'"),
        (["--pairs", "no/pairs.tsv"], "✘ [G036] no/pairs.tsv looks like a file, but there is none."),
    ],
)
def test_a_wrong_option_is_one_clear_error(
    args: List[str], message: str, tmp_path: Path, mogrifier_checkpoint: str
) -> None:
    result = run("-o", tmp_path / "text.html", "-m", mogrifier_checkpoint, *args)
    assert result.exit_code == 1
    assert result.output.startswith(message)
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "text.html").exists()


def test_a_pipeline_without_the_component_is_refused(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "pipeline")
    result = run("A dog.", "-o", tmp_path / "text.html", "-p", tmp_path / "pipeline")
    assert result.exit_code == 1
    assert result.output.startswith("✘ [G945] The pipeline has no mogrifier_lm, but: sentencizer. Add it")


def test_a_pair_without_its_word_is_refused(mogrifier_checkpoint: str) -> None:
    pairs = [Group([("one", "The dog.")], name="N", word="cat")]
    with pytest.raises(ValueError, match=r"\[G942\] The word 'cat' does not stand in: 'The dog \.'"):
        list(make_passages(pairs, surprisal_pipeline(mogrifier_checkpoint)))


@pytest.mark.skipif("mogrifier_en_sm" not in packaged_names(), reason="needs the packaged weights")
def test_packaged_weights_find_garden_paths_surprising() -> None:
    passages = list(make_passages(read_pairs(), surprisal_pipeline()))
    gaps = [passage.focus_bits[0] - passage.focus_bits[1] for passage in passages]
    assert sum(gaps) / len(gaps) > 0
