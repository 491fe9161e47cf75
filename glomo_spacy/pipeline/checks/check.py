"""Look for mistakes in a pipeline before time is spent on it: in Python, and as a callback of stock `spacy train`."""

import warnings
from typing import Callable, List, Optional

from spacy.language import Language
from spacy.util import registry

from .annotating import check_annotating
from .finding import Finding
from .layout import Layout
from .listening import check_layers, check_listening, check_unheard
from .weights import check_weights


@registry.callbacks("glomo_spacy.check_pipeline.v1")
def create_check_pipeline_v1() -> Callable[[Language], Language]:
    """Refuse what cannot work, and warn of what may be meant, before `spacy train` spends time on it.

    For a config: `[initialize.before_init]` with `@callbacks = "glomo_spacy.check_pipeline.v1"`; a second one under
    [initialize.after_init] also sees widths that are known from word vectors on.

    RETURNS (Callable[[Language], Language]): `check_pipeline`.
    """
    return check_pipeline


def check_pipeline(nlp: Language) -> Language:
    """Refuse what cannot work in a pipeline and its config, and warn of what may be meant.

    nlp (Language): Before or after `nlp.initialize`; it stays as it is.
    RETURNS (Language): The same.
    RAISES: ValueError with every error that `find_mistakes` finds, one after the other.
    """
    findings = find_mistakes(nlp)
    for finding in findings:
        if not finding.is_error:
            # One place for all, so that what `elmo` and a callback both find is shown once.
            warnings.warn(finding.message, UserWarning, stacklevel=1)
    errors = [finding.message for finding in findings if finding.is_error]
    if errors:
        raise ValueError("\n\n".join(errors))
    return nlp


def find_mistakes(nlp: Language, *, reads_config: Optional[bool] = None) -> List[Finding]:
    """Every mistake in a pipeline and its config that would cost an afternoon.

    nlp (Language): A pipeline; it stays as it is. Components that are switched off are looked at too.
    reads_config (Optional[bool]): Whether it is trained by its config, so that [training] and [initialize] count. None:
        if the config names a corpus. In Python weights may come later, and `nlp.update` is told what annotates.
    RETURNS (List[Finding]): Errors G120, G167, G188, G189, G193 to G199, and warnings G169 and G170, with the lines
        to add.
    """
    layout = Layout(nlp)
    found = [*check_listening(layout), *check_layers(layout)]
    if layout.has_corpus if reads_config is None else reads_config:
        found = [*check_weights(layout), *found, *check_annotating(layout), *check_unheard(layout)]
    return found
