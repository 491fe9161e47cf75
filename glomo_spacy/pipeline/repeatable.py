"""Let the same training write the same files: a callback of stock `spacy train`."""

from typing import Callable

from spacy.language import Language
from spacy.pipeline import Sentencizer
from spacy.util import registry


@registry.callbacks("glomo_spacy.repeatable_files.v1")
def create_repeatable_files_v1() -> Callable[[Language], Language]:
    """Give what a pipeline stores an order, so that two runs from one seed are equal byte for byte.

    spaCy's `sentencizer` stores a set of characters in the order of sets, which differs from process to process unless
    PYTHONHASHSEED is set. Nothing else in the pipelines of our configs does.

    For a config: `[training.before_to_disk]` with `@callbacks = "glomo_spacy.repeatable_files.v1"`.

    RETURNS (Callable[[Language], Language]): `order_stored_sets`.
    """
    return order_stored_sets


def order_stored_sets(nlp: Language) -> Language:
    """Sort the characters of every sentencizer.

    nlp (Language): Finds the same sentences as before.
    RETURNS (Language): The same.
    """
    for _, component in nlp.components:
        if isinstance(component, Sentencizer):
            # A dict is asked and listed like the set, but keeps its order.
            component.punct_chars = dict.fromkeys(sorted(component.punct_chars))
    return nlp
