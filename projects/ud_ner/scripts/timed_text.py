"""Raw text for `spacy pretrain --code scripts/timed_text.py` that ends when the processor time is up.

`spacy pretrain` counts epochs; to compare with another method at equal cost it must stop by the clock, be the text
short or long.
"""

import time
from functools import partial
from typing import Callable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry

from glomo_spacy.corpora.text_files import find_text_files, read_lines


@registry.readers("ud_ner.timed_text.v1")
def create_timed_text_reader_v1(
    text: str, *, seconds: float, min_length: int = 5, max_length: int = 500
) -> Callable[[Language], Iterator[Doc]]:
    """Read a text line by line, again and again.

    text (str): A file, or a pattern; UTF-8 text, or .jsonl with "text"; may be packed (.gz, .xz, .bz2).
    seconds (float): Processor time of the whole process, counted from the first line, > 0.
    min_length (int): Lines of fewer tokens are left out.
    max_length (int): Lines of more tokens are left out.
    RETURNS (Callable[[Language], Iterator[Doc]]): Gives each line as a Doc.
    RAISES: At the first call G004, G005 or G006 for a file that cannot be read.
    """
    return partial(_read_docs, text=text, seconds=seconds, min_length=min_length, max_length=max_length)


def _read_docs(nlp: Language, *, text: str, seconds: float, min_length: int, max_length: int) -> Iterator[Doc]:
    files = find_text_files([text])
    end = time.process_time() + seconds
    while time.process_time() < end:
        for line, _ in read_lines(files):
            doc = nlp.make_doc(line.strip())
            if min_length <= len(doc) <= max_length:
                yield doc
            if time.process_time() >= end:
                return
