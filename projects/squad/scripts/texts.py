"""Every text that a reader of a corpus reads, one a line, its tokens separated by blanks: what `extract` reads.

python scripts/texts.py corpus/trained features/texts.txt
"""

from pathlib import Path

import typer

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.feature_store import corpus_texts
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.files import atomic_write


def main(
    corpus: Path = typer.Argument(..., help="Prepared questions", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Text file to write"),
    max_context: int = typer.Option(400, help="As in the reader's [corpora]", min=1),
    stride: int = typer.Option(200, help="As in the reader's [corpora]", min=1),
) -> None:
    """Write the texts, each once."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, text=True) as file:
        for tokens in corpus_texts(SquadCorpus(corpus), max_context=max_context, stride=stride):
            file.write(" ".join(tokens) + "\n")
    print(f"✔ {output}")


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
