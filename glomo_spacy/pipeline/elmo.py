"""`elmo`: contextual vectors of a biLM in `doc.tensor`, for components that listen and for `.vector` and `.similarity`.

Source: Peters et al. 2018, "Deep contextualized word representations" (arXiv 1802.05365).
"""

from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d

from ..architectures.elmo import ElmoLayers, elmo_network, rows_and_layers, with_pretrained
from ..architectures.types import DocRows, FeatureModel
from ..errors import Errors
from .checks import check_pipeline
from .extensions import ELMO_LAYERS, set_layers
from .vector_hooks import set_vector_hooks

DEFAULTS: Dict[str, Any] = {
    "model": {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": "elmo_en_sm"},
    "pretrained": None,
    "keep_layers": False,
}

# What predict gives for each Doc: the rows, and beside them the layers if they are kept.
Predicted = Union[DocRows, List[Tuple[Floats2d, ElmoLayers]]]


@Language.factory("elmo", assigns=["doc.tensor", f"doc._.{ELMO_LAYERS}"], default_config=DEFAULTS)
def make_elmo(nlp: Language, name: str, model: FeatureModel, pretrained: Optional[str], keep_layers: bool) -> "Elmo":
    """Build an `Elmo` component.

    model (Model[List[Doc], List[Floats2d]]): Of `glomo_spacy.Elmo.v1`, or features made of it.
    pretrained (Optional[str]): Short for `model.pretrained`: a packaged name or a checkpoint directory. None: as the
        model says.
    keep_layers (bool): Also set `doc._.elmo_layers`, (layers, tokens, width): several times the memory of the vectors.
    """
    if pretrained is not None:
        model = with_pretrained(model, pretrained)
    return Elmo(nlp.vocab, model, name, keep_layers=keep_layers)


class Elmo(Tok2Vec):
    """spaCy's `Tok2Vec` over a biLM: `spacy.Tok2VecListener.v1` shares and trains it.

    It works without training, and its weights, fine-tuned or not, are stored with the pipeline. `doc.tensor` holds one
    row per token, so `.vector` and `.similarity` follow.

    vocab (Vocab): The pipeline's vocabulary.
    model, keep_layers: As for `make_elmo`.
    RAISES: ValueError G166 if layers are to be kept of a model that is not of `Elmo.v1`.
    """

    def __init__(self, vocab: Vocab, model: FeatureModel, name: str = "elmo", *, keep_layers: bool = False) -> None:
        super().__init__(vocab, model, name)
        if keep_layers:
            elmo_network(model)
        self.keep_layers = keep_layers

    def predict(self, docs: Iterable[Doc]) -> Predicted:
        """Compute the vectors of each Doc, and its layers if they are kept; the Docs stay as they are.

        RAISES: ValueError G120 if there are no weights, G162 if sentences are required and missing.
        """
        docs = list(docs)
        return list(zip(*rows_and_layers(self.model, docs))) if self.keep_layers else self.model.predict(docs)

    def set_annotations(self, docs: Sequence[Doc], tokvecses: Predicted) -> None:
        """Set `doc.tensor`, `doc._.elmo_layers` if layers are kept, and hooks where static vectors would hide it."""
        rows: Any = tokvecses
        if self.keep_layers:
            rows, layers = zip(*tokvecses) if tokvecses else ((), ())
            for doc, doc_layers in zip(docs, layers):
                set_layers(doc, doc_layers)
        super().set_annotations(docs, rows)
        for doc in docs:
            set_vector_hooks(doc)

    def find_listeners(self, component: Any) -> None:
        """Connect the listeners of a later component, as spaCy asks whenever a pipeline is put together.

        RAISES: ValueError G160 if that component would overwrite these vectors, G161 if it would read them in place of
            another tok2vec's.
        """
        super().find_listeners(component)
        if isinstance(component, Tok2Vec):
            raise ValueError(Errors.G160.format(later=component.name, name=self.name))
        model = getattr(component, "model", None)
        for node in model.walk() if isinstance(model, Model) else ():
            if isinstance(node, Tok2VecListener) and node.upstream_name not in ("*", self.name):
                message = Errors.G161.format(component=component.name, upstream=node.upstream_name, name=self.name)
                raise ValueError(message)

    def initialize(self, get_examples: Callable[[], Iterable[Example]], *, nlp: Optional[Language] = None) -> None:
        """Look at the pipeline, then prepare what is put around a biLM; its weights stay.

        RAISES: ValueError for all that `check_pipeline` refuses.
        """
        if nlp is not None:
            check_pipeline(nlp)
        super().initialize(get_examples, nlp=nlp)

    def reset_state(self) -> None:
        """Forget every text so far; matters to `state = "carry"` alone.

        RAISES: ValueError G120 if there are no weights, G166 if the model is not of `Elmo.v1`.
        """
        elmo_network(self.model).network.reset_state()
