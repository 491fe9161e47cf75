"""Text to token-id shards, and shards to training windows.

Names are resolved on first use: what prepares a corpus needs spaCy and no torch, windows and streams need torch and no
spaCy, `SquadCorpus` and `read_squad` neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bptt import EvalWindows, RandomWindows
    from .raw_text import prepare_corpus
    from .sentence_list import SentenceList
    from .sentence_shards import SentenceCorpus
    from .sentence_streams import EvalStreams, SentenceStreams
    from .sentences import prepare_sentences
    from .shards import ShardedCorpus
    from .squad_corpus import SquadCorpus
    from .squad_file import read_squad
    from .squad_prepare import prepare_squad
    from .text_streams import EvalTextStreams, RunningText, TextStreams

_HOMES = {
    "EvalStreams": ".sentence_streams",
    "EvalTextStreams": ".text_streams",
    "EvalWindows": ".bptt",
    "RandomWindows": ".bptt",
    "RunningText": ".text_streams",
    "SentenceCorpus": ".sentence_shards",
    "SentenceList": ".sentence_list",
    "SentenceStreams": ".sentence_streams",
    "ShardedCorpus": ".shards",
    "SquadCorpus": ".squad_corpus",
    "TextStreams": ".text_streams",
    "prepare_corpus": ".raw_text",
    "prepare_sentences": ".sentences",
    "prepare_squad": ".squad_prepare",
    "read_squad": ".squad_file",
}

__all__ = [
    "EvalStreams",
    "EvalTextStreams",
    "EvalWindows",
    "RandomWindows",
    "RunningText",
    "SentenceCorpus",
    "SentenceList",
    "SentenceStreams",
    "ShardedCorpus",
    "SquadCorpus",
    "TextStreams",
    "prepare_corpus",
    "prepare_sentences",
    "prepare_squad",
    "read_squad",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
