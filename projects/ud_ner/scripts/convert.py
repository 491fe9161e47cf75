"""Labels in spaCy's format, one Doc for each sentence, with the tokens of the file.

python scripts/convert.py ud assets/en_ewt-ud-train.conllu corpus/ud/train.spacy
python scripts/convert.py ner assets/wnut17train.conll corpus/ner/train.spacy

`spacy convert` reads no packed files, and its converter for entities takes the lines between sentences for tokens where
they hold white space, as in WNUT-17.
"""

from pathlib import Path
from typing import Iterable, Iterator, List, Tuple

import typer
from spacy.tokens import Doc, DocBin
from spacy.training import biluo_tags_to_spans, iob_to_biluo
from spacy.training.converters import conllu_to_docs
from spacy.vocab import Vocab

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.text_files import find_text_files, read_every_line

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

INPUT = typer.Argument(..., help="Text, may be packed (.gz, .xz, .bz2)")
OUTPUT = typer.Argument(..., help="File to write")

TaggedSentence = List[Tuple[str, str]]


@app.command()
def ud(path: Path = INPUT, output: Path = OUTPUT) -> None:
    """Tags, morphology, lemmas and trees in CoNLL-U."""
    docs = conllu_to_docs("\n".join(read_file(path)) + "\n", n_sents=1, no_print=True)
    save(docs, output)


@app.command()
def ner(path: Path = INPUT, output: Path = OUTPUT) -> None:
    """Entities: token TAB tag in IOB2, a line without text between sentences."""
    vocab = Vocab()
    save((make_doc(vocab, sentence) for sentence in read_sentences(read_file(path))), output)


def read_file(path: Path) -> Iterator[str]:
    return read_every_line(find_text_files([str(path)])[0])


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


def make_doc(vocab: Vocab, sentence: TaggedSentence) -> Doc:
    """A Doc of one sentence; each token that is in no entity is known to be in none."""
    words, tags = zip(*sentence)
    doc = Doc(vocab, words=words, sent_starts=[True] + [False] * (len(words) - 1))
    doc.set_ents(biluo_tags_to_spans(doc, iob_to_biluo(list(tags))), default="outside")
    return doc


def save(docs: Iterable[Doc], output: Path) -> None:
    """Write the file and say what is in it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    kept = list(docs)
    DocBin(docs=kept).to_disk(output)
    n_entities = sum(len(doc.ents) for doc in kept)
    print(f"✔ {output}: {len(kept)} sentences, {sum(map(len, kept))} tokens, {n_entities} entities")


if __name__ == "__main__":
    with clear_errors():
        app()
