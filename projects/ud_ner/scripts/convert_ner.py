"""Token and tag a line, as WNUT-17 has it, in spaCy's format: one Doc per sentence, with the tokens of the file.

python scripts/convert_ner.py assets/wnut17train.conll corpus/ner/train.spacy

`spacy convert --converter ner` would take the lines that part sentences for tokens: they hold white space here.
"""

from pathlib import Path
from typing import Iterable, Iterator, List, Tuple

import spacy
import typer
from spacy.tokens import Doc, DocBin
from spacy.training import biluo_tags_to_spans, iob_to_biluo

from glomo_spacy.corpora.text_files import find_text_files, read_every_line

TaggedSentence = List[Tuple[str, str]]


def main(
    path: Path = typer.Argument(..., help="Text, may be packed (.gz, .xz, .bz2): token TAB tag in IOB2"),
    output: Path = typer.Argument(..., help="File to write"),
    lang: str = typer.Option("en", help="Language of the vocabulary"),
) -> None:
    """Convert one file."""
    vocab = spacy.blank(lang).vocab
    lines = read_every_line(find_text_files([str(path)])[0])
    docs = [make_doc(vocab, sentence) for sentence in read_sentences(lines)]
    output.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs).to_disk(output)
    n_tokens, n_entities = sum(map(len, docs)), sum(len(doc.ents) for doc in docs)
    print(f"✔ {output}: {len(docs)} sentences, {n_tokens} tokens, {n_entities} entities")


def read_sentences(lines: Iterable[str]) -> Iterator[TaggedSentence]:
    """Tokens with their tags, up to a line of nothing but white space."""
    sentence: TaggedSentence = []
    for line in [*lines, ""]:
        if line.strip():
            token, tag = line.split("\t")[:2]
            sentence.append((token.strip(), tag.strip()))
        elif sentence:
            yield sentence
            sentence = []


def make_doc(vocab: spacy.vocab.Vocab, sentence: TaggedSentence) -> Doc:
    """A Doc of one sentence; each token that is in no entity is known to be in none."""
    words, tags = zip(*sentence)
    doc = Doc(vocab, words=words, sent_starts=[True] + [False] * (len(words) - 1))
    doc.set_ents(biluo_tags_to_spans(doc, iob_to_biluo(list(tags))), default="outside")
    return doc


if __name__ == "__main__":
    typer.run(main)
