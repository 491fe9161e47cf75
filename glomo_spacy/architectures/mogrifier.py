"""A language model's states as features of a pipeline, frozen or fine-tuned, and its surprisal of a Doc's tokens.

Source: Melis et al. 2020, "Mogrifier LSTM" (arXiv 1909.01792); Peters et al. 2017, "Semi-supervised sequence tagging
with bidirectional language models" (arXiv 1705.00108), for states as features.
"""

from functools import partial
from typing import List, Optional, Sequence

from spacy.tokens import Doc
from spacy.util import registry

from ..errors import Errors
from .features import make_feature_model, network_in
from .fine_tuning import FineTuning
from .mogrifier_network import MogrifierNetwork, MogrifierSettings, Surprisal
from .types import FeatureModel


@registry.architectures("glomo_spacy.MogrifierLM.v1")
def build_mogrifier_lm_v1(
    *,
    pretrained: Optional[str],
    width: Optional[int] = None,
    trainable: bool = False,
    dropout: float = 0.0,
    sentences: str = "use",
    precision: str = "float32",
    learn_rate_scale: float = 1.0,
    layer_decay: float = 1.0,
    unfreeze: Sequence[int] = (),
) -> FeatureModel:
    """States of a language model: the output after each token, which has seen all before it and nothing behind it.

    The model reads one `</S>`, then the Doc, with a `</S>` between sentences. Its state is carried through the whole
    Doc, whatever its length, and begins with zero, so that a result depends neither on batch mates nor on earlier
    texts. Rows of whitespace tokens are 0.

    pretrained (Optional[str]): A packaged name such as "mogrifier_en_sm", a checkpoint directory, or None for weights
        that will be loaded. Read now; if that fails, the reason is raised at first use unless stored weights came
        first.
    width (Optional[int]): Width of the rows, for listeners to refer to. None: as the checkpoint has it.
    trainable (bool): Train the model with the task. False: nothing learns.
    dropout (float): Rate on the rows, in training only; `nlp.update(drop=...)` and [training] dropout replace it.
    sentences (str): "use" reads `</S>` between sentences if the Doc has sentence boundaries, "require" insists on them,
        "ignore" never does.
    precision (str): Of the products of layers and soft-max while nothing learns: "float32", or "bfloat16" or "int8",
        which are faster and about 1 % off. Everything else is computed in float32.
    learn_rate_scale (float): Learning rate of the top layer, relative to the optimizer's. > 0. Like the next two it
        matters only if `trainable`.
    layer_decay (float): Learning rate of each layer, relative to that of the layer above. > 0. Published (Howard and
        Ruder 2018, for language models): 1 / 2.6.
    unfreeze (Sequence[int]): After how many updates each layer begins to learn: the top recurrent layer first, the
        vectors of words last; what has no number never learns. Empty: all at once. Published: one epoch apart.
    RETURNS (Model[List[Doc], List[Floats2d]]): One row per spaCy token.
    RAISES: ValueError G100 for an unknown choice, G101 for a rate or `unfreeze` out of range. At first use, unless
        stored weights came first: G120 if there are no weights or they or `unfreeze` do not fit.
    """
    tuning = FineTuning(learn_rate_scale, layer_decay, tuple(unfreeze))
    settings = MogrifierSettings(width, trainable, sentences, precision, tuning)
    return _make_model(pretrained, settings, dropout=dropout)


def with_pretrained(model: FeatureModel, pretrained: str) -> FeatureModel:
    """The same model with other weights.

    model (FeatureModel): Of `MogrifierLM.v1`.
    pretrained (str): As for `MogrifierLM.v1`.
    RAISES: ValueError G062 for another model.
    """
    made = _make_model(pretrained, mogrifier_network(model).settings, dropout=model.attrs["dropout_rate"])
    made.shims.extend(shim.copy() for shim in model.shims[1:])  # what Cached.v1 added
    return made


def mogrifier_network(model: FeatureModel) -> MogrifierNetwork:
    """The network in a model of `MogrifierLM.v1`.

    RAISES: ValueError G062 for another model.
    """
    return network_in(model, MogrifierNetwork, error=Errors.G062)


def surprisals(model: FeatureModel, docs: Sequence[Doc], *, has_states: bool = False) -> List[Surprisal]:
    """What every token costs, in bits.

    model (FeatureModel): Of `MogrifierLM.v1`.
    has_states (bool): Give the model's outputs too, as many numbers as its width for each token.
    RAISES: ValueError G120 if there are no weights, G162 if sentences are missing, G062 for another model.
    """
    return mogrifier_network(model).surprisals(docs, has_states=has_states)


def _make_model(pretrained: Optional[str], settings: MogrifierSettings, *, dropout: float) -> FeatureModel:
    network = partial(MogrifierNetwork, settings)
    return make_feature_model("mogrifier_lm", pretrained, network, width=settings.width, dropout=dropout)
