"""Word vectors as a text file for `spacy init vectors`: trained on raw text by gensim, or read from any file it reads.

python scripts/vectors.py train word2vec vectors/word2vec.txt --text assets/text.txt
python scripts/vectors.py load assets/GoogleNews-vectors-negative300.bin vectors/word2vec.txt --limit 200000
"""

import tempfile
from pathlib import Path
from typing import Any, Iterator, List

import spacy
import typer
from gensim.models import FastText, KeyedVectors, Word2Vec
from tqdm import tqdm

from glomo_spacy.cli import clear_errors
from glomo_spacy.corpora.text_files import find_text_files, read_lines

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
METHODS = {"word2vec": Word2Vec, "fasttext": FastText}


@app.command()
def train(
    method: str = typer.Argument(..., help="word2vec or fasttext"),
    output: Path = typer.Argument(..., help="Text file to write, in word2vec's format"),
    text: str = typer.Option(..., help="Raw text: a file, or a pattern in quotes"),
    lang: str = typer.Option("en", help="Language of the tokeniser"),
    lower: bool = typer.Option(True, help="Lower-case every word; --no-lower keeps case"),
    width: int = typer.Option(300, help="Length of a vector"),
    window: int = typer.Option(5, help="Words on either side that count as context, at most"),
    min_count: int = typer.Option(5, help="Rarer words are left out"),
    epochs: int = typer.Option(5, help="Passes over the text"),
    seed: int = typer.Option(0, help="Of the first vectors and the samples"),
    words_of: List[Path] = typer.Option([], help="Also give words of these files; fasttext spells those it never saw"),
) -> None:
    """Train skip-gram vectors with five negative samples, in one process, so that a seed means a result."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens.txt"
        write_tokens(tokens, text=text, lang=lang, lower=lower)
        model: Any = METHODS[method](
            corpus_file=str(tokens),
            vector_size=width,
            window=window,
            min_count=min_count,
            epochs=epochs,
            seed=seed,
            sg=1,
            negative=5,
            workers=1,
        )
    vectors = model.wv
    if method == "fasttext":
        vectors = with_spelled_words(vectors, read_words(words_of, lang=lang, lower=lower))
    save(vectors, output)


@app.command()
def load(
    path: Path = typer.Argument(..., help="Vectors in word2vec's format", exists=True, dir_okay=False),
    output: Path = typer.Argument(..., help="Text file to write, in word2vec's format"),
    binary: bool = typer.Option(True, help="--no-binary: the file is text"),
    limit: int = typer.Option(0, help="Only the first so many words, the most frequent ones; 0 for all"),
) -> None:
    """Read vectors that others trained."""
    save(KeyedVectors.load_word2vec_format(str(path), binary=binary, limit=limit or None), output)


def write_tokens(path: Path, *, text: str, lang: str, lower: bool) -> None:
    """Tokenise raw text: one line of text a line, tokens separated by blanks, as gensim reads it."""
    files = find_text_files([text])
    with path.open("w", encoding="utf8") as file:
        for words in tokenise((line for line, _ in read_lines(files)), lang=lang, lower=lower):
            file.write(" ".join(words) + "\n")


def read_words(paths: List[Path], *, lang: str, lower: bool) -> List[str]:
    """The different words of some files, in order of appearance."""
    lines = (line for path in paths for line in path.read_text(encoding="utf8").splitlines())
    return list(dict.fromkeys(word for words in tokenise(lines, lang=lang, lower=lower) for word in words))


def tokenise(lines: Iterator[str], *, lang: str, lower: bool) -> Iterator[List[str]]:
    """The words of each line by spaCy's tokeniser; a token with white space inside would be two words to gensim."""
    tokenizer = spacy.blank(lang).tokenizer
    for doc in tqdm(tokenizer.pipe(lines), unit=" lines", desc="Tokenising", mininterval=5):
        words = [token.lower_ if lower else token.text for token in doc]
        yield [word for word in words if word and not any(map(str.isspace, word))]


def with_spelled_words(vectors: Any, words: List[str]) -> KeyedVectors:
    """All vectors, and those that character n-grams give to words that were too rare in the text."""
    both = [*vectors.index_to_key, *(word for word in words if word not in vectors.key_to_index)]
    table = KeyedVectors(vectors.vector_size)
    table.add_vectors(both, [vectors.get_vector(word) for word in both])
    return table


def save(vectors: KeyedVectors, output: Path) -> None:
    """Write the vectors for `spacy init vectors`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    vectors.save_word2vec_format(str(output), binary=False)
    print(f"✔ {output}: {len(vectors)} words of width {vectors.vector_size}")


if __name__ == "__main__":
    with clear_errors():
        app()
