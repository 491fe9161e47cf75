"""How fast each layer of a pretrained network learns with a task, and from when on.

Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text Classification" (arXiv 1801.06146),
sections 3.2 (discriminative fine-tuning) and 3.3 (gradual unfreezing).
"""

import re
from dataclasses import dataclass
from typing import Tuple

from ..errors import Errors

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")  # in the name of a parameter


@dataclass(frozen=True)
class FineTuning:
    """What `Elmo.v1` and `MogrifierLM.v1` do beside the optimizer, once they are trainable.

    Layers are counted from the top: the last recurrent layer is 0; what stands below all of them, the vectors of words
    or characters, comes last. With the published values, layer_decay = 1 / 2.6 and one layer more each epoch, the
    upper layers adapt to the task before the lower ones, which hold what is general, are touched.

    learn_rate_scale (float): Rate of the top layer, relative to that of the optimizer. > 0.
    layer_decay (float): Rate of each layer, relative to that of the layer above. > 0.
    unfreeze (Tuple[int, ...]): After how many updates each layer begins to learn, from the top; a layer beyond the end
        never does. Empty: all of them at once.
    RAISES: ValueError G101 for a value out of range.
    """

    learn_rate_scale: float = 1.0
    layer_decay: float = 1.0
    unfreeze: Tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("learn_rate_scale", "layer_decay"):
            if not getattr(self, name) > 0:
                raise ValueError(Errors.G101.format(name=name, expected="above 0", value=getattr(self, name)))
        if list(self.unfreeze) != sorted(self.unfreeze) or min(self.unfreeze, default=0) < 0:
            expected = "whole numbers from 0 that do not fall"
            raise ValueError(Errors.G101.format(name="unfreeze", expected=expected, value=list(self.unfreeze)))

    def check_layers(self, n_layers: int) -> None:
        """Raise ValueError G115 if `unfreeze` names more layers than there are: the recurrent ones and what is below.

        n_layers (int): Recurrent layers.
        """
        if len(self.unfreeze) > n_layers + 1:
            found = len(self.unfreeze)
            raise ValueError(Errors.G115.format(unfreeze=list(self.unfreeze), found=found, n_layers=n_layers))

    def rate(self, name: str, n_layers: int) -> float:
        """Learning rate of a parameter, relative to that of the optimizer.

        name (str): As torch has it.
        n_layers (int): Recurrent layers.
        """
        return self.learn_rate_scale * self.layer_decay ** _place_from_top(name, n_layers)

    def learns(self, name: str, n_layers: int, *, n_updates: int) -> bool:
        """Whether a parameter learns after so many updates."""
        place = _place_from_top(name, n_layers)
        return not self.unfreeze or (place < len(self.unfreeze) and n_updates >= self.unfreeze[place])


def _place_from_top(name: str, n_layers: int) -> int:
    found = _LAYER.search(name)
    return n_layers - 1 - int(found[1]) if found else n_layers
