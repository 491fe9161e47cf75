"""A biLM inside a pipeline with the mixture of its layers: settings, weights, and rows of tokens from windows of Docs.

Source: Peters et al. 2018 (arXiv 1802.05365), section 3.2.
"""

from dataclasses import dataclass, replace
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from spacy.tokens import Doc
from torch import Tensor

from ..convert.export import without_training
from ..errors import Errors
from ..models.checkpoint import Checkpoint
from ..models.elmo import BiLM, ScalarMix
from ..models.elmo.scalar_mix import normalized
from ..models.precision import PRECISIONS, set_precision
from .features import FeatureNetwork
from .fine_tuning import FineTuning
from .seam import MAX_WINDOW, Window, doc_windows
from .sentence_watch import SentenceWatch

CHOICES: Dict[str, Tuple[str, ...]] = {
    "layers": ("mixed", "all"),
    "sentences": ("use", "require", "ignore"),
    "state": ("zero", "carry"),
    "precision": PRECISIONS,
}
MAX_HELD = 1 << 14  # tokens whose layers are held at once: 50 MB at 3 layers of width 256, 200 MB at width 1024
_MIX = "mix."  # where the mixture stands among the stored weights


@dataclass(frozen=True)
class ElmoSettings:
    """The arguments of `glomo_spacy.Elmo.v1` beside weights and dropout, which explains them.

    RAISES: ValueError G100 for an unknown choice, G165 for `trainable` with `state` "carry".
    """

    width: Optional[int] = None
    trainable: bool = False
    layers: str = "mixed"
    layers_off: Tuple[int, ...] = ()
    layer_norm: bool = False
    l2: float = 0.0
    sentences: str = "use"
    state: str = "zero"
    precision: str = "float32"
    tuning: FineTuning = FineTuning()

    def __post_init__(self) -> None:
        for name, options in CHOICES.items():
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        if self.trainable and self.state == "carry":
            raise ValueError(Errors.G165)


class ElmoNetwork(FeatureNetwork):
    """A biLM and the learned mixture of its layers, without what only predicts words.

    settings (ElmoSettings): Now and for stored weights.
    checkpoint, source, problem: As for `PretrainedNetwork`.
    RAISES: As there; ValueError G163 if its vectors are of another width than the settings say, G101 or G135 if the
        mixture does not fit, G115 if `unfreeze` does not.
    """

    mix: ScalarMix

    def __init__(
        self,
        settings: ElmoSettings,
        checkpoint: Optional[Checkpoint] = None,
        *,
        source: str = "the stored weights",
        problem: str = "",
    ) -> None:
        mix_state: Dict[str, Tensor] = {}
        if checkpoint is not None:
            checkpoint, mix_state = _taken_apart(checkpoint)
        super().__init__("elmo", checkpoint, source=source, problem=problem)
        self.settings = settings
        self.watch = SentenceWatch() if settings.sentences == "use" else None
        if checkpoint is not None:
            self.fine_tune(settings.tuning if settings.trainable else None)
            set_precision(self.network, settings.precision)
            self.mix = _build_mix(settings, self.n_layers, mix_state)
            if settings.width not in (None, self.width):
                raise ValueError(Errors.G163.format(path=source, found=self.width, expected=settings.width))

    @property
    def given(self) -> ElmoSettings:
        """Its settings."""
        return self.settings

    @property
    def n_layers(self) -> int:
        """Layers to mix: the token vectors and those of the LSTMs. RAISES: ValueError G120 without weights."""
        n_layers: int = self.network.config.n_layers
        return n_layers + 1

    @property
    def requires_sentences(self) -> bool:
        return self.settings.sentences == "require"

    @property
    def width(self) -> int:
        """Of a row: a layer's, or that of all side by side. RAISES: ValueError G120 without weights."""
        width: int = self.network.width
        return width if self.settings.layers == "mixed" else self.n_layers * width

    def penalty(self) -> Tensor:
        """On the weights of the mixture."""
        return self.mix.penalty()

    def weights(self) -> Dict[str, Tensor]:
        """Those of the biLM and of the mixture."""
        mix = {_MIX + name: tensor for name, tensor in self.mix.state_dict().items()}
        return {**super().weights(), **mix}

    def rows(self, docs: Sequence[Doc], *, is_train: bool) -> Tensor:
        """What the settings ask for, Doc after Doc; rows of whitespace are 0. Shape: (tokens, width).

        is_train (bool): Keep the graph of whatever is trainable.
        RAISES: ValueError G120 without weights, G162 if sentences are missing.
        """
        rows = self._zeros(sum(map(len, docs)), self.width)
        with torch.set_grad_enabled(is_train):
            for positions, layers in self._windows(docs, is_train=is_train):
                rows.index_copy_(0, positions, self._combined(self._entering(layers)))
        return rows

    def states(self, docs: Sequence[Doc]) -> Tensor:
        """All layers side by side, as they enter the mixture. Shape: (tokens, layers * width of a layer)."""
        states = self._zeros(sum(map(len, docs)), self.n_layers * self.network.width)
        with torch.no_grad():
            for positions, layers in self._windows(docs, is_train=False):
                states.index_copy_(0, positions, _side_by_side(self._entering(layers)))
        return states

    def rows_of(self, states: Tensor) -> Tensor:
        """Their mixture, or what they are."""
        return self._combined(states.unflatten(1, (self.n_layers, -1)).transpose(0, 1))

    def rows_and_layers(self, docs: Sequence[Doc]) -> Tuple[Tensor, Tensor]:
        """Rows, and every layer beside them, without gradient.

        RETURNS (Tuple[Tensor, Tensor]): Shapes: (tokens, width), (layers, tokens, width of a layer).
        RAISES: As `rows`.
        """
        n_tokens = sum(map(len, docs))
        rows, held = self._zeros(n_tokens, self.width), self._zeros(self.n_layers, n_tokens, self.network.width)
        with torch.no_grad():
            for positions, layers in self._windows(docs, is_train=False):
                rows.index_copy_(0, positions, self._combined(self._entering(layers)))
                held.index_copy_(1, positions, torch.cat(layers, dim=1))
        return rows, held

    def _zeros(self, *shape: int) -> Tensor:
        """In the type and on the device of the weights."""
        parameter: Tensor = next(self.network.parameters())
        return parameter.new_zeros(shape)

    def _windows(self, docs: Sequence[Doc], *, is_train: bool) -> Iterator[Tuple[Tensor, List[Tensor]]]:
        """Layers of all windows, a bounded number of tokens at a time.

        YIELDS (Tuple[Tensor, List[Tensor]]): Which rows they belong to, (seen,), and of each window the rows that
            count, (layers, counting, width).
        """
        network: BiLM = self.network
        is_carried = self.settings.state == "carry"
        windows = doc_windows(docs, sentences=self.settings.sentences, max_window=None if is_carried else MAX_WINDOW)
        texts = [[token.text for token in doc] for doc in docs]
        first_rows = np.cumsum([0, *map(len, docs)])
        for batch in filter(None, [windows] if is_carried else _held_together(windows)):
            words = [[texts[window.doc][place] for place in window.tokens.tolist()] for window in batch]
            if is_carried:
                every = [torch.from_numpy(layers) for layers in network.layers(words, state="carry")]
            else:
                every = network.layer_tensors(words, keep_graph=is_train and self.is_learning)
            counting = [window.counting for window in batch]
            positions = [window.tokens[part] + first_rows[window.doc] for window, part in zip(batch, counting)]
            kept = [layers[:, part].to(self.device) for layers, part in zip(every, counting)]
            yield torch.from_numpy(np.concatenate(positions)).to(self.device), kept

    def _combined(self, entering: Tensor) -> Tensor:
        """Mixed, or side by side. Shape: (layers, seen, width of a layer) -> (seen, width)."""
        if self.settings.layers == "all":
            return _side_by_side(entering)
        mixed: Tensor = self.mix(entering)[0]
        return mixed

    def _entering(self, layers: Sequence[Tensor]) -> Tensor:
        """Those of all windows as they enter the mixture. Shape: (layers, seen, width of a layer)."""
        if self.settings.layer_norm and self.settings.layers == "mixed":
            # Over each window alone: over the batch, as published, a row would depend on its batch mates.
            layers = [normalized(window) for window in layers]
        return torch.cat(list(layers), dim=1)


def _side_by_side(layers: Tensor) -> Tensor:
    """Shape: (layers, tokens, width) -> (tokens, layers * width)."""
    return layers.transpose(0, 1).flatten(1)


def _taken_apart(checkpoint: Checkpoint) -> Tuple[Checkpoint, Dict[str, Tensor]]:
    """The biLM without its softmax, which a pipeline never needs, and the mixture by itself."""
    mix = {name.removeprefix(_MIX): tensor for name, tensor in checkpoint.state.items() if name.startswith(_MIX)}
    state = {name: tensor for name, tensor in checkpoint.state.items() if not name.startswith(_MIX)}
    return without_training(replace(checkpoint, state=state))[0], mix


def _build_mix(settings: ElmoSettings, n_layers: int, state: Dict[str, Tensor]) -> ScalarMix:
    if not set(settings.layers_off) < set(range(n_layers)):
        raise ValueError(Errors.G135.format(found=list(settings.layers_off), last=n_layers - 1))
    active = [layer for layer in range(n_layers) if layer not in settings.layers_off]
    mix = ScalarMix(n_layers, layer_norm=False, l2=settings.l2, active=active)
    if state:
        mix.load_state_dict(state)
    return mix.requires_grad_(settings.layers == "mixed").eval()


def _held_together(windows: Sequence[Window]) -> Iterator[List[Window]]:
    """Windows that are not empty, longest first, as many at a time as may be held."""
    batch: List[Window] = []
    n_tokens = 0
    for window in sorted(filter(len, windows), key=len, reverse=True):
        if batch and n_tokens + len(window) > MAX_HELD:
            yield batch
            batch, n_tokens = [], 0
        batch.append(window)
        n_tokens += len(window)
    if batch:
        yield batch
