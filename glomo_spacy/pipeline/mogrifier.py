"""`mogrifier_lm`: how surprising each word of a text is, its perplexity, and what might come next.

Source: Melis et al. 2020, "Mogrifier LSTM" (arXiv 1909.01792).
"""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..architectures.mogrifier import mogrifier_network, surprisals, with_pretrained
from ..architectures.mogrifier_network import Surprisal
from ..architectures.types import FeatureModel
from ..errors import Errors
from .annotating import AnnotatingPipe
from .extensions import END_SURPRISAL, IS_LM_UNKNOWN, MOGRIFIER_STATES, PERPLEXITY, SURPRISAL, set_surprisal

DEFAULTS: Dict[str, Any] = {
    "model": {"@architectures": "glomo_spacy.MogrifierLM.v1", "pretrained": "mogrifier_en_sm"},
    "pretrained": None,
    "keep_states": False,
}
ASSIGNS = [
    f"doc._.{PERPLEXITY}",
    f"doc._.{MOGRIFIER_STATES}",
    f"token._.{SURPRISAL}",
    f"token._.{IS_LM_UNKNOWN}",
    f"span._.{END_SURPRISAL}",
]

Text = Union[Doc, str]


@Language.factory("mogrifier_lm", assigns=ASSIGNS, default_config=DEFAULTS)
def make_mogrifier_lm(
    nlp: Language, name: str, model: FeatureModel, pretrained: Optional[str], keep_states: bool
) -> "MogrifierLM":
    """Build a `MogrifierLM` component.

    model (Model[List[Doc], List[Floats2d]]): Of `glomo_spacy.MogrifierLM.v1`.
    pretrained (Optional[str]): Short for `model.pretrained`: a packaged name or a checkpoint directory. None: as the
        model says.
    keep_states (bool): Also set `doc._.mogrifier_states`, (tokens, width): 1 kB for each token at width 256.
    """
    if pretrained is not None:
        model = with_pretrained(model, pretrained)
    return MogrifierLM(nlp.vocab, model, name, keep_states=keep_states, tokenize=nlp.make_doc)


class MogrifierLM(AnnotatingPipe):
    """Sets `token._.surprisal`, `token._.is_lm_unknown`, `span._.end_surprisal` and `doc._.perplexity`.

    Each Doc is read after one `</S>`. Where it has sentence boundaries, the end of each sentence is read too, and what
    it costs is in no token's surprisal. The component is never trained, and its weights are stored with the pipeline.

    vocab (Vocab): The pipeline's vocabulary.
    model, keep_states: As for `make_mogrifier_lm`.
    tokenize (Optional[Callable[[str], Doc]]): For texts given to `candidates` and `rescore`. None: they take Docs only.
    RAISES: ValueError G062 for a model that is not of `MogrifierLM.v1`.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: FeatureModel,
        name: str = "mogrifier_lm",
        *,
        keep_states: bool = False,
        tokenize: Optional[Callable[[str], Doc]] = None,
    ) -> None:
        mogrifier_network(model)
        super().__init__(vocab, model, name)
        self.keep_states = keep_states
        self._tokenize = tokenize

    def predict(self, docs: Sequence[Doc]) -> List[Surprisal]:
        """What each token costs; the Docs stay as they are.

        RAISES: ValueError G120 if there are no weights, G162 if sentences are required and missing.
        """
        return surprisals(self.model, docs, has_states=self.keep_states)

    def set_annotations(self, docs: Sequence[Doc], predicted: Sequence[Surprisal]) -> None:
        """Store it on the Docs."""
        for doc, surprisal in zip(docs, predicted):
            set_surprisal(doc, surprisal)

    def candidates(self, prefix: Text, n: int = 10) -> List[Tuple[str, float]]:
        """The likeliest next words.

        prefix (Text): What stands before, from the start of the text: a Doc, or a text to be tokenised. Its last
            sentence is taken as still open.
        n (int): Words at most. `</S>`, the end of the sentence, may be among them; the unknown word is not.
        RETURNS (List[Tuple[str, float]]): Words with log2-probabilities, likeliest first.
        RAISES: ValueError G120 if there are no weights, G064 for a text without a tokeniser.
        """
        found: List[Tuple[str, float]] = self._network.network.candidates(self._words(prefix), n)
        return found

    def rescore(self, alternatives: Sequence[Text]) -> List[Tuple[int, float]]:
        """Order alternatives, such as the hypotheses of a recogniser, by how likely they are.

        alternatives (Sequence[Text]): Docs, or texts to be tokenised; each is one, and its end counts.
        RETURNS (List[Tuple[int, float]]): Place in the list and total log2-probability, best first.
        RAISES: As `candidates`.
        """
        found: List[Tuple[int, float]] = self._network.network.rescore([self._words(text) for text in alternatives])
        return found

    @property
    def _network(self) -> Any:
        return mogrifier_network(self.model)

    def _words(self, text: Text) -> List[str]:
        """What the model reads of a text."""
        if isinstance(text, str) and self._tokenize is not None:
            text = self._tokenize(text)
        if not isinstance(text, Doc):
            raise ValueError(Errors.G064.format(found=text))
        words: List[str] = self._network.reading(text).words
        return words
