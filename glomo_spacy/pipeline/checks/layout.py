"""How a pipeline is put together: who writes vectors, who listens, and what its config says of training."""

from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.util import dot_to_object
from thinc.api import Model


class Layout:
    """A pipeline in order, components included that are switched off: `spacy train` does so with frozen ones at first.

    nlp (Language): The pipeline; it stays as it is.
    """

    def __init__(self, nlp: Language) -> None:
        self.nlp = nlp
        self.components: Dict[str, Any] = dict(nlp.components)
        self.names: List[str] = list(self.components)
        self.config = nlp.config.interpolate()
        training = self.config.get("training", {})
        self.frozen: List[str] = list(training.get("frozen_components", ()))
        self.annotating: List[str] = list(training.get("annotating_components", ()))

    @property
    def has_corpus(self) -> bool:
        """Whether its config says what to train on. A pipeline made in Python has no more than spaCy's defaults."""
        try:
            corpus = dot_to_object(self.config, self.config["training"]["train_corpus"])
        except KeyError:
            return False
        return not isinstance(corpus, dict) or corpus.get("path", "") is not None

    def model(self, name: str) -> Optional[Model]:
        """The model of a component, if it has one."""
        model = getattr(self.components[name], "model", None)
        return model if isinstance(model, Model) else None

    def before(self, name: str) -> List[str]:
        """The components that run before one, in order."""
        return self.names[: self.names.index(name)]

    def is_encoder(self, name: str) -> bool:
        """Whether listeners can listen to a component."""
        return isinstance(self.components[name], Tok2Vec)

    def writes_vectors(self, name: str) -> bool:
        """Whether a component sets `doc.tensor`."""
        return self.is_encoder(name) or "doc.tensor" in self._assigned(name)

    def sets_sentences(self, name: str) -> bool:
        """Whether a component says that it sets sentence boundaries."""
        return "token.is_sent_start" in self._assigned(name) or "doc.sents" in self._assigned(name)

    def says_what_it_sets(self, name: str) -> bool:
        """Whether a component declares anything. A function that was just registered may set whatever it likes."""
        return bool(self._assigned(name)) or self.model(name) is not None

    def listeners(self, name: str) -> List[Tok2VecListener]:
        """The listeners anywhere in the model of a component."""
        model = self.model(name)
        return [node for node in model.walk() if isinstance(node, Tok2VecListener)] if model else []

    def upstream(self, listener: Tok2VecListener, component: str) -> Optional[str]:
        """The encoder that a component's listener listens to; None if there is none before that component."""
        encoders = [name for name in self.before(component) if self.is_encoder(name)]
        named = encoders if listener.upstream_name == "*" else [n for n in encoders if n == listener.upstream_name]
        return named[-1] if named else None

    def upstreams(self, name: str) -> List[str]:
        """All encoders that a component listens to."""
        found = (self.upstream(listener, name) for listener in self.listeners(name))
        return list(dict.fromkeys(upstream for upstream in found if upstream is not None))

    def sections(self, name: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """Every section of a component's config under its dotted name."""
        yield from _sections(f"components.{name}", self.config["components"].get(name, {}))

    def in_order(self, names: Iterable[str]) -> List[str]:
        """Names in the order of the pipeline."""
        return sorted(names, key=self.names.index)

    def _assigned(self, name: str) -> List[str]:
        return list(self.nlp.get_pipe_meta(name).assigns)


def _sections(path: str, section: Dict[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    yield path, section
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _sections(f"{path}.{name}", value)
