"""The components whose weights come from a checkpoint, as a table: what each is called, and what it finds in a text."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Tuple

import numpy as np
import spacy
from spacy.language import Language

TEXT = "The small dog sees a Skłodowska."


@dataclass(frozen=True)
class Component:
    """One component.

    factory (str): Its factory.
    package (str): Name of its packaged weights.
    checkpoint_fixture (str): Fixture that gives the directory of a tiny checkpoint.
    find (Callable[[Language], np.ndarray]): What a pipeline with it finds in TEXT.
    uses (Tuple[Callable[[Any], Any], ...]): Further ways to use the component itself.
    """

    factory: str
    package: str
    checkpoint_fixture: str
    find: Callable[[Language], np.ndarray]
    uses: Tuple[Callable[[Any], Any], ...] = ()

    def build(self, pretrained: Any, **settings: Any) -> Language:
        """A pipeline with the component alone."""
        nlp = spacy.blank("en")
        nlp.add_pipe(self.factory, config={"model": {"pretrained": pretrained, **settings}})
        return nlp


def _find_surprisal(nlp: Language) -> np.ndarray:
    candidates = nlp.get_pipe("mogrifier_lm").candidates("The small")
    return np.array([*(token._.surprisal for token in nlp(TEXT)), *(score for _, score in candidates)])


COMPONENTS: Dict[str, Component] = {
    component.factory: component
    for component in (
        Component("glomo_graph", "glomo_en_sm", "checkpoint", lambda nlp: nlp(TEXT)._.glomo_graph.dense()),
        Component("elmo", "elmo_en_sm", "elmo_checkpoint", lambda nlp: nlp(TEXT).tensor),
        Component(
            "mogrifier_lm",
            "mogrifier_en_sm",
            "mogrifier_checkpoint",
            _find_surprisal,
            uses=(lambda pipe: pipe.candidates(TEXT), lambda pipe: pipe.rescore([TEXT])),
        ),
    )
}
