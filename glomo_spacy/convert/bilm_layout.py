"""Which array of bilm-tf's HDF5 file holds which weights of ours, as a table that reads in both directions.

Source: allenai/bilm-tf `bilm/training.py` (`dump_weights`) and `bilm/model.py`. Every number is moved, none is computed
with: `B` holds no forget bias there and none here, so that a file written again has the bytes it came with.
"""

import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from ..models.elmo import ElmoConfig

Shape = Tuple[int, ...]


class Layout(NamedTuple):
    """How an array of theirs lies in tensors of ours, and back."""

    to_ours: Callable[[Tensor], List[Tensor]]
    to_theirs: Callable[[Sequence[Tensor]], Tensor]


SAME = Layout(lambda theirs: [theirs], lambda ours: ours[0])
TRANSPOSED = Layout(lambda theirs: [theirs.T], lambda ours: ours[0].T)
# There (1, width, char_width, number), here (number, char_width, width).
CONVOLUTION = Layout(lambda theirs: [theirs[0].permute(2, 1, 0)], lambda ours: ours[0].permute(2, 1, 0)[None])
# Rows for the layer's input, then as many for its previous output.
JOINED = Layout(lambda theirs: [half.T for half in theirs.chunk(2)], lambda ours: torch.cat([half.T for half in ours]))

Row = Tuple[str, Sequence[str], Layout]

# Their name, our names, layout; {i} counts filters or layers, {rnn} and {side} name the direction.
CHARACTERS: List[Row] = [("char_embed", ["token_encoder.embedding"], SAME)]
CONVOLUTIONS: List[Row] = [
    ("CNN/W_cnn_{i}", ["token_encoder.convolutions.{i}.weight"], CONVOLUTION),
    ("CNN/b_cnn_{i}", ["token_encoder.convolutions.{i}.bias"], SAME),
]
HIGHWAYS: List[Row] = [
    ("CNN_high_{i}/W_carry", ["token_encoder.highways.{i}.carry.weight"], TRANSPOSED),
    ("CNN_high_{i}/b_carry", ["token_encoder.highways.{i}.carry.bias"], SAME),
    ("CNN_high_{i}/W_transform", ["token_encoder.highways.{i}.transform.weight"], TRANSPOSED),
    ("CNN_high_{i}/b_transform", ["token_encoder.highways.{i}.transform.bias"], SAME),
]
PROJECTION: List[Row] = [
    ("CNN_proj/W_proj", ["token_encoder.projection.weight"], TRANSPOSED),
    ("CNN_proj/b_proj", ["token_encoder.projection.bias"], SAME),
]
WORDS: List[Row] = [("embedding", ["token_encoder.weight"], SAME)]
_CELL = "RNN_{rnn}/RNN/MultiRNNCell/Cell{i}/LSTMCell"
CELLS: List[Row] = [
    (_CELL + "/W_0", ["{side}.layers.{i}.input_weight", "{side}.layers.{i}.hidden_weight"], JOINED),
    (_CELL + "/B", ["{side}.layers.{i}.bias"], SAME),
    (_CELL + "/W_P_0", ["{side}.layers.{i}.projection"], TRANSPOSED),
]
SIDES = ("forward_lm", "backward_lm")

_OF_A_BILM = re.compile(r"char_embed|embedding|CNN/.*|CNN_high_\d+/.*|CNN_proj/.*|RNN_[01]/.*")
# bilm-tf writes a model of one layer without the number of its only cell.
_ONLY_CELL = re.compile(r"^(RNN_[01]/RNN)/LSTMCell/")


class Variable(NamedTuple):
    """One array of a file, and the tensors of ours it holds."""

    name: str
    ours: List[str]
    layout: Layout

    def from_ours(self, state: Mapping[str, Tensor]) -> Tensor:
        """The array, from our tensors; from tensors on the meta device only its shape, without memory."""
        return self.layout.to_theirs([state[name] for name in self.ours])

    def to_ours(self, array: Tensor) -> Dict[str, Tensor]:
        """Our tensors by name."""
        return {name: part.contiguous() for name, part in zip(self.ours, self.layout.to_ours(array))}


def variables(config: ElmoConfig) -> List[Variable]:
    """Every array of a biLM of these sizes."""
    return list(_variables(config))


def _variables(config: ElmoConfig) -> Iterator[Variable]:
    if config.token_encoder == "words":
        yield from _fill(WORDS)
    else:
        yield from _fill(CHARACTERS)
        for i in range(len(config.filters)):
            yield from _fill(CONVOLUTIONS, i=i)
        for i in range(config.n_highway):
            yield from _fill(HIGHWAYS, i=i)
        if config.n_filters != config.projection_width:
            yield from _fill(PROJECTION)
    for rnn, side in enumerate(SIDES if config.directions == "both" else SIDES[:1]):
        for i in range(config.n_layers):
            yield from _fill(CELLS, rnn=rnn, side=side, i=i)


def _fill(rows: Sequence[Row], **fields: Any) -> Iterator[Variable]:
    for theirs, ours, layout in rows:
        yield Variable(theirs.format(**fields), [name.format(**fields) for name in ours], layout)


def first_arrays(config: ElmoConfig) -> Dict[str, int]:
    """The arrays from which sizes are read, with their numbers of axes."""
    tables = {"char_embed": 2, "CNN/W_cnn_0": 4} if config.token_encoder == "characters" else {"embedding": 2}
    return {**tables, _CELL.format(rnn=0, i=0) + "/W_P_0": 2}


def usual_name(name: str) -> str:
    """An array's name as bilm-tf reads it."""
    return _ONLY_CELL.sub(r"\1/MultiRNNCell/Cell0/LSTMCell/", name)


def is_of_a_bilm(name: str) -> bool:
    """Whether an array of this name may be part of a biLM."""
    return _OF_A_BILM.fullmatch(name) is not None


def options_from_shapes(shapes: Mapping[str, Shape]) -> Dict[str, Any]:
    """What the shapes of arrays tell of options.json, by the full name of each option.

    shapes (Mapping[str, Shape]): By usual name. Arrays that are missing tell nothing.
    """
    first_cell = _CELL.format(rnn=0, i=0)
    facts: Dict[str, Any] = {}
    if len(projection := shapes.get(f"{first_cell}/W_P_0", ())) == 2:
        facts["lstm.dim"], facts["lstm.projection_dim"] = projection
        facts["lstm.n_layers"] = _count(shapes, r"RNN_0/RNN/MultiRNNCell/Cell(\d+)/.*")
    if any(name.startswith("RNN_1/") for name in shapes):
        facts["bidirectional"] = True
    if len(table := shapes.get("char_embed", ())) == 2:
        facts["char_cnn.embedding.dim"] = table[1]
        facts["char_cnn.n_highway"] = _count(shapes, r"CNN_high_(\d+)/.*")
        kernels = [shapes.get(f"CNN/W_cnn_{i}", ()) for i in range(_count(shapes, r"CNN/W_cnn_(\d+)"))]
        if kernels and all(len(kernel) == 4 for kernel in kernels):
            facts["char_cnn.filters"] = [[kernel[1], kernel[3]] for kernel in kernels]
    if len(words := shapes.get("embedding", ())) == 2:
        facts["n_tokens_vocab"] = words[0]
    return facts


def n_parameters(config: ElmoConfig) -> int:
    """Numbers that a biLM's vectors depend on, by the formulas, so that even impossible sizes cost nothing."""
    width, cell = config.projection_width, config.cell_width
    n_directions = 2 if config.directions == "both" else 1
    layers = n_directions * config.n_layers * (8 * width * cell + 4 * cell + cell * width)
    if config.token_encoder == "words":
        return layers + (config.vocab_size or 0) * width
    filters = config.n_filters
    encoder = (config.n_characters - 1) * config.char_width + config.n_highway * 2 * (filters + 1) * filters
    encoder += sum((span * config.char_width + 1) * count for span, count in config.filters)
    return layers + encoder + (filters + 1) * width * (filters != width)


def _count(names: Mapping[str, Shape], pattern: str) -> int:
    """One more than the highest number, so that a gap shows as missing."""
    found = (re.fullmatch(pattern, name) for name in names)
    return max((int(match[1]) + 1 for match in found if match and len(match[1]) < 4), default=0)
