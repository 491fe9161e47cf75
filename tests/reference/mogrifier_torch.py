"""The public PyTorch Mogrifier LSTM's loop, in torch's own layers: what speed is measured against.

As satwik77/Mogrifier-LSTM computes it: at every time step the word is embedded and gated in turns with the last output,
one step of `nn.LSTM` follows, and the decoder, tied to the embedding, gives the step's logits. There the number of
rounds is even, here it is any. Without dropout one layer equals ours with free input gates.
"""

from typing import Dict, List, Tuple

import torch
from torch import Tensor, nn

State = Tuple[Tensor, Tensor]  # (1, batch, width) each


class Transcription(nn.Module):
    """The language model.

    vocab, width, rounds (int): Words, width of embedding and state, gating rounds as the paper counts them.
    """

    def __init__(self, vocab: int, width: int, rounds: int) -> None:
        super().__init__()
        self.encoder = nn.Embedding(vocab, width)
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.rnn = nn.LSTM(width, width)
        self.decoder = nn.Linear(width, vocab)
        self.decoder.weight = self.encoder.weight

    def forward(self, ids: Tensor, state: State) -> Tuple[Tensor, State]:
        """ids (seq, batch). RETURNS: Logits (seq, batch, vocab), and the state after."""
        decoded: List[Tensor] = []
        for row in ids:
            hidden, cell = state
            x, hidden = self.mogrify(self.encoder(row[None]), hidden)
            output, state = self.rnn(x, (hidden, cell))
            decoded.append(self.decoder(output))
        return torch.cat(decoded), state

    def mogrify(self, x: Tensor, hidden: Tensor) -> Tuple[Tensor, Tensor]:
        for index, gate in enumerate(self.gates):
            if index % 2 == 0:
                x = 2 * torch.sigmoid(gate(hidden)) * x
            else:
                hidden = 2 * torch.sigmoid(gate(x)) * hidden
        return x, hidden

    @torch.no_grad()
    def load(self, weights: Dict[str, Tensor], *, forget_bias: float) -> None:
        """Take over the state dict of our language model: one layer, full rank, free input gates, tied."""
        layer = {name.removeprefix("body.layers.0."): weight for name, weight in weights.items()}
        self.encoder.weight.copy_(weights["embedding.weight"])
        self.decoder.bias.copy_(weights["output.bias"])
        self.decoder.bias[0] = -1e4  # the mark of a beginning, which ours never predicts
        for index, gate in enumerate(self.gates):
            name = "qr"[index % 2]
            gate.weight.copy_(layer[f"{name}_weights.{index // 2}"])
            gate.bias.copy_(layer[f"{name}_biases.{index // 2}"])
        parts = {"weight_ih_l0": "input_weight", "weight_hh_l0": "hidden_weight", "bias_ih_l0": "bias"}
        for theirs, ours in parts.items():
            write, candidate, keep, read = layer[ours].chunk(4)
            keep = keep + forget_bias if ours == "bias" else keep
            getattr(self.rnn, theirs).copy_(torch.cat([write, keep, candidate, read]))
        self.rnn.bias_hh_l0.zero_()
