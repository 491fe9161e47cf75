"""Tiny biLMs with lively weights, and their weights under bilm-tf's names, for the oracle."""

import math
from typing import Any, Dict, List, Sequence

import numpy as np
import torch
from reference.elmo import ElmoOracle

from glomo_spacy.indexers import SPECIALS, CharIndexer, VocabularyIndexer
from glomo_spacy.models.elmo import BiLM, ElmoConfig

TINY: Dict[str, Any] = {
    "char_width": 4,
    "filters": ((1, 3), (2, 4), (3, 5), (5, 6)),
    "projection_width": 8,
    "cell_width": 12,
}
VOCAB = [*SPECIALS, "the", "cat", "sat", "on", "mat", ".", "The", "café"]
ALPHABET = list("abcdefghijklmnopqrstuvwxyzé日本語")


def tiny_bilm(*, seed: int = 0, scale: float = 1.0, alphabet: Sequence[str] = (), **changes: Any) -> BiLM:
    """A small model in evaluation mode that can read words.

    scale (float): Factor on the LSTMs' weights. Much above 1 rounding errors grow with every step, in any program.
    """
    indexer = CharIndexer(alphabet=alphabet or None, max_characters=changes.get("max_characters", 50))
    settings = {**TINY, "n_characters": indexer.n_characters, **changes}
    if settings.get("token_encoder") == "words":
        settings["vocab_size"] = len(VOCAB)
    torch.manual_seed(seed)
    model = BiLM(ElmoConfig(**settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            n_inputs = parameter[0].numel() if parameter.dim() > 1 and "embedding" not in name else 4
            parameter.normal_(std=(scale if "_lm." in name else 1.5) / math.sqrt(n_inputs))
    model.attach_indexer(VocabularyIndexer(VOCAB) if model.config.token_encoder == "words" else indexer)
    return model


def oracle_of(model: BiLM) -> ElmoOracle:
    """The oracle with a model's weights and settings."""
    config, alphabet = model.config, getattr(model.indexer, "alphabet", None)
    return ElmoOracle(
        published_weights(model),
        filters=config.filters,
        activation=config.activation,
        n_highway=config.n_highway,
        n_layers=config.n_layers,
        use_skip_connections=config.use_skip_connections,
        cell_clip=config.cell_clip,
        proj_clip=config.proj_clip,
        forget_bias=config.forget_bias,
        directions=2 if config.directions == "both" else 1,
        vocab=VOCAB if config.token_encoder == "words" else (),
        alphabet=alphabet,
        max_characters=config.max_characters,
    )


def published_weights(model: BiLM) -> Dict[str, np.ndarray]:
    """A model's weights under the names and in the shapes of bilm-tf."""
    ours = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    found: Dict[str, np.ndarray] = {}
    if model.config.token_encoder == "words":
        found["embedding"] = ours["token_encoder.weight"]
    else:
        found["char_embed"] = ours["token_encoder.embedding"]
        for group in range(len(model.config.filters)):
            found[f"CNN/W_cnn_{group}"] = ours[f"token_encoder.convolutions.{group}.weight"].transpose(2, 1, 0)[None]
            found[f"CNN/b_cnn_{group}"] = ours[f"token_encoder.convolutions.{group}.bias"]
        for layer in range(model.config.n_highway):
            for part in ("carry", "transform"):
                found[f"CNN_high_{layer}/W_{part}"] = ours[f"token_encoder.highways.{layer}.{part}.weight"].T
                found[f"CNN_high_{layer}/b_{part}"] = ours[f"token_encoder.highways.{layer}.{part}.bias"]
        found["CNN_proj/W_proj"] = ours["token_encoder.projection.weight"].T
        found["CNN_proj/b_proj"] = ours["token_encoder.projection.bias"]
    for direction, name in enumerate(["forward_lm", "backward_lm"]):
        for layer in range(model.config.n_layers):
            parts = {part: ours.get(f"{name}.layers.{layer}.{part}") for part in LAYER}
            if parts["bias"] is not None:
                cell = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
                found[f"{cell}/W_0"] = np.concatenate([parts["input_weight"].T, parts["hidden_weight"].T])
                found[f"{cell}/B"], found[f"{cell}/W_P_0"] = parts["bias"], parts["projection"].T
    return found


LAYER = ("input_weight", "hidden_weight", "bias", "projection")

_WORDS = ["the", "cat", "sat", "on", "a", "mat", ".", "The", "café", "日本語", "naïve", "-", "x" * 60, "ü" * 40, "N=1"]
LONG = [_WORDS[(7 * place) % len(_WORDS)] for place in range(43)]
SENTENCES: List[List[str]] = [
    LONG,
    ["Cat"],
    [],
    ["<S>", "the", "</S>", "<UNK>", "", "</S>"],
    ["日" * 17, "b" * 48, "b" * 49, "é" + "b" * 47, "\ud800odd", " ", "\n"],
    ["the", "cat", "sat", "on", "the", "mat", "."],
]
