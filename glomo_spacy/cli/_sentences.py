"""Text as lists of tokens, for the commands that give vectors: tokenised lines as they are, or raw text by spaCy."""

from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, List

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
        cutter, lines = SentenceCutter(lang), _counted((line for line, _ in read_lines(files)), progress)
        while block := list(islice(lines, _BLOCK)):
            yield from cutter(*block)
        return
    for file in files:
        yield from map(str.split, _counted(read_every_line(file), progress))


class SentenceCutter:
    """Tokenise raw text and cut it into sentences, as `prepare --format sentences` does.

    lang (str): Language code, as for `spacy.blank`.
    RAISES: G008 (ValueError) if spaCy has no such language.
    """

    def __init__(self, lang: str) -> None:
        from ..corpora.sentence_cutting import SentenceTokenizer

        self._tokenizer = SentenceTokenizer(lang)

    def __call__(self, *lines: str) -> Iterator[List[str]]:
        """The tokens of each sentence without those that are white space; a sentence ends with its line at the latest.

        lines (str): Raw text.
        YIELDS (List[str]): Tokens, at least one.
        """
        from ..corpora.tokenizing import Chunk

        chunk = self._tokenizer(Chunk(list(lines), begins=[True] * len(lines)))
        types, ends = chunk.types, chunk.ends.tolist()
        for begin, end in zip([0, *ends], ends):
            if end > begin:
                yield [types[number] for number in chunk.tokens[begin:end]]


def _counted(lines: Iterable[str], progress: Callable[[int], Any]) -> Iterator[str]:
    for line in lines:
        yield line
        progress(len(line.encode("utf8")) + 1)
