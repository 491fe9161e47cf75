"""Word vectors for the reader as a spaCy pipeline: trained by gensim on the text at hand, or read from a file.

    python scripts/vectors.py vectors/trained --text 'texts/*.txt' --squad assets/train-v1.1.json
    python scripts/vectors.py vectors/glove --file glove.840B.300d.zip

A file is in the text format of GloVe, word2vec or fastText, packed or not, and is read as `spacy init vectors` does.
Spelling keeps its case: a word without vector is looked up in other casings later.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

import numpy
import spacy
import typer
from spacy.training.initialize import convert_vectors
from tqdm import tqdm

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.squad_alignment import normalize_quotes
from glomo_spacy.corpora.squad_file import read_squad
from glomo_spacy.corpora.text_files import find_text_files, read_lines
from glomo_spacy.corpora.tokenizing import SpacyTokenizer, TokenStore, tokenize_lines


def main(
    output: Path = typer.Argument(..., help="Directory of the pipeline"),
    file: Optional[str] = typer.Option(None, help="Vectors to read; empty to train some"),
    limit: int = typer.Option(0, help="Read only the first so many, the most frequent words; 0 for all", min=0),
    text: List[str] = typer.Option([], help="Raw text to train on: a file, or a pattern in quotes"),
    squad: List[Path] = typer.Option([], help="Also train on contexts and questions of these files"),
    lang: str = typer.Option("en", help="Language of the tokeniser"),
    width: int = typer.Option(300, help="Length of a vector", min=1),
    window: int = typer.Option(5, help="Words on either side that count as context, at most", min=1),
    min_count: int = typer.Option(3, help="Rarer words are left out", min=1),
    epochs: int = typer.Option(5, help="Passes over the text", min=1),
    seed: int = typer.Option(0, help="Of the first vectors and the samples"),
    n_process: int = typer.Option(1, help="Processes that tokenise", min=1),
    n_threads: int = typer.Option(1, help="Threads that train. Only with one does a seed mean a result", min=1),
) -> None:
    """Write the vectors and say in the pipeline's meta where they come from."""
    if file and not Path(file).is_file():
        raise typer.BadParameter(f"{file} is not a file. Leave it empty to train vectors.", param_hint="--file")
    nlp = spacy.blank(lang)
    if file:
        source = f"{Path(file).name}, first {limit:,}" if limit else Path(file).name
        convert_vectors(nlp, Path(file), truncate=limit, prune=-1, name=output.name)
    else:
        with tempfile.TemporaryDirectory() as folder:
            tokens, path = Path(folder) / "tokens.txt", Path(folder) / "vectors.txt"
            n_tokens = write_tokens(tokens, lines=read_text(text, squad), lang=lang, n_process=n_process)
            sizes = {"vector_size": width, "window": window, "min_count": min_count, "epochs": epochs}
            train(tokens, path, sizes=sizes, seed=seed, n_threads=n_threads)
            convert_vectors(nlp, path, truncate=0, prune=-1, name=output.name)
        source = f"skip-gram on {n_tokens:,} tokens of {', '.join(map(str, [*text, *squad]))}"
    nlp.meta["description"] = f"Word vectors: {source}"
    nlp.to_disk(output)
    print(f"✔ {output}: {len(nlp.vocab.vectors):,} words of width {nlp.vocab.vectors.shape[1]}; {source}")


def read_text(patterns: List[str], squad: List[Path]) -> Iterator[Tuple[str, bool]]:
    """All lines, each a text of its own."""
    if patterns:
        for line, _ in read_lines(find_text_files(patterns)):
            yield normalize_quotes(line), True
    for path in squad:
        for paragraph in read_squad(path, answerable_only=True).paragraphs:
            for line in (paragraph.context, *(question.text for question in paragraph.questions)):
                yield normalize_quotes(line), True


def write_tokens(path: Path, *, lines: Iterator[Tuple[str, bool]], lang: str, n_process: int) -> int:
    """Tokenise: a text a line, tokens separated by blanks, as gensim reads it. Returns their number."""
    store = TokenStore(path.with_suffix(".bin"))
    with tqdm(unit="B", unit_scale=True, desc="Tokenise", mininterval=5) as bar:
        tokenizer = partial(SpacyTokenizer, lang)
        tokenize_lines(lines, store=store, tokenizer=tokenizer, n_process=n_process, progress=bar.update)
    # A token with white space inside would be two words to gensim.
    words = numpy.array(["" if any(map(str.isspace, word)) else word for word in store.types], dtype=object)
    start = 0
    with path.open("w", encoding="utf8") as file:
        for end in store.ends:
            file.write(" ".join(filter(None, words[store.tokens[start:end]])) + "\n")
            start = end
    return store.n_tokens


def train(tokens: Path, output: Path, *, sizes: Dict[str, int], seed: int, n_threads: int) -> None:
    """Skip-gram with five negative samples (Mikolov et al. 2013)."""
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    class Progress(CallbackAny2Vec):
        def on_epoch_end(self, model: Word2Vec) -> None:
            bar.update()

    with tqdm(total=sizes["epochs"], unit="pass", desc="Train") as bar:
        model = Word2Vec(
            corpus_file=str(tokens), sg=1, negative=5, seed=seed, workers=n_threads, callbacks=[Progress()], **sizes
        )
    model.wv.save_word2vec_format(str(output), binary=False)


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
