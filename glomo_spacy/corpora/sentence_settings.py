"""The settings of a corpus of sentences, and the tokeniser that follows from them."""

from dataclasses import dataclass
from functools import partial
from typing import Callable, Optional

from ..errors import Errors
from .sentence_cutting import SentenceTokenizer, WhiteSpaceTokenizer
from .settings import check_settings
from .tokenizing import Tokenizer


@dataclass(frozen=True)
class SentenceSettings:
    """What a corpus of sentences depends on besides its text.

    lang (str): Language of the tokeniser, as for `spacy.blank`; of tokenised text, the language it is in.
    tokenized (bool): The text has one sentence per line, with white space between its tokens.
    unknown (Optional[str]): A token of tokenised text that stands for unknown words, such as `<unk>` in WikiText-2 and
        PTB, and becomes `<UNK>`. None: there is none.
    headings (bool): Keep lines of raw text that begin and end with "=" as sentences. They are no sentences.
    max_tokens (Optional[int]): Cut sentences after so many tokens. None: however long.
    documents (Optional[str]): What separates documents, which are held out whole: "blank-line", "line" or "file".
        None: "line" in tokenised text, else "blank-line".
    max_words (Optional[int]): Words kept, `<S>`, `</S>` and `<UNK>` not counted. Published: 793,468. None: all.
    min_count (int): Words that are rarer in the training split are unknown to the softmax.
    alphabet (Optional[int]): Learn so many characters from the training split. None: a model reads bytes.
    dev_fraction (float): Share of documents held out, at least one if above 0. 0 to below 1.
    dev_documents (Optional[int]): Held-out documents by number, in place of the share.
    shuffle (bool): Write the sentences in random order. Training shuffles shards, and sentences in them, anyway.
    seed (int): Decides which documents are held out, and the order. At least 0.
    shard_tokens (int): Tokens per shard, about: a sentence is never divided.
    RAISES: G908 (ValueError) for a value outside its range.
    """

    lang: str = "en"
    tokenized: bool = False
    unknown: Optional[str] = None
    headings: bool = False
    max_tokens: Optional[int] = None
    documents: Optional[str] = None
    max_words: Optional[int] = 100_000
    min_count: int = 1
    alphabet: Optional[int] = None
    dev_fraction: float = 0.005
    dev_documents: Optional[int] = None
    shuffle: bool = False
    seed: int = 0
    shard_tokens: int = 10_000_000

    def __post_init__(self) -> None:
        check_settings(self, at_least={"max_tokens": 1, "alphabet": 1})
        if self.unknown is not None and not self.tokenized:  # spaCy would cut `<unk>` into pieces
            raise ValueError(Errors.G908.format(name="unknown", expected="left out of raw text", value=self.unknown))

    @property
    def document_mark(self) -> str:
        """What separates documents, decided."""
        return self.documents or ("line" if self.tokenized else "blank-line")

    @property
    def tokenizer(self) -> Callable[[], Tokenizer]:
        """What makes the tokeniser."""
        if self.tokenized:
            return partial(WhiteSpaceTokenizer, max_tokens=self.max_tokens)
        return partial(SentenceTokenizer, self.lang, max_tokens=self.max_tokens)
