"""Graphs between the states of an encoder: what a token's neighbours in the graph have read joins what it has.

Source: Yang et al. 2018, section 4.1 ("TRNN"), and kimiyoung/glomo, `squad/model_trnn.py`.
"""

from typing import Iterable

from torch import Tensor, nn

from ...errors import Errors
from ..glomo.mixing import GraphTransfer, TransferConfig
from ..packing import TextPacking


class TRNN(nn.Module):
    """Transfer the hidden states h of a recurrent encoder along mixed graphs: [h; gate([h; received])].

    Mixtures are conditioned on h, candidates include products, and the gated half is as wide as h however many mixes
    there are: at the published sizes 152 * (2 * n_mixes + 1) -> 152.

    config (TransferConfig): Width of h (published: 152) and the mixtures. The fusion must be "gate", so that the last
        `width` channels are the gated half, and the graphs learned.
    RAISES: ValueError G113 for another fusion or the uniform graph.
    """

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        if config.fusion != "gate" or config.is_uniform:
            raise ValueError(Errors.G113.format(fusion=config.fusion, graph=config.graph))
        self.transfer = GraphTransfer(config)

    def forward(
        self, states: Tensor, layers: Iterable[Tensor], packing: TextPacking, *, dropout: float = 0.0
    ) -> Tensor:
        """Join each state with what arrives from the states of related tokens.

        states (Tensor): h of the packed tokens. Shape: (tokens, width).
        layers (Iterable[Tensor]): Left layers bottom to top, then right layers. Shape of each: (batch, heads, receiver,
            source).
        packing (TextPacking): How the texts are packed.
        dropout (float): Rate on the input of mixtures and gate in training, locked; 0 in prediction.
        RETURNS (Tensor): h, then the gated half. Shape: (tokens, 2 * width).
        """
        return self.transfer.packed(states, layers, packing, dropout=dropout)
