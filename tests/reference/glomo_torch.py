"""GLoMo as the paper's formulas say it, in plain torch: the network that benchmarks and training tests compare with.

Source: Yang et al. 2018 (arXiv 1806.05662), section 3, and the sizes and names of the published checkpoints. Written
for reading, step by step, with torch's own layers and nothing left out or computed early. Parameters carry the
published names, so that a state dict fits this network, the numpy oracle and `glomo-spacy convert` alike.
"""

import math
from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-16


class Sizes(NamedTuple):
    """Sizes and variant; the defaults are the published ones."""

    vocab_size: int = 100_001
    width: int = 512
    n_layers: int = 3
    n_heads: int = 8
    n_key_layers: int = 4
    n_query_layers: int = 4
    kernel_size: int = 3
    sparsity: str = "threshold"
    top_k_rate: float = 1.0
    feature_predictor: str = "gru"
    use_value: bool = True
    dec_len: int = 3
    dec_layers: int = 2
    head_width: int = 0  # 0: width // 2
    norm_sees_tail: bool = False  # batch statistics with the outputs that each convolution adds after the last token


class Transcription(nn.Module):
    """Both directions: graphs, features and the pretraining loss. Masks: True = real token, padding at the right."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enc_emb = nn.Embedding(sizes.vocab_size, sizes.width, scale_grad_by_freq=True)
        nn.init.uniform_(self.enc_emb.weight, -0.1, 0.1)
        self.st_predictor_fw = Predictor(sizes)
        self.st_predictor_bw = Predictor(sizes)
        self.dec_net_fw = Decoder(sizes)
        self.dec_net_bw = Decoder(sizes)
        self.dec_net_fw.out.weight = self.enc_emb.weight
        self.dec_net_bw.out.weight = self.enc_emb.weight

    def graphs(self, ids: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """(batch, 2 * layers, heads, receiver, source), reading order."""
        embedded = self.enc_emb(ids)
        forward, _ = self.st_predictor_fw(embedded, mask)
        backward, _ = self.st_predictor_bw(embedded.flip(1), _flip(mask))
        return torch.cat([forward, backward.flip(-1, -2)], dim=0).transpose(0, 1).contiguous()

    def features(self, ids: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """(1 + 2 * layers, batch, seq, width), reading order."""
        embedded = self.enc_emb(ids)
        _, forward = self.st_predictor_fw(embedded, mask)
        _, backward = self.st_predictor_bw(embedded.flip(1), _flip(mask))
        return torch.cat([embedded[None], forward, backward.flip(2)], dim=0)

    def loss(self, ids: Tensor, positions: Tuple[Tensor, Tensor]) -> Tensor:
        """Half the mean cross-entropy of each direction; backward positions index the reversed sequence."""
        embedded = self.enc_emb(ids)
        _, forward = self.st_predictor_fw(embedded, None)
        loss = 0.5 * self.dec_net_fw(forward[-1], embedded, ids, positions[0])
        _, backward = self.st_predictor_bw(embedded.flip(1), None)
        return loss + 0.5 * self.dec_net_bw(backward[-1], embedded.flip(1), ids.flip(1), positions[1])


class Predictor(nn.Module):
    """Graphs and features of one direction."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, heads = sizes.width, sizes.n_heads
        head_width = sizes.head_width or width // 2
        self.sizes = sizes
        self.key_cnn = nn.ModuleList(_block(width, sizes.kernel_size) for _ in range(sizes.n_key_layers))
        self.query_cnn = nn.ModuleList(_block(width, sizes.kernel_size) for _ in range(sizes.n_query_layers))
        self.key_dot_trans = nn.ModuleList(nn.Linear(width, heads * head_width) for _ in range(sizes.n_layers))
        self.query_dot_trans = nn.ModuleList(nn.Linear(width, heads * head_width) for _ in range(sizes.n_layers))
        if sizes.feature_predictor == "gru":
            self.gru_cell = nn.GRUCell(2 * width, width)
        elif sizes.use_value:
            self.value_trans = nn.ModuleList(nn.Linear(width, width) for _ in range(sizes.n_layers))
        if sizes.sparsity == "shifted-relu":
            self.sparse_bias = nn.Parameter(torch.full((sizes.n_layers,), 1e-4))
        elif sizes.sparsity == "threshold":
            self.sparse_trans = nn.ModuleList(nn.Linear(head_width, 1) for _ in range(sizes.n_layers))

    def forward(self, embedded: Tensor, mask: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
        """Graphs (layers, batch, heads, receiver, source) and features (layers, batch, seq, width)."""
        keys = self._encode(embedded, self.key_cnn, mask)
        queries = self._encode(embedded, self.query_cnn, mask)
        graphs: List[Tensor] = []
        features: List[Tensor] = []
        feature = embedded
        for layer in range(self.sizes.n_layers):
            graph = self._graph(keys, queries, mask, layer)
            feature = self._next_feature(feature, graph, layer)
            graphs.append(graph)
            features.append(feature)
        return torch.stack(graphs), torch.stack(features)

    def _encode(self, values: Tensor, blocks: nn.ModuleList, mask: Optional[Tensor]) -> Tensor:
        for convolution, norm, activation in blocks:  # type: ignore[misc]
            if mask is not None:
                values = values * mask[:, :, None]
            length = values.shape[1]
            channels = convolution(values.transpose(1, 2))  # padded on both sides: kernel - 1 outputs too many
            if not self.sizes.norm_sees_tail:
                channels = channels[:, :, :length]
            values = activation(norm(channels))[:, :, :length].transpose(1, 2)
        return values

    def _graph(self, keys: Tensor, queries: Tensor, mask: Optional[Tensor], layer: int) -> Tensor:
        sizes = self.sizes
        q = _heads(self.query_dot_trans[layer](queries), sizes.n_heads)  # (batch, heads, seq, head_width)
        k = _heads(self.key_dot_trans[layer](keys), sizes.n_heads)
        scores = q @ k.transpose(-1, -2)  # (batch, heads, receiver, source)
        if sizes.sparsity == "relu":
            scores = F.relu(scores)
        elif sizes.sparsity == "shifted-relu":
            scores = F.relu(scores - self.sparse_bias[layer])
        elif sizes.sparsity == "threshold":
            scores = F.relu(scores - self.sparse_trans[layer](q))
        seq = scores.shape[-1]
        scores = scores * torch.ones(seq, seq, dtype=scores.dtype, device=scores.device).tril(-1)
        if mask is not None:
            scores = scores * mask[:, None, None, :]
        squares = scores**2
        if sizes.sparsity == "top-k":
            kept = min(max(int(math.sqrt(seq) * sizes.top_k_rate), 1), seq)
            indices = squares.topk(kept, dim=-1).indices
            squares = squares * torch.zeros_like(squares).scatter(-1, indices, 1.0)
        return squares / (squares.sum(-1, keepdim=True) + EPSILON)

    def _next_feature(self, feature: Tensor, graph: Tensor, layer: int) -> Tensor:
        sizes = self.sizes
        sent = feature
        if sizes.feature_predictor == "additive" and sizes.use_value:
            sent = self.value_trans[layer](feature)
        message = (graph @ _heads(sent, sizes.n_heads)).transpose(1, 2).flatten(2)  # (batch, seq, width)
        if sizes.feature_predictor == "additive":
            return feature + message
        update = torch.cat([message * feature, message], dim=-1)  # (batch, seq, 2 * width)
        return self.gru_cell(update.flatten(0, 1), feature.flatten(0, 1)).view_as(feature)


class Decoder(nn.Module):
    """The next words from the feature of one position; full soft-max."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.rnn_fw = nn.GRU(sizes.width, sizes.width, sizes.dec_layers, batch_first=True)
        self.out = nn.Linear(sizes.width, sizes.vocab_size, bias=False)

    def forward(self, features: Tensor, embedded: Tensor, ids: Tensor, positions: Tensor) -> Tensor:
        sizes = self.sizes
        state = features[:, positions].flatten(0, 1)  # (batch * positions, width)
        inputs = [torch.zeros_like(embedded[:, positions])]
        inputs += [embedded[:, positions + step] for step in range(1, sizes.dec_len)]
        steps = torch.stack(inputs, dim=2).flatten(0, 1)  # (batch * positions, dec_len, width)
        outputs, _ = self.rnn_fw(steps, state.expand(sizes.dec_layers, -1, -1).contiguous())
        targets = torch.stack([ids[:, positions + step] for step in range(1, sizes.dec_len + 1)], dim=2)
        return F.cross_entropy(self.out(outputs).flatten(0, 1), targets.flatten())


def _block(width: int, kernel_size: int) -> nn.Sequential:
    convolution = nn.Conv1d(width, width, kernel_size, padding=kernel_size - 1)
    return nn.Sequential(convolution, nn.BatchNorm1d(width), nn.ReLU())


def _heads(values: Tensor, n_heads: int) -> Tensor:
    return values.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def _flip(mask: Optional[Tensor]) -> Optional[Tensor]:
    return None if mask is None else mask.flip(1)
