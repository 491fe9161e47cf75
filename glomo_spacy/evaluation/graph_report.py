"""What the heads of a GLoMo model do: how far they look, whether they are alive, whether the receiver matters.

A graph can look rich and still ignore who is asking: when one source is attractive to everybody, every row is the same.
The numbers here tell the two apart. They are taken over the second half of held-out windows, so that every row has at
least half a window to choose from.
"""

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from ..models.glomo import GlomoModel
from ..models.glomo.learner import DirectionalLearner
from ..models.glomo.sparsity import Scores

DISTANCES = (1, 2, 4, 8, 16, 32, 64)  # upper ends of the distance buckets; the last one is open
EMPTY_BELOW = 0.5  # rows sum to 1 or 0; anything below the middle is empty


@dataclass(frozen=True)
class HeadReport:
    """Measures of one learned head.

    name (str): "left 1.0": direction, layer from 1, head from 0 (fixed windows counted).
    empty_rows (float): Share of rows that attend to nothing.
    weight_by_distance (Tuple[float, ...]): Mean weight at distances 1, 2, 3-4, 5-8, 9-16, 17-32, 33-64 and beyond.
    column_share (float): Share of the score variance, row means removed, that the source alone explains. Low is good;
        the least possible is 1 / rows.
    row_variation (float): Mean total variation distance between rows of different receivers, 0-1.
    swap_share (float): Share of rows whose strongest source changes when the query is another receiver's, 0-1.
    effective_sources (float): Mean exp(entropy) of the rows: how many sources share the weight.
    strongest_weight (float): Mean of the largest weight of a row.
    zero_share (float): Share of allowed entries that are exactly zero.
    """

    name: str
    empty_rows: float
    weight_by_distance: Tuple[float, ...]
    column_share: float
    row_variation: float
    swap_share: float
    effective_sources: float
    strongest_weight: float
    zero_share: float


@torch.inference_mode()
def report_heads(model: GlomoModel, windows: Tensor) -> List[HeadReport]:
    """Measure every learned head.

    model (GlomoModel): In evaluation mode.
    windows (Tensor): Held-out word ids, no padding, at least 4 tokens each. Shape: (windows, seq).
    RETURNS (List[HeadReport]): Left layers, then right layers. Empty if no head is learned.
    """
    if model.config.n_learned_heads == 0:
        return []
    reports = []
    for direction, half, ids in (("left", model.left, windows), ("right", model.right, windows.flip(1))):
        embeddings = model.embedding(ids)
        keys, queries = half.graph.key_cnn(embeddings, None), half.graph.query_cnn(embeddings, None)
        for layer in range(model.config.n_layers):
            columns = _measure_layer(half, keys, queries, layer)
            for head in range(model.config.n_learned_heads):
                name = f"{direction} {layer + 1}.{head + len(model.config.fixed_windows)}"
                reports.append(_head_report(name, {key: value[head] for key, value in columns.items()}))
    return reports


def arc_chances(heads: Sequence[Sequence[int]]) -> Tensor:
    """How often two tokens at a given distance are syntactic neighbours: the chance an uninformed graph has.

    heads (Sequence[Sequence[int]]): Syntactic head of each token of each sentence, counted from 0; -1 for the root.
    RETURNS (Tensor): Share of token pairs that are arcs, by receiver - source + longest - 1. Shape: (2 * longest - 1,).
    """
    longest = max(map(len, heads))
    arcs = torch.zeros(2 * longest - 1, dtype=torch.double)
    pairs = torch.zeros_like(arcs)
    distances = torch.arange(1 - longest, longest)
    for sentence in heads:
        pairs += (len(sentence) - distances.abs()).clamp(min=0)
        for token, head in enumerate(sentence):
            if head >= 0:
                arcs[token - head + longest - 1] += 1
                arcs[head - token + longest - 1] += 1
    return (arcs / pairs.clamp(min=1)).float()


def count_arcs(graphs: Tensor, heads: Sequence[Sequence[int]], chances: Tensor) -> Tensor:
    """How often the strongest source is the receiver's syntactic head or dependent, and how often by distance alone.

    graphs (Tensor): Of sentences, padding 0. Shape: (sentences, graphs, receiver, source).
    heads (Sequence[Sequence[int]]): As for `arc_chances`.
    chances (Tensor): From `arc_chances`, over the whole treebank.
    RETURNS (Tensor): Rows with a source, arcs among their strongest sources, and the sum of the chances at the same
        distances. Shape: (3, graphs).
    """
    is_arc = torch.zeros(len(heads), *graphs.shape[2:], dtype=torch.bool)
    for row, sentence in enumerate(heads):
        for token, head in enumerate(sentence):
            if head >= 0:
                is_arc[row, token, head] = is_arc[row, head, token] = True
    weight, source = graphs.max(-1)  # (sentences, graphs, receiver)
    has_source = weight > 0
    hits = is_arc[:, None].expand_as(graphs).gather(-1, source[..., None])[..., 0] & has_source
    distance = torch.arange(graphs.shape[2]) - source  # (sentences, graphs, receiver)
    expected = chances[distance + len(chances) // 2] * has_source
    return torch.stack([count.sum((0, 2)).float() for count in (has_source, hits, expected)])


def _measure_layer(half: DirectionalLearner, keys: Tensor, queries: Tensor, layer: int) -> Dict[str, Tensor]:
    """All measures of one layer; first axis of each: learned heads."""
    predictor = half.graph
    seq = keys.shape[1]
    receivers = torch.arange(seq // 2, seq)
    query, key = predictor.affinity(keys, queries, None, layer, receivers=receivers)
    graph = predictor.layer_graph(keys, queries, None, layer, receivers=receivers)  # (windows, heads, receiver, source)
    scores = (query @ key.transpose(-1, -2))[..., : seq // 2]  # sources that every row may attend to
    distance = receivers[:, None] - torch.arange(seq)  # (receiver, source)
    allowed = distance > 0
    nearness = None if predictor.nearness is None else predictor.nearness(distance, layer)
    other = query.roll(len(receivers) // 3, 2)  # of another receiver
    lengths = torch.full((len(keys),), seq)
    swapped = predictor.sparsity(Scores(other @ key.transpose(-1, -2), other, allowed, lengths, layer, nearness))
    alive = graph.sum(-1) > EMPTY_BELOW  # (windows, heads, receiver)
    entropy = -(graph * graph.clamp(min=1e-12).log()).sum(-1)
    return {
        "empty_rows": (~alive).float().mean((0, 2)),
        "weight_by_distance": _by_distance(graph, receivers),
        "column_share": _column_share(scores),
        "row_variation": _row_variation(graph[..., : seq // 2]),
        "swap_share": ((graph.argmax(-1) != swapped.argmax(-1)) & alive).float().mean((0, 2)),
        "effective_sources": (entropy.exp() * alive).sum((0, 2)) / alive.sum((0, 2)).clamp(min=1),
        "strongest_weight": graph.amax(-1).mean((0, 2)),
        "zero_share": ((graph == 0) & allowed).float().sum((0, 2, 3)) / (allowed.sum() * len(graph)),
    }


def _by_distance(graph: Tensor, receivers: Tensor) -> Tensor:
    """Mean weight per distance bucket. Shape: (heads, buckets)."""
    distance = receivers[:, None] - torch.arange(graph.shape[-1])  # (receiver, source)
    bucket = torch.bucketize(distance, torch.tensor(DISTANCES))
    by_bucket = [(graph * (bucket == index)).sum(-1).mean((0, 2)) for index in range(len(DISTANCES) + 1)]
    return torch.stack(by_bucket, dim=1)


def _column_share(scores: Tensor) -> Tensor:
    """Variance of the column means over the whole variance, row means removed, mean over windows. Shape: (heads,)."""
    centred = scores - scores.mean(-1, keepdim=True)
    by_column = centred.mean(2).var(-1, unbiased=False)  # (windows, heads)
    return (by_column / centred.var((-1, -2), unbiased=False).clamp(min=1e-12)).mean(0)


def _row_variation(graph: Tensor) -> Tensor:
    """Mean total variation between the rows of receivers one eighth of the rows apart. Shape: (heads,)."""
    mass = graph.sum(-1, keepdim=True)
    rows = graph / mass.clamp(min=1e-12)  # (windows, heads, receiver, source)
    step = max(rows.shape[2] // 8, 1)
    both_alive = (mass[..., step:, 0] > 1e-3) & (mass[..., :-step, 0] > 1e-3)
    variation = 0.5 * (rows[:, :, step:] - rows[:, :, :-step]).abs().sum(-1)
    return (variation * both_alive).sum((0, 2)) / both_alive.sum((0, 2)).clamp(min=1)


def _head_report(name: str, values: Dict[str, Tensor]) -> HeadReport:
    distances = tuple(values.pop("weight_by_distance").tolist())
    return HeadReport(name=name, weight_by_distance=distances, **{key: float(value) for key, value in values.items()})
