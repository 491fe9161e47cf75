"""Contextual vectors of a biLM as features of a pipeline, frozen or fine-tuned.

Source: Peters et al. 2018, "Deep contextualized word representations" (arXiv 1802.05365).
"""

from functools import partial
from typing import List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc
from spacy.util import registry

from ..errors import Errors
from .elmo_network import ElmoNetwork, ElmoSettings
from .features import by_doc, make_feature_model, network_in
from .fine_tuning import FineTuning
from .types import DocRows, FeatureModel

ElmoLayers = npt.NDArray[np.float32]  # of a Doc: (layers, tokens, width), whitespace rows 0


@registry.architectures("glomo_spacy.Elmo.v1")
def build_elmo_v1(
    *,
    pretrained: Optional[str],
    width: Optional[int] = None,
    trainable: bool = False,
    layers: str = "mixed",
    layers_off: Sequence[int] = (),
    layer_norm: bool = False,
    l2: float = 0.0,
    dropout: float = 0.0,
    sentences: str = "use",
    state: str = "zero",
    precision: str = "float32",
    learn_rate_scale: float = 1.0,
    layer_decay: float = 1.0,
    unfreeze: Sequence[int] = (),
) -> FeatureModel:
    """ELMo: gamma * sum_j softmax(w)_j h_j over the layers h of a biLM, w and gamma learned (equation 1).

    The biLM runs sentence by sentence, each with its boundary symbols, which have no rows. A sentence of more than 400
    tokens is read in windows of 200, each row taken from the window where it is most central: memory grows linearly
    with length. A result depends neither on batch mates nor on earlier texts. Rows of whitespace tokens are 0.

    pretrained (Optional[str]): A packaged name such as "elmo_en_sm", a checkpoint directory, or None for weights that
        will be loaded. Read now; if that fails, the reason is raised at first use unless stored weights came first.
    width (Optional[int]): Width of the rows, for listeners to refer to. None: as the checkpoint has it.
    trainable (bool): Train the biLM too. False: only w and gamma learn, and nothing at all if `layers` is "all".
    layers (str): "mixed": the mixture. "all": the layers side by side, token vectors first, for tasks with a mixture
        each: `glomo_spacy.ScalarMix.v1` around their listeners.
    layers_off (Sequence[int]): Layers, counted from 0, that have no part in the mixture; at least one must stay.
    layer_norm (bool): Bring each layer to mean 0 and variance 1 before mixing, without a learned gain. The statistics
        are those of the sentence; published, those of the batch, which makes each row depend on its batch mates.
    l2 (float): Strength of the penalty l2 * |w|^2. 0.001 lets the weights vary, 1 makes the mixture a plain mean.
    dropout (float): Rate on the rows, in training only; `nlp.update(drop=...)` and [training] dropout replace it.
        Published: 0.5.
    sentences (str): "use" runs by sentence if the Doc has sentence boundaries, "require" insists on them, "ignore"
        reads the whole Doc.
    state (str): "zero" begins each sentence anew. "carry" is bilm-tf's behaviour, for parity only: the sentences of a
        call are the rows of one batch, however long, and each row begins with what it remembers of the call before.
    precision (str): Of all products while the biLM learns nothing: "float32", or "bfloat16" or "int8", which are faster
        and about 0.5 % and 1 to 3 % off. Everything else is computed in float32.
    learn_rate_scale (float): Learning rate of the biLM's top layer, relative to the optimizer's, which w and gamma
        keep. > 0. Like the next two it matters only if `trainable`.
    layer_decay (float): Learning rate of each layer, relative to that of the layer above. > 0. Published (Howard and
        Ruder 2018, for language models): 1 / 2.6.
    unfreeze (Sequence[int]): After how many updates each layer begins to learn: the top recurrent layer first, the
        vectors of words last; what has no number never learns. Empty: all at once. Published: one epoch apart.
    RETURNS (Model[List[Doc], List[Floats2d]]): One row per spaCy token. Begins with the plain mean of the layers.
    RAISES: ValueError G100 for an unknown choice, G101 for a rate or `unfreeze` out of range, G165 for `trainable` with
        `state` "carry". At first use, unless stored weights came first: G120 if there are no weights or they or
        `unfreeze` do not fit.
    """
    settings = ElmoSettings(
        width=width,
        trainable=trainable,
        layers=layers,
        layers_off=tuple(layers_off),
        layer_norm=layer_norm,
        l2=l2,
        sentences=sentences,
        state=state,
        precision=precision,
        tuning=FineTuning(learn_rate_scale, layer_decay, tuple(unfreeze)),
    )
    return _make_model(pretrained, settings, dropout=dropout)


def with_pretrained(model: FeatureModel, pretrained: str) -> FeatureModel:
    """The same model with other weights.

    model (FeatureModel): Of `Elmo.v1`.
    pretrained (str): As for `Elmo.v1`.
    RAISES: ValueError G166 for another model.
    """
    made = _make_model(pretrained, elmo_network(model).settings, dropout=model.attrs["dropout_rate"])
    made.shims.extend(shim.copy() for shim in model.shims[1:])  # what Cached.v1 added
    return made


def elmo_network(model: FeatureModel) -> ElmoNetwork:
    """The network in a model of `Elmo.v1`.

    RAISES: ValueError G166 for another model.
    """
    return network_in(model, ElmoNetwork, error=Errors.G166)


def rows_and_layers(model: FeatureModel, docs: Sequence[Doc]) -> Tuple[DocRows, List[ElmoLayers]]:
    """The model's rows, and the layers they are made of.

    model (FeatureModel): Of `Elmo.v1`.
    RETURNS (Tuple[DocRows, List[ElmoLayers]]): Per Doc (tokens, width) and (layers, tokens, width of a layer).
    RAISES: ValueError G120 if there are no weights, G162 if sentences are missing, G166 for another model.
    """
    rows, layers = elmo_network(model).rows_and_layers(docs)
    parts = layers.cpu().split([len(doc) for doc in docs], dim=1)
    return by_doc(rows, docs), [part.clone().numpy() for part in parts]


def _make_model(pretrained: Optional[str], settings: ElmoSettings, *, dropout: float) -> FeatureModel:
    network = partial(ElmoNetwork, settings)
    return make_feature_model("elmo", pretrained, network, width=settings.width, dropout=dropout)
