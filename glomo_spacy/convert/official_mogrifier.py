"""State dicts of the public PyTorch Mogrifier LSTM (satwik77/Mogrifier-LSTM) to checkpoint directories of ours.

    x <- 2 sigma(Q_i h + b) x,  h <- 2 sigma(R_i x + b) h     for each of r pairs: 2 r rounds as the paper counts
    h, c = LSTM(x, (h, c))                                    torch.nn.LSTM: gates i, f, j, o; two biases

The gates stand before the stack of layers, not in each layer. With one layer that is the paper's cell with an input
gate of its own ("free") and no extra forget bias, so results are equal. With more layers one gated input cannot serve
all of them (the public code fails there), so there is nothing to convert to. Without gates it is `torch.nn.LSTM` of any
depth.
"""

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from ..errors import Errors
from ..indexers import BEGIN_SENTENCE, END_SENTENCE, SPECIALS, UNKNOWN, VocabularyIndexer
from ..models.checkpoint import save_checkpoint
from ..models.mogrifier import LanguageModel, MogrifierConfig
from .key_map import MOGRIFIER
from .tensor_files import read_state_dict

PathLike = Union[str, Path]
State = Dict[str, Tensor]

EMBEDDING, DECODER, DECODER_BIAS = "encoder.weight", "decoder.weight", "decoder.bias"
_WRAPPER = "model."  # the network inside the class that trains it
_NEVER = -1e4  # the bias of a word that the model does not know: a probability of 0 in float32, and a float16 too
# How the special words may be spelled there. The end of a sentence is word 0 of the vocabularies that its code makes.
_SPELLINGS = {
    BEGIN_SENTENCE: (BEGIN_SENTENCE, "<s>", "<bos>"),
    END_SENTENCE: (END_SENTENCE, "</s>", "<eos>"),
    UNKNOWN: (UNKNOWN, "<unk>"),
}
_LSTM_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_LSTM = re.compile(rf"rnn\.({'|'.join(_LSTM_PARTS)})_l(\d+)")
_GATE = re.compile(r"mogrify\.layers\.(\d+)\..+")
_GATE_PARTS = ("Qw.weight", "Qw.bias", "Rw.weight", "Rw.bias")


class ConvertedMogrifier(NamedTuple):
    """What `convert_official_mogrifier` made.

    config (MogrifierConfig): Sizes read from the tensors.
    unused (List[str]): Tensors of the file that are no part of the model; left out.
    n_weights (int): Numbers of the model.
    has_unknown (bool): Whether the model has a word for unknown words. If not, they have probability 0.
    """

    config: MogrifierConfig
    unused: List[str]
    n_weights: int
    has_unknown: bool


def convert_official_mogrifier(
    state_dict: PathLike, output: PathLike, *, vocab: Optional[Sequence[str]] = None, lang: str = "en"
) -> ConvertedMogrifier:
    """Write a checkpoint directory from a state dict with the public names.

    state_dict (PathLike): `.safetensors`, or `.pt`, which is read without unpickling objects.
    output (PathLike): The checkpoint directory; replaced if it exists.
    vocab (Optional[Sequence[str]]): Words by id. None: the checkpoint takes ids, of which 1 is 0 there, the end of a
        sentence, and any other is higher by 2 than there.
    lang (str): Language of the words, as in `spacy.blank(lang)`.
    RETURNS (ConvertedMogrifier): Sizes found and tensors left out.
    RAISES: ValueError G226 for values that are not finite, G246 for a file that is not of this kind, G247 for a model
        without counterpart, G248 for wrong shapes, G249 and G016 for a vocabulary that does not fit; G201, G220 and
        G221 for files that cannot be read.
    """
    path = Path(state_dict)
    state = _with_both_tables({name.removeprefix(_WRAPPER): each for name, each in read_state_dict(path).items()})
    _check(state, path)
    rows, words = _place_words(vocab, len(state[EMBEDDING]), path)
    config = read_config(state, vocab_size=len(rows))
    model = LanguageModel(config)
    ours = _our_weights(state, rows, config)
    model.load_state_dict(ours)
    indexer = {} if words is None else VocabularyIndexer(words, lang=lang).config
    meta = {"source": "public PyTorch Mogrifier LSTM", "converted_from": path.name}
    save_checkpoint(output, model, indexer=indexer, vocab=words, meta=meta)
    known = {EMBEDDING, DECODER, DECODER_BIAS}
    unused = [name for name in state if name not in known and not _LSTM.fullmatch(name) and not MOGRIFIER.to_ours(name)]
    n_weights = sum(parameter.numel() for parameter in model.parameters())
    return ConvertedMogrifier(config, sorted(unused), n_weights, has_unknown=rows[SPECIALS.index(UNKNOWN)] is not None)


def read_config(state: State, *, vocab_size: int) -> MogrifierConfig:
    """Sizes from the shapes of the tensors.

    state (Dict[str, Tensor]): Public names, checked.
    vocab_size (int): Rows of our tables.
    RETURNS (MogrifierConfig): Dropout is 0, as no tensor tells it.
    """
    n_pairs = _n_pairs(state)
    return MogrifierConfig(
        vocab_size=vocab_size,
        embedding_width=state["rnn.weight_ih_l0"].shape[1],
        hidden_width=state["rnn.weight_hh_l0"].shape[1],
        n_layers=_n_layers(state),
        cell="mogrifier" if n_pairs else "lstm",
        rounds=2 * n_pairs,
        input_gate="free",
        forget_bias=0.0,
        outputs="top",
        tied=torch.equal(state[EMBEDDING], state[DECODER]),
    )


def _check(state: State, path: Path) -> None:
    """Names, then what they say of the model, then shapes, then values."""
    cell = [f"rnn.{part}_l{layer}" for layer in range(max(_n_layers(state), 1)) for part in _LSTM_PARTS]
    gates = [f"mogrify.layers.{pair}.{part}" for pair in range(_n_pairs(state)) for part in _GATE_PARTS]
    for name in (EMBEDDING, DECODER_BIAS, *cell, *gates):
        if name not in state:
            found = _some(sorted(state)) or "no tensors"
            raise ValueError(Errors.G246.format(path=path, name=name, found=found))
    for name in (EMBEDDING, "rnn.weight_ih_l0", "rnn.weight_hh_l0"):  # they tell the sizes
        if state[name].dim() != 2 or 0 in state[name].shape:
            found = f"{name} {tuple(state[name].shape)}, expected 2 axes without an empty one"
            raise ValueError(Errors.G248.format(path=path, shapes=found))
    if reason := _why_not(state):
        raise ValueError(Errors.G247.format(path=path, reason=reason))
    expected = _shapes(state)
    wrong = [
        f"{name} {tuple(state[name].shape)}, expected {shape}"
        for name, shape in expected.items()
        if tuple(state[name].shape) != shape or not state[name].is_floating_point()
    ]
    if wrong:
        raise ValueError(Errors.G248.format(path=path, shapes=_some(wrong)))
    broken = [name for name in expected if not bool(torch.isfinite(state[name]).all())]
    if broken:
        raise ValueError(Errors.G226.format(path=path, names=_some(broken)))


def _why_not(state: State) -> str:
    """What keeps a model from having a counterpart; empty: nothing."""
    n_layers, n_rows, width = _n_layers(state), len(state["rnn.weight_ih_l0"]), state["rnn.weight_hh_l0"].shape[-1]
    if others := [name for name in state if name.startswith("rnn.") and not _LSTM.fullmatch(name)]:
        return f"its recurrent layers have {_some(others)}, which no LSTM from left to right has"
    if n_rows in (width, 3 * width):
        return f"its cells are {'GRUs' if n_rows == 3 * width else 'plain RNNs'}, not LSTMs"
    if n_layers > 1 and _n_pairs(state):
        return f"its gates stand before a stack of {n_layers} layers, where one gated input cannot serve all of them"
    return ""


def _shapes(state: State) -> Dict[str, Tuple[int, ...]]:
    """What every tensor must be like, by the first of each width."""
    m, n, vocab = state["rnn.weight_ih_l0"].shape[-1], state["rnn.weight_hh_l0"].shape[-1], len(state[EMBEDDING])
    shapes: Dict[str, Tuple[int, ...]] = {EMBEDDING: (vocab, m), DECODER: (vocab, n), DECODER_BIAS: (vocab,)}
    for layer in range(_n_layers(state)):
        widths = ((4 * n, n if layer else m), (4 * n, n), (4 * n,), (4 * n,))
        shapes.update((f"rnn.{part}_l{layer}", shape) for part, shape in zip(_LSTM_PARTS, widths))
    for pair in range(_n_pairs(state)):
        shapes.update(
            (f"mogrify.layers.{pair}.{part}", shape) for part, shape in zip(_GATE_PARTS, ((m, n), (m,), (n, m), (n,)))
        )
    return shapes


def _our_weights(state: State, rows: Sequence[Optional[int]], config: MogrifierConfig) -> State:
    """Every parameter of our model."""
    ours = {
        "embedding.weight": _take_rows(state[EMBEDDING], rows, missing=0.0),
        "output.bias": _take_rows(state[DECODER_BIAS], rows, missing=_NEVER),
    }
    if not config.tied:
        ours["output.weight"] = _take_rows(state[DECODER], rows, missing=0.0)
    for layer in range(config.n_layers):
        theirs = {part: _our_gates(state[f"rnn.{part}_l{layer}"]) for part in _LSTM_PARTS}
        ours[f"body.layers.{layer}.input_weight"] = theirs["weight_ih"]
        ours[f"body.layers.{layer}.hidden_weight"] = theirs["weight_hh"]
        ours[f"body.layers.{layer}.bias"] = theirs["bias_ih"] + theirs["bias_hh"]
    ours.update((str(MOGRIFIER.to_ours(name)), state[name].float()) for name in state if _GATE.fullmatch(name))
    return ours


def _our_gates(theirs: Tensor) -> Tensor:
    """Input, forget, candidate, output there; input, candidate, forget, output here."""
    write, keep, candidate, read = theirs.float().chunk(4)
    return torch.cat([write, candidate, keep, read])


def _take_rows(table: Tensor, rows: Sequence[Optional[int]], *, missing: float) -> Tensor:
    """Rows by word in our order; words that are not there have the same number everywhere."""
    taken = table.float()[[row or 0 for row in rows]]  # (vocab, ...)
    taken[[row is None for row in rows]] = missing
    return taken


def _place_words(
    vocab: Optional[Sequence[str]], n_words: int, path: Path
) -> Tuple[List[Optional[int]], Optional[List[str]]]:
    """Where each of our words stands in their tables, None: nowhere; and our words, if there are any."""
    if vocab is None:
        return [None, 0, None, *range(1, n_words)], None
    place = {word: index for index, word in enumerate(vocab)}
    first: List[Optional[int]] = [
        next((place[spelling] for spelling in spellings if spelling in place), None)
        for spellings in _SPELLINGS.values()
    ]
    if len(vocab) != n_words or first[SPECIALS.index(END_SENTENCE)] is None:
        found = f"{len(vocab)}" if len(vocab) != n_words else "no such word"
        end = " or ".join(_SPELLINGS[END_SENTENCE])
        raise ValueError(Errors.G249.format(path=path, expected=n_words, end=end, found=found))
    rest = [index for index in range(n_words) if index not in first]
    return [*first, *rest], [*SPECIALS, *(vocab[index] for index in rest)]


def _with_both_tables(state: State) -> State:
    """A file that stores shared tensors once may hold a tied table under either name."""
    tables = {name: state[name] for name in (EMBEDDING, DECODER) if name in state}
    return {EMBEDDING: next(iter(tables.values())), DECODER: list(tables.values())[-1], **state} if tables else state


def _n_layers(state: State) -> int:
    return _count(_LSTM.fullmatch(name) for name in state)


def _n_pairs(state: State) -> int:
    return _count(_GATE.fullmatch(name) for name in state)


def _count(matches: Iterable[Optional["re.Match[str]"]]) -> int:
    """How many numbered parts there are: the highest number plus one, so that a gap shows as missing."""
    return max((int(match.groups()[-1]) + 1 for match in matches if match and len(match.groups()[-1]) < 4), default=0)


def _some(names: Sequence[str], *, shown: int = 8) -> str:
    """At most a few names, with the number of the others."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
