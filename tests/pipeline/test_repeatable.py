"""Files of a pipeline that are equal whatever the order of sets."""

import json
from pathlib import Path
from typing import List

import spacy
from spacy.pipeline import Sentencizer
from spacy.util import registry

CHARACTERS = ["|", "!", "。", ".", "?"]


def test_a_sentencizer_is_stored_in_order_and_finds_the_same_sentences(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer", config={"punct_chars": CHARACTERS})
    nlp.add_pipe("sentencizer", "unused")
    nlp.disable_pipe("unused")
    text = "One. Two! Three | Four"
    expected = [sentence.text for sentence in nlp(text).sents]
    assert len(expected) == 4

    assert registry.callbacks.get("glomo_spacy.repeatable_files.v1")()(nlp) is nlp
    nlp.to_disk(tmp_path)
    assert stored_characters(tmp_path, "sentencizer") == sorted(CHARACTERS)
    assert stored_characters(tmp_path, "unused") == sorted(Sentencizer.default_punct_chars)
    for pipe in (nlp, spacy.load(tmp_path)):
        assert [sentence.text for sentence in pipe(text).sents] == expected


def stored_characters(folder: Path, name: str) -> List[str]:
    found: List[str] = json.loads((folder / f"{name}.json").read_text(encoding="utf8"))["punct_chars"]
    return found
