"""Contextual vectors of tokens in plain Python: `glomo_spacy.Embedder("elmo_en_sm").encode(token_lists)`."""

from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Literal, Optional, Sequence, Union

from .errors import Errors

if TYPE_CHECKING:
    import numpy
    import numpy.typing as npt

    Floats = npt.NDArray[numpy.float32]

PRETRAINED = "elmo_en_sm"
STATES = ("zero", "carry")
CHUNK_TOKENS = 8192  # a call this large finds most repeated words, and holds 100 MB of the largest model's vectors

Layer = Union[None, int, Literal["mean"]]


class Embedder:
    """A biLM with its weights that turns token lists into arrays. It needs no spaCy pipeline and is never trained.

    name_or_directory (str): A packaged name, or a checkpoint directory written by `pretrain` or `convert`.
    state (str): "zero": each sentence starts afresh, so equal sentences have equal vectors. "carry": as bilm-tf, where
        sentence i of a call goes on from the LSTM states of sentence i of the call before; see `reset`.
    device (str): torch device, e.g. "cpu" or "cuda:0".
    RAISES: G046 (FileNotFoundError) if there is neither such a name nor directory; G100 (ValueError) for another state;
        G203 (ValueError) for a checkpoint of another kind; else as `load_checkpoint`.
    """

    def __init__(self, name_or_directory: str = PRETRAINED, *, state: str = "zero", device: str = "cpu") -> None:
        if state not in STATES:
            raise ValueError(Errors.G100.format(name="state", value=state, options=", ".join(STATES)))
        self.directory = find_model(name_or_directory)
        self.state = state
        self.device = device
        self.model = _load_bilm(self.directory).to(device)

    @property
    def n_layers(self) -> int:
        """Layers of vectors: those of the LSTMs, and layer 0, the words without context."""
        return int(self.model.config.n_layers) + 1

    @property
    def width(self) -> int:
        """Numbers per token and layer."""
        return int(self.model.width)

    def encode(self, token_lists: Iterable[Sequence[str]], *, layer: Layer = None) -> "List[Floats]":
        """Vectors of each token in its sentence.

        token_lists (Iterable[Sequence[str]]): Sentences as lists of tokens, without boundary symbols. Any may be empty.
        layer (Layer): None: all layers. A number: one of them, 0 the words without context, -1 the topmost. "mean":
            the average of all.
        RETURNS (List[Floats]): For each sentence its vectors. Shape: (layers, tokens, width) for all layers, else
            (tokens, width).
        RAISES: G044 or G045 (ValueError) for what is no list of tokens; G100 (ValueError) for a layer that is not
            there.
        """
        sentences = [_checked(sentence, place) for place, sentence in enumerate(token_lists)]
        self.check_layer(layer)
        return [self.pick(array, layer) for array in self.model.layers(sentences, state=self.state)]

    def stream(
        self, token_lists: Iterable[Sequence[str]], *, layer: Layer = None, chunk_tokens: int = CHUNK_TOKENS
    ) -> "Iterator[Floats]":
        """As `encode`, for any amount of text: sentences are read and vectors given as one goes.

        With `state="carry"` all sentences are one text, each going on from the one before.

        chunk_tokens (int): Tokens encoded at a time, about. More are faster and take more memory.
        YIELDS (Floats): The vectors of each sentence, in the order of the sentences.
        """
        self.check_layer(layer)
        for chunk in self._chunks(token_lists, chunk_tokens=chunk_tokens):
            for array in self.model.layers(chunk, state=self.state):
                yield self.pick(array, layer)

    def reset(self) -> None:
        """Forget the states that were carried, and the vectors of words seen so far."""
        self.model.reset_state()
        self.model.cache.clear()

    def _chunks(self, token_lists: Iterable[Sequence[str]], *, chunk_tokens: int) -> Iterator[List[List[str]]]:
        chunk: List[List[str]] = []
        size = 0
        for place, sentence in enumerate(token_lists):
            chunk.append(_checked(sentence, place))
            size += len(chunk[-1]) + 2  # with its boundaries, so that empty sentences count
            if size >= chunk_tokens or self.state == "carry":
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def check_layer(self, layer: Layer) -> None:
        """See that a layer is there, before time is spent. RAISES: G100 (ValueError) if it is not."""
        is_number = isinstance(layer, int) and not isinstance(layer, bool)
        if layer in (None, "mean") or (is_number and -self.n_layers <= int(layer or 0) < self.n_layers):
            return
        options = f"0 (words without context) to {self.n_layers - 1}, -1 (the topmost), mean, or None for all"
        raise ValueError(Errors.G100.format(name="layer", value=layer, options=options))

    @staticmethod
    def pick(array: "Floats", layer: Layer) -> "Floats":
        """One layer of all, or their mean.

        array (Floats): Shape: (layers, tokens, width).
        layer (Layer): As for `encode`.
        RETURNS (Floats): Shape: (tokens, width); for None the array itself.
        """
        if layer is None:
            return array
        picked: Floats = array.mean(axis=0) if layer == "mean" else array[layer]
        return picked


def find_model(name_or_directory: str) -> Any:
    """The checkpoint directory of a packaged name or path.

    RAISES: G046 (FileNotFoundError) if there is no such directory.
    """
    from .architectures.pretrained import find_pretrained, packaged_names

    try:
        return find_pretrained(str(name_or_directory))
    except FileNotFoundError:
        packaged = ", ".join(packaged_names()) or "none in this installation"
        raise FileNotFoundError(Errors.G046.format(value=str(name_or_directory), packaged=packaged)) from None


def _load_bilm(directory: Any) -> Any:
    from .models.checkpoint import build_model, read_checkpoint

    checkpoint = read_checkpoint(directory)
    if checkpoint.kind != "elmo":
        raise ValueError(Errors.G203.format(path=directory, found=checkpoint.kind, expected="elmo"))
    return build_model(checkpoint, source=str(directory)).requires_grad_(False)


def _checked(sentence: Any, place: int) -> List[str]:
    """A sentence as a list of strings; a text that was not split is named before it becomes a list of letters."""
    if isinstance(sentence, (str, bytes)) or not isinstance(sentence, Iterable):
        raise ValueError(Errors.G044.format(place=place, value=_short(sentence)))
    tokens = list(sentence)
    for position, token in enumerate(tokens):
        if not isinstance(token, str):
            raise ValueError(Errors.G045.format(position=position, place=place, kind=type(token).__name__))
    return tokens


def _short(value: Optional[Any]) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
