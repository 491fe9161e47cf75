"""Graphs in blocks of receivers, for use after training: what is in hand fits into a processor's cache.

A batch of 32 texts of 400 words has 41 million scores per layer. Written out whole, each step over them waits for
memory; in blocks of some hundred thousand they are computed, rectified, normalised and stored once. A block also leaves
out the sources that none of its receivers may attend to, nearly half of all. Both directions run in reading order, so
that no graph is ever turned around: only the encoders read the right half's text reversed.
"""

from typing import Iterator, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from ..masking import lengths_of, reverse
from .graph import GraphPredictor, window_graphs
from .sparsity import Scores

CHUNK_TOKENS = 2048  # tokens encoded at once: larger tensors go back to the system after each use, which is slow
BLOCK_SCORES = 1 << 18  # scores in hand: 1 MB in float32
BLOCK_RECEIVERS = 64  # fewer make the products slow, more compute sources in vain


class Block(NamedTuple):
    """Some rows of one layer's graphs; entries outside its sources are 0.

    batch (slice): Which sequences.
    receivers (slice): Which rows.
    sources (slice): Which columns.
    weights (Tensor): Shape: (batch, heads, receiver, source).
    """

    batch: slice
    receivers: slice
    sources: slice
    weights: Tensor


class Encoded(NamedTuple):
    """What one direction's encoders make of a batch, in reading order; None if no head is learned.

    keys, queries (Tensor): Shape: (batch, seq, width).
    """

    keys: Tensor
    queries: Tensor


def encode(predictor: GraphPredictor, embeddings: Tensor, mask: Optional[Tensor], *, is_right: bool) -> Encoded:
    """Run the encoders in chunks of sequences.

    embeddings (Tensor): In reading order, zero at padding. Shape: (batch, seq, width).
    mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
    is_right (bool): The predictor reads the text reversed.
    RETURNS (Encoded): In reading order.
    """
    if not predictor.config.n_learned_heads or not embeddings.numel():
        return Encoded(embeddings, embeddings)
    chunks = []
    for rows in _spans(0, len(embeddings), _chunk_rows(predictor, embeddings)):
        real = None if mask is None else mask[rows]
        values = reverse(embeddings[rows], real) if is_right else embeddings[rows]
        encoded = predictor.key_cnn(values, real), predictor.query_cnn(values, real)
        chunks.append(tuple(reverse(part, real) for part in encoded) if is_right else encoded)
    keys, queries = zip(*chunks)
    return Encoded(torch.cat(keys), torch.cat(queries)) if len(chunks) > 1 else Encoded(keys[0], queries[0])


def layer_blocks(
    predictor: GraphPredictor, encoded: Encoded, mask: Optional[Tensor], layer: int, *, is_right: bool
) -> Iterator[Block]:
    """The graphs of one layer, fixed windows first, block by block.

    encoded (Encoded): Of `encode`.
    mask, is_right: As for `encode`.
    layer (int): Counted from 0.
    YIELDS (Block): Together they cover every row; padding is 0.
    """
    n_batch, seq = encoded.keys.shape[:2]
    is_whole = _is_whole(predictor, encoded.keys)
    n_receivers = seq if is_whole else min(seq, BLOCK_RECEIVERS)
    n_rows = n_batch if is_whole else max(1, BLOCK_SCORES // max(1, predictor.config.n_heads * n_receivers * seq))
    for chunk in _spans(0, n_batch, _chunk_rows(predictor, encoded.keys)):
        affinity = _affinity(predictor, encoded, mask, layer, chunk)
        for batch in _spans(chunk.start, chunk.stop, n_rows):
            rows = slice(batch.start - chunk.start, batch.stop - chunk.start)
            query, key = (part[rows].contiguous() for part in affinity)  # (batch, heads, seq, head_width)
            real = None if mask is None else mask[batch]
            for receivers in _spans(0, seq, n_receivers):
                sources = slice(receivers.start, seq) if is_right else slice(0, receivers.stop)
                distance = _distance(receivers, sources, is_right=is_right, like=key)
                allowed = (distance > 0)[None, None]  # (1, 1, receiver, source)
                if real is not None:
                    allowed = allowed & real[:, None, receivers, None] & real[:, None, None, sources]  # (batch, 1, ...)
                lengths = torch.full((len(key),), seq, device=key.device) if real is None else lengths_of(real)
                pair = query[:, :, receivers], key[:, :, sources]
                scored = _weigh(predictor, pair, distance, allowed, lengths, layer, is_right=is_right)
                yield Block(batch, receivers, sources, scored)


def _weigh(
    predictor: GraphPredictor,
    pair: Tuple[Tensor, Tensor],
    distance: Tensor,
    allowed: Tensor,
    lengths: Tensor,
    layer: int,
    *,
    is_right: bool,
) -> Tensor:
    """Edge weights of one block: fixed windows, then learned heads. Shape: (batch, heads, receiver, source)."""
    query, key = pair
    parts = []
    if predictor.config.fixed_windows:
        parts.append(window_graphs(predictor.config.fixed_windows, distance, allowed).expand(len(key), -1, -1, -1))
    if predictor.config.n_learned_heads:
        products = query @ key.transpose(-1, -2)  # (batch, heads, receiver, source)
        nearness = None if predictor.nearness is None else predictor.nearness(distance, layer)
        parts.append(predictor.sparsity(Scores(products, query, allowed, lengths, layer, nearness, is_right)))
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _affinity(
    predictor: GraphPredictor, encoded: Encoded, mask: Optional[Tensor], layer: int, chunk: slice
) -> Tuple[Tensor, Tensor]:
    """Queries and keys of some sequences by head; without channels if no head is learned."""
    if not predictor.config.n_learned_heads:
        empty = encoded.keys[chunk, None, :, :0]  # (batch, 1, seq, 0)
        return empty, empty
    real = None if mask is None else mask[chunk]
    return predictor.affinity(encoded.keys[chunk], encoded.queries[chunk], real, layer)


def _distance(receivers: slice, sources: slice, *, is_right: bool, like: Tensor) -> Tensor:
    """How many tokens earlier, in reading direction, a source stands. Shape: (receiver, source)."""
    rows = torch.arange(receivers.start, receivers.stop, device=like.device)
    columns = torch.arange(sources.start, sources.stop, device=like.device)
    distance = rows[:, None] - columns
    return -distance if is_right else distance


def _chunk_rows(predictor: GraphPredictor, values: Tensor) -> int:
    """Sequences encoded at once."""
    return len(values) if _is_whole(predictor, values) else max(1, CHUNK_TOKENS // max(1, values.shape[1]))


def _is_whole(predictor: GraphPredictor, values: Tensor) -> bool:
    """Whether to compute all at once: batch statistics need it, gradients and graphics cards prefer it."""
    return predictor.training or torch.is_grad_enabled() or values.device.type != "cpu"


def _spans(start: int, stop: int, size: int) -> Iterator[slice]:
    """Cut a range into slices of at most `size`."""
    for begin in range(start, stop, max(1, size)):
        yield slice(begin, min(begin + size, stop))
