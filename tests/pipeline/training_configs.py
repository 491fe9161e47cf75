"""Training configs in small, written as Python, for tests of what is said about them."""

from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config

Section = Dict[str, Any]

SENTENCIZER: Section = {"factory": "sentencizer"}
CNN: Section = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 8,
    "depth": 1,
    "embed_size": 50,
    "window_size": 1,
    "maxout_pieces": 1,
    "subword_features": False,
    "pretrained_vectors": None,
}


def elmo(pretrained: str, **settings: Any) -> Section:
    return {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": pretrained, **settings}


def encoder(model: Section, *, factory: str = "tok2vec") -> Section:
    return {"factory": factory, "model": model}


def listener(upstream: str = "*", *, width: int = 8) -> Section:
    return {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": upstream}


def tagger(tok2vec: Section) -> Section:
    return {"factory": "tagger", "model": {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}}


def parser(tok2vec: Section) -> Section:
    sizes = {"extra_state_tokens": False, "hidden_width": 8, "maxout_pieces": 1, "use_upper": False}
    model = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "parser", **sizes, "tok2vec": tok2vec}
    return {"factory": "parser", "model": model}


def training_config(
    components: Section,
    *,
    frozen: Iterable[str] = (),
    annotating: Iterable[str] = (),
    corpus: Optional[Path] = Path("train.spacy"),
    **sections: Section,
) -> Config:
    """A config for `spacy train`: the components in this order, and two steps. No language: the quickest to build."""
    reader = {"@readers": "spacy.Corpus.v1", "path": str(corpus) if corpus else None}
    training = {
        "train_corpus": "corpora.train",
        "dev_corpus": "corpora.dev",
        "seed": 0,
        "gpu_allocator": None,
        "frozen_components": list(frozen),
        "annotating_components": list(annotating),
        "max_steps": 2,
        "eval_frequency": 2,
        "dropout": 0.0,
    }
    return Config(
        {
            "nlp": {"lang": "xx", "pipeline": list(components)},
            "components": components,
            "corpora": {"train": reader, "dev": reader},
            "training": training,
            "initialize": {},
            **sections,
        }
    )


def pipeline(config: Config) -> Language:
    return load_model_from_config(config, auto_fill=True)


def lines_of(message: str) -> List[Tuple[str, str]]:
    """The lines that a message says to add, as dotted names and values; none before the first empty line."""
    found, section = [], ""
    for line in message.partition("\n\n")[2].splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line:
            name, _, value = line.partition(" = ")
            found.append((f"{section}.{name}", value))
    return found
