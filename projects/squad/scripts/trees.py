"""Trees in the place of learned graphs: parse every text that a reader of a corpus reads, once.

    python scripts/trees.py en_core_web_sm corpus/trained training/trees/trained

Writes what `model.graph_source` names: a checkpoint of kind "trees". A reader that reads along them has been told who
governs whom. It is the control that says how much learned graphs could give it.
"""

from pathlib import Path
from typing import Iterator, List, Sequence

import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm
from wasabi import Printer

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.feature_store import corpus_texts
from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.indexers.word_ids import UNKNOWN_WORD
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.glomo.trees import TreeGraphs


def main(
    parser: str = typer.Argument(..., help="A spaCy pipeline with a dependency parser: name or directory"),
    corpus: Path = typer.Argument(..., help="Prepared questions", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Directory of the checkpoint"),
    max_context: int = typer.Option(400, help="As in the reader's [corpora]", min=1),
    stride: int = typer.Option(200, help="As in the reader's [corpora]", min=1),
) -> None:
    """Parse the texts and write their trees."""
    nlp, questions = load_parser(parser), SquadCorpus(corpus)
    words = [word for word in questions.types if word != UNKNOWN_WORD]
    indexer = WordIndexer([*words, UNKNOWN_WORD], digits=False, casing="exact", lang=questions.lang)
    texts = list(corpus_texts(questions, max_context=max_context, stride=stride))
    heads = list(tqdm(parse(nlp, texts), total=len(texts), desc="Parsing", unit=" texts"))
    trees = TreeGraphs.of_texts([indexer.ids(text) for text in texts], heads, vocab_size=len(indexer))
    meta = {"parser": f"{nlp.lang}_{nlp.meta['name']} {nlp.meta['version']}", "corpus": questions.fingerprint}
    output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(output, trees, indexer=indexer.config, vocab=list(indexer.words), meta=meta)
    print(f"✔ {output}: trees of {len(texts):,} texts, {trees.config.n_tokens:,} tokens, by {meta['parser']}")


def load_parser(name: str) -> Language:
    """The pipeline, without what a parser can do without. Ends the program where there is no parser."""
    if not name:
        Printer().fail("Name a spaCy pipeline with a dependency parser: --vars.parser en_core_web_sm")
        raise typer.Exit(1)
    nlp = spacy.load(name, exclude=["ner"])
    if "parser" not in nlp.pipe_names:
        Printer().fail(f"{name} has no parser; it has {', '.join(nlp.pipe_names) or 'no components'}.")
        raise typer.Exit(1)
    return nlp


def parse(nlp: Language, texts: Sequence[List[str]]) -> Iterator[List[int]]:
    """For each word of each text the place of its head; a root's is its own."""
    for doc in nlp.pipe((Doc(nlp.vocab, words=text) for text in texts), batch_size=64):
        yield [token.head.i for token in doc]


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
