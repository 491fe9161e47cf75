"""The text that `evaluate-lm` measures on: a split of a prepared corpus, or files."""

from pathlib import Path
from typing import TYPE_CHECKING, Optional, Sequence, Union

if TYPE_CHECKING:
    from ..corpora import SentenceCorpus, SentenceList

    Text = Union[SentenceCorpus, SentenceList]


def open_text(
    text: Sequence[str], *, split: str, raw: bool = False, lang: str = "en", unknown: Optional[str] = None
) -> "Text":
    """Open a text as sentences of ids of types.

    text (Sequence[str]): One directory that `prepare --format sentences` wrote; or files and patterns.
    split (str): Which part of a corpus.
    raw (bool): Files: let spaCy tokenise them and find the sentences. False: each line is a tokenised sentence.
    lang (str): Language of the tokeniser, for raw text.
    unknown (Optional[str]): Files: a token that stands for unknown words.
    RETURNS (Union[SentenceCorpus, SentenceList]): Both have `types` and `documents()`.
    RAISES: As `SentenceCorpus`, `find_text_files` and `read_sentences`.
    """
    from ..corpora import SentenceCorpus, SentenceList
    from ..corpora.text_files import find_text_files
    from ._sentences import read_sentences

    if is_corpus(text):
        return SentenceCorpus(text[0], split=split)
    return SentenceList(read_sentences(find_text_files(text), raw=raw, lang=lang), unknown=unknown)


def is_corpus(text: Sequence[str]) -> bool:
    """Whether a text is a directory, not files."""
    return len(text) == 1 and Path(text[0]).is_dir()
