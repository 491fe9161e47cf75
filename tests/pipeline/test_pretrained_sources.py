"""Sources of weights that are missing or do not fit, and stored weights that come in their place."""

import pickle
import shutil
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np
import pytest
import spacy
from pipeline.components import COMPONENTS, TEXT, Component

Change = Callable[[bytes], bytes]


class BadSource(NamedTuple):
    """A value of `pretrained` that gives no weights.

    value (Optional[str]): The value; "damaged" and "empty" stand for directories.
    cause (str): Pattern of the cause that the error names.
    name (str): The file of the checkpoint that is damaged.
    change (Optional[Change]): What is done to it; None: it is removed.
    """

    value: Optional[str]
    cause: str
    name: str = ""
    change: Optional[Change] = None

    def make(self, checkpoint: str, folder: Path) -> Optional[str]:
        """The value, its directory made if it is one."""
        if self.value == "empty":
            return str(folder)
        if self.value != "damaged":
            return self.value
        directory = Path(shutil.copytree(checkpoint, folder / "damaged"))
        path = directory / self.name
        if self.change is None:
            path.unlink()
        else:
            path.write_bytes(self.change(path.read_bytes()))
        return str(directory)


def damaged(name: str, change: Optional[Change], cause: str) -> BadSource:
    return BadSource("damaged", cause, name=name, change=change)


def replaced(name: str, old: bytes, new: bytes, cause: str) -> BadSource:
    return damaged(name, lambda data: data.replace(old, new), cause)


ANY = (
    BadSource("wiki_en_xl", r"pretrained = 'wiki_en_xl' is neither a packaged name nor a directory"),
    BadSource(None, r"`pretrained` is null"),
    BadSource("empty", r"G200.*config.cfg"),
    damaged("model.safetensors", lambda data: data[: len(data) // 2], r"G201.*truncated"),
    damaged("config.cfg", lambda data: b"\xff\x00", r"G206"),
)
OWN: Dict[str, List[BadSource]] = {
    "glomo_graph": [
        BadSource("elmo_en_sm", r"G203.*kind 'elmo', but 'glomo' is needed"),
        replaced("config.cfg", b"width = 8", b"width = 16", r"G202.*Wrong shape"),
        replaced("vocab.txt", b"dog\n", b"", r"G205.*11 words.*12"),
        damaged("vocab.txt", None, r"G001"),
    ],
    "elmo": [
        BadSource("glomo_en_sm", r"G203.*kind 'glomo', but 'elmo' is needed"),
        replaced("config.cfg", b"cell_width = 8", b"cell_width = 9", r"G202.*Wrong shape"),
        replaced("config.cfg", b'"characters"', b'"letters"', r"G100"),
    ],
    "mogrifier_lm": [
        BadSource("glomo_en_sm", r"G203.*kind 'glomo', but 'mogrifier' is needed"),
        replaced("config.cfg", b"rank = 3", b"rank = 4", r"G202.*Wrong shape"),
        replaced("vocab.txt", b"dog\n", b"", r"G205.*13 words.*14"),
        damaged("vocab.txt", None, r"G016"),
    ],
}
CASES = [(factory, bad) for factory in COMPONENTS for bad in (*ANY, *OWN[factory])]
with_bad_sources = pytest.mark.parametrize(
    "component, bad", CASES, indirect=["component"], ids=[f"{factory}-{bad.cause}" for factory, bad in CASES]
)


@with_bad_sources
def test_a_source_that_cannot_be_read_is_an_error_at_first_use_with_cause_and_fix(
    component: Component, bad: BadSource, source: str, tmp_path: Path
) -> None:
    nlp = component.build(bad.make(source, tmp_path))  # building works
    nlp = pickle.loads(pickle.dumps(nlp))  # and the reason is kept on the way
    nlp.initialize()
    message = rf"(?s)G120.*{bad.cause}.*Set `pretrained`.*{component.package}.*load a saved pipeline"
    with pytest.raises(ValueError, match=message):
        nlp(TEXT)
    for use in component.uses:
        with pytest.raises(ValueError, match=message):
            use(nlp.get_pipe(component.factory))


@with_bad_sources
def test_stored_weights_silence_the_error_of_the_source(
    component: Component, bad: BadSource, source: str, expected: np.ndarray, tmp_path: Path
) -> None:
    nlp = component.build(bad.make(source, tmp_path))
    nlp.get_pipe(component.factory).from_bytes(component.build(source).get_pipe(component.factory).to_bytes())
    np.testing.assert_array_equal(component.find(nlp), expected)


def test_an_empty_text_does_not_hide_that_there_are_no_weights() -> None:
    with pytest.raises(ValueError, match="G120"):
        COMPONENTS["elmo"].build("elmo_en_xl")("")


@pytest.mark.usefixtures("no_packaged_weights")
def test_without_packaged_weights_the_error_says_that_there_are_none(component: Component) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe(component.factory)
    with pytest.raises(ValueError, match=rf"G120.*'{component.package}'.*none in this installation"):
        nlp(TEXT)


def test_stored_weights_replace_those_that_were_read(
    component: Component, source: str, expected: np.ndarray, tmp_path: Path
) -> None:
    other = component.build(component.package)  # of another size
    component.build(source).get_pipe(component.factory).to_disk(tmp_path / "component")
    other.get_pipe(component.factory).from_disk(tmp_path / "component")
    np.testing.assert_array_equal(component.find(other), expected)


def test_a_pipeline_stored_without_weights_keeps_what_its_source_gives(
    component: Component, source: str, expected: np.ndarray, tmp_path: Path
) -> None:
    component.build(None).get_pipe(component.factory).to_disk(tmp_path / "empty")
    nlp = component.build(source)
    nlp.get_pipe(component.factory).from_disk(tmp_path / "empty")
    np.testing.assert_array_equal(component.find(nlp), expected)


def test_damaged_stored_weights_are_an_error_and_replace_nothing(
    component: Component, source: str, expected: np.ndarray
) -> None:
    nlp = component.build(source)
    pipe = nlp.get_pipe(component.factory)
    data = pipe.to_bytes()
    place = data.index(b"__metadata__")
    with pytest.raises(ValueError, match=r"G201.*stored weights"):
        pipe.from_bytes(data[:place] + b"\x00" + data[place + 1 :])
    np.testing.assert_array_equal(component.find(nlp), expected)


def test_a_checkpoint_in_a_folder_of_a_packaged_name_does_not_hide_the_packaged_one(
    component: Component, source: str, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(source, tmp_path / component.package)
    monkeypatch.chdir(tmp_path)
    found = component.find(component.build(component.package))
    assert found.shape != expected.shape or not np.array_equal(found, expected)
