"""Between Docs and networks: windows of tokens, batches of similar length, padding, and every way back.

This is the only place that pads. Networks never see whitespace tokens: they get no id, and their rows come back as
zeros, so that a space more or less changes no other token. A text is cut into windows by its own tokens, and sentences
where a network reads by sentence; each window is computed as if alone, so that a result depends neither on batch mates
nor on their order.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import torch
from spacy.tokens import Doc
from thinc.types import Floats3d
from thinc.util import get_array_module
from torch import Tensor

from ..errors import Errors
from ..indexers import WordIndexer
from .types import WindowIds

MAX_WINDOW = 400  # a text up to here is one window: more than nearly every paragraph, and training saw up to 200
LONG_WINDOW = 200  # windows of a longer text are as long as those in training ...
STRIDE = 100  # ... and overlap by half, so that each row has at least 50 tokens on either side within the text
MAX_TOKENS = 4096  # padded tokens per batch: enough to keep one core busy, little memory
MAX_CELLS = 1 << 20  # padded tokens squared per batch and graph: 4 MB of float32
ALWAYS_TOGETHER = 16  # windows up to this length share a batch whatever they waste


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a Doc that a network sees at once, and the rows of it that count. All positions are spaCy tokens.

    doc (int): Which Doc of the batch.
    start, end (int): The part of the Doc: `doc[start:end]`.
    row_start, row_end (int): The rows that count, within that part. Over a Doc's windows these follow each other from 0
        to `len(doc)`.
    tokens (ndarray): Positions of the tokens seen without whitespace, ascending. Shape: (seen,).
    """

    doc: int
    start: int
    end: int
    row_start: int
    row_end: int
    tokens: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Tokens the network sees."""
        return len(self.tokens)

    @property
    def counting(self) -> slice:
        """Which of the seen tokens have rows that count."""
        first, last = np.searchsorted(self.tokens, (self.row_start, self.row_end))
        return slice(int(first), int(last))


def doc_windows(
    docs: Sequence[Doc], *, sentences: str = "ignore", max_window: Optional[int] = MAX_WINDOW
) -> List[Window]:
    """Cut Docs into windows; a Doc of up to 400 tokens is one, an empty Doc is one empty window.

    docs (Sequence[Doc]): Any lengths. Whitespace tokens are not counted.
    sentences (str): "ignore": the whole Doc is cut. "use": each sentence is cut as if it were a Doc; a Doc without
        sentence boundaries is one sentence. "require": the same, but such a Doc is an error.
    max_window (Optional[int]): What is longer is cut. None: nothing is.
    RETURNS (List[Window]): In the order of the Docs, at least one each. A longer Doc has windows of 200 tokens that
        start every 100, the last one ending with the text; each row counts in the window where it is most central.
    RAISES: ValueError G162 if sentence boundaries are required and missing.
    """
    windows = []
    for index, doc in enumerate(docs):
        tokens = np.flatnonzero(doc.to_array("IS_SPACE") == 0)  # (seen,)
        for start, end in pairwise(_sentence_bounds(doc, sentences)):
            first, last = np.searchsorted(tokens, (start, end))
            windows += _cut(tokens[first:last], index, (start, end), max_window)
    return windows


def window_ids(docs: Sequence[Doc], windows: Sequence[Window], indexer: WordIndexer) -> WindowIds:
    """The ids of the tokens each window sees; a Doc's words are looked up once, however many windows share them."""
    ids = [_doc_ids(doc, indexer) for doc in docs]
    return [ids[window.doc][window.tokens] for window in windows]


def length_batches(
    lengths: Sequence[int], *, max_tokens: int = MAX_TOKENS, max_cells: int = MAX_CELLS
) -> Iterator[List[int]]:
    """Group sequences of similar length, longest first, within bounds on padded size.

    lengths (Sequence[int]): Sequences of length 0 are in no batch.
    max_tokens (int): Sequences times longest, at most; a single sequence may be longer.
    max_cells (int): Sequences times longest squared, at most; bounds the memory of graphs.
    YIELDS (List[int]): Indices into `lengths`. More than half of a sequence's places are real, unless it is tiny.
    """
    batch: List[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0]] if batch else 0
        is_full = (len(batch) + 1) * longest > max_tokens or (len(batch) + 1) * longest**2 > max_cells
        is_wasteful = longest > max(2 * lengths[index], ALWAYS_TOGETHER)
        if batch and (is_full or is_wasteful or lengths[index] == 0):
            yield batch
            batch = []
        if lengths[index] > 0:
            batch.append(index)
    if batch:
        yield batch


def pad_ids(ids: WindowIds) -> Tuple[Tensor, Tensor]:
    """Put sequences of ids side by side, padding at the right.

    ids (WindowIds): At least one sequence.
    RETURNS (Tuple[Tensor, Tensor]): Ids (int64, padding 0) and mask (bool, true = real token). Shape: (batch, seq).
    """
    mask = _mask_of([len(row) for row in ids])  # (batch, seq)
    padded = np.zeros(mask.shape, dtype=np.int64)
    padded[mask] = np.concatenate(ids)
    return torch.from_numpy(padded), torch.from_numpy(mask)


def pad_windows(windows: Sequence[Window], *, first_rows: Optional[Sequence[int]] = None) -> Tuple[Tensor, Tensor]:
    """Where each place of a padded batch belongs: the way back, and with autograd the way of the gradient.

    `rows[positions]` hands each window the rows of its tokens; `rows[positions[is_kept]] = padded[is_kept]` gives each
    token its row, once, from the window where it counts. Rows of whitespace are never touched.

    windows (Sequence[Window]): The windows of the batch, in order.
    first_rows (Optional[Sequence[int]]): Row of each Doc's first token where the rows of all Docs stand one after the
        other. None: positions count from the start of each window's own Doc.
    RETURNS (Tuple[Tensor, Tensor]): Positions (int64, at padding a valid one) and whether the row counts (bool).
        Shape: (batch, seq).
    """
    offsets = [0 if first_rows is None else first_rows[window.doc] for window in windows]
    positions, _ = pad_ids([window.tokens + offset for window, offset in zip(windows, offsets)])  # (batch, seq)
    is_kept = torch.zeros_like(positions, dtype=torch.bool)
    for place, window in zip(is_kept, windows):
        place[window.counting] = True
    return positions, is_kept


def expand_graphs(graphs: Floats3d, window: Window) -> Floats3d:
    """Give whitespace tokens of a window empty rows and columns.

    graphs (Floats3d): Over the seen tokens. Shape: (graphs, seen, seen).
    RETURNS (Floats3d): Over the window's spaCy tokens. Shape: (graphs, end - start, end - start).
    """
    n_tokens = window.end - window.start
    if n_tokens == len(window):
        return graphs.copy()  # not a view, which would hold the whole batch in memory
    xp = get_array_module(graphs)
    seen = xp.asarray(window.tokens - window.start)
    expanded = xp.zeros((len(graphs), n_tokens, n_tokens), dtype=graphs.dtype)
    expanded[:, seen[:, None], seen] = graphs
    return expanded


def _sentence_bounds(doc: Doc, sentences: str) -> List[int]:
    """Where sentences begin, and the end of the Doc; at least one sentence, which may be empty."""
    if sentences == "ignore":
        return [0, len(doc)]
    if not doc.has_annotation("SENT_START"):
        if sentences == "require":
            raise ValueError(Errors.G162.format(text=doc.text[:40]))
        return [0, len(doc)]
    return [0, *(sentence.start for sentence in doc.sents if sentence.start), len(doc)]


def _cut(tokens: npt.NDArray[np.int64], index: int, bounds: Tuple[int, int], max_window: Optional[int]) -> List[Window]:
    """The windows of a part of a Doc, of which the network sees `tokens`."""
    if max_window is None or len(tokens) <= max_window:
        return [Window(index, *bounds, *bounds, tokens)]
    starts = [*range(0, len(tokens) - LONG_WINDOW, STRIDE), len(tokens) - LONG_WINDOW]  # positions in `tokens`
    # A row belongs to the window whose centre is nearest; halfway between two centres begins the later one's share.
    shares = [(first + second + LONG_WINDOW) // 2 for first, second in pairwise(starts)]
    row_bounds = [bounds[0], *(int(tokens[share]) for share in shares), bounds[1]]  # positions in the Doc
    windows = []
    for start, (row_start, row_end) in zip(starts, pairwise(row_bounds)):
        seen = tokens[start : start + LONG_WINDOW]
        first, last = min(int(seen[0]), row_start), max(int(seen[-1]) + 1, row_end)  # whitespace at the text's ends
        windows.append(Window(index, first, last, row_start, row_end, seen))
    return windows


def _doc_ids(doc: Doc, indexer: WordIndexer) -> npt.NDArray[np.int64]:
    """One id per spaCy token, each distinct form looked up once. Whitespace has an id too, but no window sees it."""
    forms, places = np.unique(doc.to_array("ORTH"), return_inverse=True)
    strings = doc.vocab.strings
    return indexer.ids(strings[form] for form in forms.tolist())[places]


def _mask_of(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """True where there is a token. Shape: (batch, longest)."""
    return np.arange(max(lengths)) < np.asarray(lengths)[:, None]
