"""Text as lists of tokens, for the commands that give vectors: tokenised lines as they are, or raw text by spaCy."""

from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List

import numpy as np

if TYPE_CHECKING:
    from ..corpora.text_files import TextFile

_BLOCK = 1000  # lines tokenised at a time


def read_sentences(
    files: "Iterable[TextFile]", *, raw: bool, lang: str, progress: Callable[[int], Any] = lambda n_bytes: None
) -> Iterator[List[str]]:
    """Sentences in the order of the text.

    files (Iterable[TextFile]): As `find_text_files` gives them.
    raw (bool): False: each line is a sentence, its tokens separated by white space; an empty line is an empty sentence,
        so that sentences have the numbers of lines. True: lines are tokenised and cut into sentences by spaCy.
    lang (str): Language of the tokeniser, for raw text.
    progress (Callable[[int], Any]): Called with the number of bytes of each line that was read.
    YIELDS (List[str]): Tokens.
    RAISES: G008 (ValueError) if spaCy has no such language.
    """
    from ..corpora.text_files import read_every_line, read_lines

    if raw:
        yield from cut_sentences(_counted((line for line, _ in read_lines(files)), progress), lang=lang)
        return
    for file in files:
        yield from map(str.split, _counted(read_every_line(file), progress))


def cut_sentences(lines: Iterable[str], *, lang: str) -> Iterator[List[str]]:
    """Tokenise raw text and cut it into sentences, as `prepare --format sentences` does.

    lines (Iterable[str]): A sentence ends with its line at the latest.
    lang (str): Language code, as for `spacy.blank`.
    YIELDS (List[str]): The tokens of each sentence without those that are white space; none is empty.
    RAISES: G008 (ValueError) if spaCy has no such language.
    """
    from ..corpora.sentence_cutting import SentenceTokenizer
    from ..corpora.tokenizing import Chunk

    tokenizer = SentenceTokenizer(lang)
    waiting = iter(lines)
    while block := list(islice(waiting, _BLOCK)):
        chunk = tokenizer(Chunk(block, begins=[True] * len(block)))
        for words in np.split(np.asarray(chunk.types, dtype=object)[chunk.tokens], chunk.ends[:-1]):
            if len(words):
                yield words.tolist()


def _counted(lines: Iterable[str], progress: Callable[[int], Any]) -> Iterator[str]:
    for line in lines:
        yield line
        progress(len(line.encode("utf8")) + 1)
