"""A component that annotates Docs by a frozen network: what `glomo_graph` and `mogrifier_lm` share."""

from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence, TypeVar, Union

from spacy import util
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

SelfT = TypeVar("SelfT", bound="AnnotatingPipe")


class AnnotatingPipe(Pipe):
    """It annotates only: `nlp.update` never trains it and `nlp.initialize` leaves it as it is.

    Its weights are stored with the pipeline, which then needs neither name nor path of a checkpoint. A subclass says
    what is predicted for Docs and how that is stored on them.

    vocab (Vocab): The pipeline's vocabulary.
    model (Model): Whose shim holds the network.
    name (str): Of the component.
    """

    def __init__(self, vocab: Vocab, model: Model, name: str) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name

    def predict(self, docs: Sequence[Doc]) -> Sequence[Any]:
        """One prediction per Doc; the Docs stay as they are."""
        raise NotImplementedError

    def set_annotations(self, docs: Sequence[Doc], predicted: Sequence[Any]) -> None:
        """Store each prediction on its Doc."""
        raise NotImplementedError

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one Doc.

        RAISES: ValueError G120 if there are no weights, through the error handler.
        """
        for annotated in self.pipe([doc], batch_size=1):
            return annotated
        return doc  # the error handler passed over a failure

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate a stream of Docs, those of similar length together. Order is kept."""
        handle_error = self.get_error_handler()
        for docs in util.minibatch(stream, size=batch_size):
            try:
                self.set_annotations(docs, self.predict(docs))
            except Exception as error:
                handle_error(self.name, self, docs, error)
            else:
                yield from docs

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Weights, vocabulary and sizes of the network as bytes.

        exclude (Iterable[str]): "model" leaves them out.
        """
        data: bytes = util.to_bytes({"model": self.model.to_bytes}, exclude)
        return data

    def from_bytes(self: SelfT, data: bytes, *, exclude: Iterable[str] = ()) -> SelfT:
        """Undo `to_bytes`: the stored network replaces this one.

        RAISES: ValueError G201 to G206 if the bytes are damaged or hold another kind of model.
        """
        util.from_bytes(data, {"model": self.model.from_bytes}, exclude)
        return self

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        """Write the directory that `from_disk` reads.

        exclude (Iterable[str]): "model" leaves the network out.
        """
        util.to_disk(path, {"model": self.model.to_disk}, exclude)

    def from_disk(self: SelfT, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> SelfT:
        """Undo `to_disk`: the stored network replaces this one.

        RAISES: ValueError G201 to G206 if the file is damaged or holds another kind of model.
        """

        def load_model(file: Path) -> None:
            self.model.from_disk(file)

        util.from_disk(path, {"model": load_model}, exclude)
        return self
