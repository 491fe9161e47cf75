"""Mistakes in training configs that cost an afternoon, as a table: each with what is to be said of it."""

from typing import Any, Callable, Dict, List, NamedTuple

from thinc.api import Config

from .training_configs import CNN, SENTENCIZER, elmo, encoder, listener, parser, tagger, training_config

Section = Dict[str, Any]


def mix(tok2vec: Section, n_layers: int) -> Section:
    return {"@architectures": "glomo_spacy.ScalarMix.v1", "n_layers": n_layers, "tok2vec": tok2vec}


def concat(**tok2vecs: Section) -> Section:
    return {"@architectures": "glomo_spacy.Concat.v1", "tok2vecs": tok2vecs}


def elmo_and_tagger(path: str, **settings: Any) -> Dict[str, Section]:
    return {"elmo": encoder(elmo(path, **settings), factory="elmo"), "tagger": tagger(listener("elmo"))}


class Mistake(NamedTuple):
    """A config with one mistake.

    config (Callable[[str], Config]): Makes it from the directory of a biLM of width 8 with three layers.
    messages (List[str]): A pattern for each message, in order.
    """

    config: Callable[[str], Config]
    messages: List[str]


MISTAKES: Dict[str, Mistake] = {
    "two encoders and the wrong one in between": Mistake(
        lambda path: training_config(
            {"a": encoder(elmo(path)), "b": encoder(CNN), "tagger": tagger(concat(a=listener("a"), b=CNN))}
        ),
        [
            r"G188.*'tagger' listens to 'a'.*the vectors of 'b'.*overwrites doc\.tensor.*"
            r'\n\[nlp\]\npipeline = \["a", "tagger", "b"\]$'
        ],
    ),
    "an encoder behind its listener": Mistake(
        lambda path: training_config({"tagger": tagger(listener("a")), "a": encoder(elmo(path))}),
        [r"G189.*'tagger' listens to 'a'.*before it \(encoders there: \[\]\).*\npipeline = \[\"a\", \"tagger\"\]$"],
    ),
    "an encoder of another name": Mistake(
        lambda path: training_config(
            {"encoder": encoder(elmo(path)), "tagger": tagger(concat(one=listener("tok2vec")))}, annotating=["encoder"]
        ),
        [
            r"G189.*listens to 'tok2vec'.*\['encoder'\].*"
            r'\n\[components\.tagger\.model\.tok2vec\.tok2vecs\.one\]\nupstream = "encoder"$'
        ],
    ),
    "no encoder at all": Mistake(
        lambda path: training_config({"tagger": tagger(listener(width=96))}),
        [
            r"G189.*listens to '\*', but no encoder.*there: \[\]\).*\npipeline = \[\"tok2vec\", \"tagger\"\]\n\n"
            r'\[components\.tok2vec\]\nfactory = "tok2vec"$'
        ],
    ),
    "a width that is too small": Mistake(
        lambda path: training_config(
            {"elmo": encoder(elmo(path), factory="elmo"), "tagger": tagger(concat(a=CNN, b=listener("elmo", width=6)))}
        ),
        [
            r"G194.*width 6, but 'elmo' gives rows of width 8.*"
            r"\n\[components\.tagger\.model\.tok2vec\.tok2vecs\.b\]\nwidth = 8$"
        ],
    ),
    "a frozen encoder that does not annotate": Mistake(
        lambda path: training_config(elmo_and_tagger(path), frozen=["elmo"]),
        [
            r"G193.*'tagger' reads the vectors of 'elmo' from the Doc, since 'elmo' is frozen.*"
            r'\n\[training\]\nannotating_components = \["elmo"\]$'
        ],
    ),
    "an annotating parser on an encoder that does not annotate": Mistake(
        lambda path: training_config(
            {
                "tok2vec": encoder(CNN),
                "parser": parser(listener("tok2vec")),
                **elmo_and_tagger(path, sentences="require"),
            },
            annotating=["parser"],
        ),
        [r"G193.*'parser' reads the vectors of 'tok2vec'.*since 'parser' annotates.* = \[\"tok2vec\", \"parser\"\]$"],
    ),
    "no sentences in training": Mistake(
        lambda path: training_config({"sentencizer": SENTENCIZER, **elmo_and_tagger(path)}),
        [r"G169.*'elmo' reads by sentence, which 'sentencizer' sets.*\"ignore\".* = \[\"sentencizer\"\]$"],
    ),
    "no sentences in training where they are required": Mistake(
        lambda path: training_config({"sentencizer": SENTENCIZER, "tagger": tagger(elmo(path, sentences="require"))}),
        [r"G196.*'tagger' insists.*which 'sentencizer' sets .* but not in training.* = \[\"sentencizer\"\]$"],
    ),
    "no sentences at all where they are required": Mistake(
        lambda path: training_config(
            {"tok2vec": encoder(concat(a=CNN, b=elmo(path, sentences="require"))), "tagger": tagger(listener(width=16))}
        ),
        [
            r"G196.*'tok2vec' insists.*no component before it sets.*"
            r'\npipeline = \["sentencizer", "tok2vec", "tagger"\]\n\n\[components\.sentencizer\]\n'
            r'factory = "sentencizer"\n\n\[training\]\nannotating_components = \["sentencizer"\]$'
        ],
    ),
    "a frozen encoder behind a sentencizer, and neither annotates": Mistake(
        lambda path: training_config({"sentencizer": SENTENCIZER, **elmo_and_tagger(path)}, frozen=["elmo"]),
        [r"G193.*'elmo'.* = \[\"sentencizer\", \"elmo\"\]$", r"G169.*'sentencizer'.* = \[\"sentencizer\", \"elmo\"\]$"],
    ),
    "a frozen encoder with a part that has no weights": Mistake(
        lambda path: training_config(
            {"tok2vec": encoder(concat(a=CNN, b=elmo(path))), "tagger": tagger(listener("tok2vec", width=16))},
            frozen=["tok2vec"],
            annotating=["tok2vec"],
        ),
        [r"G195.*'tok2vec' is frozen.*no weights: hashembed, maxout, .*\n\[training\]\nfrozen_components = \[\]$"],
    ),
    "a frozen mixture without weights": Mistake(
        lambda path: training_config(
            {"tok2vec": encoder(mix(elmo(path, layers="all"), 3)), "tagger": tagger(listener("tok2vec"))},
            frozen=["tok2vec"],
            annotating=["tok2vec"],
        ),
        [r"G195.*no weights: scalar_mix\."],
    ),
    "frozen graphs that nothing was put around yet": Mistake(
        lambda path: training_config(
            {
                "tok2vec": encoder(
                    {
                        "@architectures": "glomo_spacy.GraphTransfer.v1",
                        "tok2vec": elmo(path),
                        "graph": {"@architectures": "glomo_spacy.UniformGraph.v1"},
                    }
                ),
                "tagger": tagger(listener("tok2vec", width=16)),
            },
            frozen=["tok2vec"],
            annotating=["tok2vec"],
        ),
        [r"G195.*no weights: transfer\."],
    ),
    "a name that annotates and is none": Mistake(
        lambda path: training_config(elmo_and_tagger(path), annotating=["ELMo"]),
        [r"G198.*'ELMo', which is no component.*Components: \['elmo', 'tagger'\].*\nannotating_components = \[\]$"],
    ),
}
