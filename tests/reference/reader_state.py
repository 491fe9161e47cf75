"""Tiny readers whose weights are all random, and random texts for them, as the oracle and as the model take them."""

from typing import Any, List, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from glomo_spacy.models.qa import ReaderConfig, ReaderModel, Side

from .reader import ReaderOracle, Text

N_WORDS, LAYERS, HEADS, ALPHABET = 20, 2, 2, "abcd"


def tiny_config(**options: Any) -> ReaderConfig:
    """Every kind of input, all widths different."""
    sizes = {
        "n_words": N_WORDS, "word_width": 5, "elmo_layers": 2, "elmo_width": 3, "feature_width": 2,
        "characters": ALPHABET, "char_width": 3, "char_channels": 4, "char_kernel": 2, "max_chars": 4,
        "graph_layers": LAYERS, "graph_heads": HEADS, "encoder_width": 4, "hidden_width": 3, "model_width": 5,
    }  # fmt: skip
    return ReaderConfig(**{**sizes, **options})


def random_reader(**options: Any) -> ReaderModel:
    """In float64; no initial value may hide a mistake."""
    model = ReaderModel(tiny_config(**options)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def oracle_of(model: ReaderModel) -> ReaderOracle:
    """The oracle with a model's weights."""
    config = model.config
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    same = ("graph", "mixture", "n_mixes", "fusion", "attention", "output", "states_width", "char_kernel")
    options = {name: getattr(config, name) for name in same}
    candidates = config.transfer.candidates if config.graph != "none" else "plain"
    return ReaderOracle(state, candidates=candidates, **options)


def random_text(generator: np.random.Generator, length: int) -> Text:
    """A text with every kind of input; its graphs' rows sum to 1 or 0."""
    graphs = generator.random((2 * LAYERS, HEADS, length, length))
    graphs[:LAYERS], graphs[LAYERS:] = np.tril(graphs[:LAYERS], -1), np.triu(graphs[LAYERS:], 1)
    return Text(
        word_ids=generator.integers(N_WORDS, size=length),
        elmo=generator.normal(size=(3, length, 3)),
        char_ids=generator.integers(2 + len(ALPHABET), size=(length, 4)),
        features=generator.normal(size=(length, 2)),
        graphs=graphs / np.maximum(graphs.sum(-1, keepdims=True), 1e-16),
    )


def side_of(texts: Sequence[Text], *, padding: int = 0, rubbish: float = 0.0) -> Side:
    """Texts padded to the longest and `padding` more; places that nothing may read hold `rubbish`."""
    lengths = [len(text.word_ids) for text in texts]
    seq = max(lengths) + padding
    graphs = torch.stack([_padded(text.graphs, seq, 2, 3) for text in texts])  # zeros at padding are promised
    return Side(
        mask=torch.arange(seq) < torch.tensor(lengths)[:, None],
        word_ids=torch.stack([_padded(text.word_ids, seq, 0, value=int(rubbish)) for text in texts]),
        elmo=torch.stack([_padded(text.elmo, seq, 1, value=rubbish) for text in texts]),
        char_ids=torch.stack([_padded(text.char_ids, seq, 0, value=int(rubbish)) for text in texts]),
        features=torch.stack([_padded(text.features, seq, 0, value=rubbish) for text in texts]),
        graphs=list(graphs.unbind(1)),
    )


def _padded(values: np.ndarray, seq: int, *axes: int, value: float = 0) -> Tensor:
    widths: List[Any] = [(0, seq - size if axis in axes else 0) for axis, size in enumerate(values.shape)]
    return torch.from_numpy(np.pad(values, widths, constant_values=value))
