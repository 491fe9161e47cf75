"""The GLoMo model: graphs of both directions, learned by predicting context.

Source: Yang et al. 2018, section 3. The left half reads the text as written and attends to the left; the right half
reads it reversed, with its own weights, and its graphs are turned back into reading order.
"""

from typing import Iterable, Iterator, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ..masking import checked_mask, reverse
from ..processes import is_distributed, sum_over_processes
from .blocks import Block, encode, layer_blocks
from .config import GlomoConfig
from .decoder import ContextDecoder, Negatives, SampledRows, sampled_losses, target_losses
from .feature_predictor import FeaturePredictor
from .graph import GraphPredictor, fixed_graphs

Positions = Tuple[Tensor, Tensor]


class DirectionalLearner(nn.Module):
    """One direction: graph predictor, feature predictor and decoder.

    config (GlomoConfig): Sizes and variant.
    """

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
        features, decoder = FeaturePredictor(config), ContextDecoder(config)
        # Models that differ in their graphs alone begin with the same weights elsewhere, and can be compared.
        with torch.random.fork_rng(devices=[]):
            self.graph = GraphPredictor(config)
        self.features, self.decoder = features, decoder  # after the graphs, as optimisers of older runs number them

    def forward(
        self, embeddings: Tensor, mask: Optional[Tensor], *, positions: Optional[Tensor] = None
    ) -> List[Tensor]:
        """Features of each layer, in this direction's own order.

        embeddings (Tensor): Shape: (batch, seq, width).
        mask (Optional[Tensor]): True for real tokens. Shape: (batch, seq).
        positions (Optional[Tensor]): Compute the last layer only here. Shape: (positions,).
        RETURNS (List[Tensor]): Per layer (batch, seq, width); the last only at `positions`: (batch, positions, width).
        """
        graphs = self.graph(embeddings, mask, last_receivers=positions)
        features, layers = embeddings, []
        for layer, learned in enumerate(graphs):
            rows = positions if layer == self.config.n_layers - 1 else None
            fixed = fixed_graphs(self.config.fixed_windows, embeddings.shape[1], like=embeddings, receivers=rows)
            features = self.features(features, learned, fixed, layer, receivers=rows)
            layers.append(features)
        return layers


class GlomoModel(nn.Module):
    """Relational graphs learned from raw text, with the networks that teach them.

    config (GlomoConfig): Sizes and variant.
    """

    mix_weights: Tensor

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.left = DirectionalLearner(config)
        self.right = DirectionalLearner(config)
        self.register_buffer("mix_weights", uniform_mixture(config))

    def graphs(self, ids: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Every graph of every sequence.

        ids (Tensor): Word ids. Shape: (batch, seq).
        mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
        RETURNS (Tensor): Left layers bottom to top, then right layers; within a layer fixed windows, then learned
            heads. Rows sum to 1 or 0; padding is 0. Shape: (batch, 2 * layers, heads, receiver, source).
        RAISES: ValueError G103 or G104 for a mask that does not fit.
        """
        if torch.is_grad_enabled():
            return torch.stack(list(self.iter_graphs(ids, mask)), dim=1)
        graphs = self._no_edges(ids, 2 * self.config.n_layers, self.config.n_heads)
        for layer, blocks in enumerate(self._layers(ids, mask)):
            _place(graphs[:, layer], blocks)
        return graphs

    def iter_graphs(self, ids: Tensor, mask: Optional[Tensor] = None) -> Iterator[Tensor]:
        """The graphs of `graphs`, one layer at a time: (batch, heads, receiver, source). Memory is one layer's."""
        for blocks in self._layers(ids, mask):
            yield _place(self._no_edges(ids, self.config.n_heads), blocks)

    def mixed_graph(self, ids: Tensor, mask: Optional[Tensor] = None, weights: Optional[Tensor] = None) -> Tensor:
        """The weighted mean of all graphs, each row divided by its sum.

        ids, mask: As for `graphs`.
        weights (Optional[Tensor]): None: the model's own `mix_weights`. Shape: (2 * layers, heads).
        RETURNS (Tensor): Rows sum to 1 or 0. Shape: (batch, receiver, source).
        """
        weights = self.mix_weights if weights is None else weights
        mixed = self._no_edges(ids)
        for layer_weights, blocks in zip(weights, self._layers(ids, mask)):
            for block in blocks:
                part = torch.einsum("h,bhrs->brs", layer_weights.to(block.weights), block.weights)
                mixed[block.batch, block.receivers, block.sources] += part
        return mixed / mixed.sum(-1, keepdim=True).clamp(min=1e-12)

    def features(self, ids: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        """Features of every layer, in reading order.

        ids, mask: As for `graphs`.
        RETURNS (Tensor): Embeddings, left, right layers; padding is 0. Shape: (1 + 2 * layers, batch, seq, width).
        """
        mask = checked_mask(ids, mask)
        embeddings = self._embed(ids, mask)
        left = self.left(embeddings, mask)
        right = [reverse(layer, mask) for layer in self.right(reverse(embeddings, mask), mask)]
        stacked = torch.stack([embeddings, *left, *right])
        return stacked if mask is None else stacked * mask[None, :, :, None]

    def loss(
        self,
        ids: Tensor,
        mask: Optional[Tensor] = None,
        *,
        positions: Positions,
        negatives: Optional[Negatives] = None,
    ) -> Tensor:
        """The pretraining loss at given positions: mean of both directions' mean cross-entropy, in nats per target.

        ids, mask: As for `graphs`.
        positions (Tuple[Tensor, Tensor]): Left and right positions, shared by all sequences; the right ones index the
            reversed sequence. Each below seq - dec_len. Shapes: (positions,). Targets beyond a sequence's own length
            are left out.
        negatives (Optional[Negatives]): Sampled instead of full soft-max.
        RETURNS (Tensor): Scalar.
        RAISES: ValueError G105 for positions out of range.
        """
        losses = self.step_losses(ids, mask, positions=positions, negatives=negatives)
        return 0.5 * sum(
            (total.sum() / count.sum().clamp(min=1) for total, count in losses), torch.zeros_like(losses[0][0][0])
        )

    def step_losses(
        self,
        ids: Tensor,
        mask: Optional[Tensor] = None,
        *,
        positions: Positions,
        negatives: Optional[Negatives] = None,
    ) -> List[Tuple[Tensor, Tensor]]:
        """Summed cross-entropy and number of targets, per direction and decoder step. Arguments as for `loss`.

        RETURNS (List[Tuple[Tensor, Tensor]]): Left and right: sums in nats and counts. Shapes: (dec_len,).
        """
        mask = checked_mask(ids, mask)
        self._check_positions(positions, ids.shape[1])
        sample = None if negatives is None else self._sample_rows(ids, negatives)
        embeddings = self._embed(ids, mask, sample)
        left = self._half_losses(self.left, ids, embeddings, mask, positions[0], sample)
        if sample is not None:
            sample = sample._replace(word_rows=reverse(sample.word_rows, mask))
        mirrored = reverse(ids, mask), reverse(embeddings, mask)
        right = self._half_losses(self.right, *mirrored, mask, positions[1], sample)
        return [left, right]

    def _layers(self, ids: Tensor, mask: Optional[Tensor]) -> Iterator[Iterator[Block]]:
        """The blocks of each layer's graphs, left layers first, in reading order."""
        mask = checked_mask(ids, mask)
        embeddings = self._embed(ids, mask)
        for half, is_right in ((self.left, False), (self.right, True)):
            encoded = encode(half.graph, embeddings, mask, is_right=is_right)
            for layer in range(self.config.n_layers):
                yield layer_blocks(half.graph, encoded, mask, layer, is_right=is_right)

    def _no_edges(self, ids: Tensor, *graphs: int) -> Tensor:
        """Graphs without edges. Shape: (batch, *graphs, receiver, source)."""
        dtype = torch.promote_types(self.embedding.weight.dtype, torch.float32)
        return self.embedding.weight.new_zeros(len(ids), *graphs, ids.shape[1], ids.shape[1], dtype=dtype)

    def _half_losses(
        self,
        half: DirectionalLearner,
        ids: Tensor,
        embeddings: Tensor,
        mask: Optional[Tensor],
        positions: Tensor,
        sample: Optional[SampledRows],
    ) -> Tuple[Tensor, Tensor]:
        top = half(embeddings, mask, positions=positions)[-1]  # (batch, positions, width)
        outputs = half.decoder(top, embeddings, positions)  # (batch, positions, dec_len, width)
        targets = half.decoder.targets(ids, positions)  # (batch, positions, dec_len)
        if sample is None:
            losses = target_losses(outputs.flatten(0, 2), targets.flatten(), self.embedding.weight)
        else:
            own_rows = half.decoder.targets(sample.word_rows, positions)  # (batch, positions, dec_len, width)
            losses = sampled_losses(outputs.flatten(0, 2), targets.flatten(), own_rows.flatten(0, 2), sample)
        losses = losses.view_as(targets)
        if mask is None:
            counts = torch.full_like(losses[0, 0], targets.shape[0] * targets.shape[1])
            return losses.sum((0, 1)), counts
        is_real = half.decoder.targets(mask, positions)  # (batch, positions, dec_len)
        return (losses * is_real).sum((0, 1)), is_real.sum((0, 1)).to(losses)

    def _sample_rows(self, ids: Tensor, negatives: Negatives) -> SampledRows:
        """Read the rows of a text's words and of the negatives, for use as soft-max weights."""
        rows = F.embedding(torch.cat([ids.flatten(), negatives.ids]), self.embedding.weight)
        word_rows, negative_rows = rows.split([ids.numel(), len(negatives.ids)])
        return SampledRows(negatives, negative_rows, word_rows.view(*ids.shape, self.config.width))

    def _embed(self, ids: Tensor, mask: Optional[Tensor], sample: Optional[SampledRows] = None) -> Tensor:
        """Embeddings, zero at padding, whose gradients count only real tokens. Shape: (batch, seq, width).

        sample (Optional[SampledRows]): Rows already read, used unless their gradients would be scaled.
        """
        if sample is not None and not self.config.scale_grad_by_freq:
            return sample.word_rows if mask is None else sample.word_rows * mask[:, :, None]
        if mask is None:
            return self._embed_words(ids)
        embedded = self.embedding.weight.new_zeros(*ids.shape, self.config.width)
        embedded[mask] = self._embed_words(ids[mask])
        return embedded

    def _embed_words(self, ids: Tensor) -> Tensor:
        """Embeddings whose gradients are divided by the word's count in the batch of all processes. Adds an axis."""
        scale = self.config.scale_grad_by_freq
        embedded = F.embedding(ids, self.embedding.weight, scale_grad_by_freq=scale and not is_distributed())
        if scale and is_distributed() and embedded.requires_grad:
            counts = sum_over_processes(torch.bincount(ids.flatten(), minlength=self.config.vocab_size))
            embedded.register_hook(lambda gradient: gradient / counts[ids].unsqueeze(-1))
        return embedded

    def _check_positions(self, positions: Positions, seq: int) -> None:
        limit = seq - self.config.dec_len
        for values in positions:
            if values.device.type == "cpu" and len(values) and not 0 <= int(values.min()) <= int(values.max()) < limit:
                raise ValueError(Errors.G105.format(limit=limit, seq=seq, dec_len=self.config.dec_len))


def _place(graph: Tensor, blocks: Iterable[Block]) -> Tensor:
    """Write the blocks of a layer into its graph. Shape: (batch, heads, receiver, source)."""
    for block in blocks:
        graph[block.batch, :, block.receivers, block.sources] = block.weights
    return graph


def uniform_mixture(config: GlomoConfig) -> Tensor:
    """Equal weights for the learned heads, or for all heads if none is learned. Shape: (2 * layers, heads)."""
    weights = torch.ones(2 * config.n_layers, config.n_heads)
    if config.n_learned_heads:
        weights[:, : len(config.fixed_windows)] = 0.0
    return weights / weights.sum()
