"""`glomo-spacy map`: words in their sentences on a map, as a page, a picture or a table for TensorBoard."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

import typer

from ..embedder import PRETRAINED
from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..embedder import Embedder
    from ..visual import PlacedMap, TokenMap

_SUFFIXES = (".html", ".png")
_ALL = "all sentences"  # the name of a map that is about no word


@dataclass(frozen=True)
class Sentence:
    """A sentence to show.

    tokens (List[str]): Its words.
    group (str): What it is about, such as the sense in which it uses a word. "" for none.
    """

    tokens: List[str]
    group: str = ""


def map_cli(
    text: Optional[List[str]] = Arg(
        None, help="Text files, or patterns in quotes; a line may begin with a group and a tab. None: the gallery"
    ),
    word: Optional[List[str]] = Opt(
        None, "--word", "-w", help="Show sentences with this word and mark it, in any casing; several make several maps"
    ),
    output: List[Path] = Opt([Path("map.html")], "--output", "-o", help="Page (.html) or picture (.png) to write"),
    projector: Optional[Path] = Opt(
        None,
        "--projector",
        help="Also write vectors.tsv, metadata.tsv and projector_config.pbtxt there, for TensorBoard",
    ),
    pretrained: str = Opt(PRETRAINED, "--pretrained", "-m", help="Packaged name or checkpoint directory"),
    layer: str = Opt("-1", "--layer", help="Shown first, and in pictures: 0 words alone, -1 the topmost, or mean"),
    max_sentences: int = Opt(40, "--max-sentences", help="Use only so many sentences for each map, the first ones"),
    tokenized: bool = Opt(False, "--tokenized", help="Lines are sentences, their tokens separated by white space"),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser"),
    perplexity: Optional[float] = Opt(
        None, "--perplexity", help="Of t-SNE. Default: by the number of words, at most 15"
    ),
    seed: int = Opt(0, "--seed", help="Of t-SNE"),
) -> None:
    """
    Draw words on a map by how they are used in their sentences: by t-SNE of their vectors, one map for each layer.

    Without text it draws the gallery: sentences that use "play", "bank" and other words in several senses. Examples:

    glomo-spacy map -o gallery.html -o gallery.png

    glomo-spacy map 'wiki/*.txt' --word spring --word bank -o senses.html --projector senses
    """
    for path in output:
        if path.suffix not in _SUFFIXES:
            raise ValueError(Errors.G056.format(path=path, suffixes=" or ".join(_SUFFIXES)))
    words = word or []
    if text:
        lines = read_groups(text, words=words, tokenized=tokenized, lang=lang)
        sentences = choose_sentences(lines, words=words, max_sentences=max_sentences)
    else:
        sentences = gallery_sentences(words)
    made = make_maps(
        sentences, pretrained=pretrained, layer=layer, perplexity=perplexity, seed=seed, show_progress=True
    )
    for path in output:
        made.write(path, lang=lang)
    if projector is not None:
        made.write_projector(projector)
    _print_table(made)
    for path in output:
        typer.secho(f"✔ {path}", fg="green")
    if projector is not None:
        typer.secho(f"✔ {projector}: tensorboard --logdir {projector}", fg="green")


@dataclass(frozen=True)
class Maps:
    """Maps that are ready to be drawn.

    placed (List[PlacedMap]): One for each word, or one.
    layers (List[str]): What the layers are called; the last is the mean of all.
    first (int): The one that is shown first.
    """

    placed: "List[PlacedMap]"
    layers: List[str]
    first: int

    def write(self, path: Path, *, lang: str = "en") -> None:
        """Write a page (.html) or a picture (.png). Folders are made, an earlier file is replaced."""
        from ..files import atomic_write
        from ..visual import draw_maps, render_map

        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            draw_maps(self.placed, path, layer=self.first, layer_name=self.layers[self.first])
            return
        with atomic_write(path, text=True) as file:
            file.write(render_map(self.placed, layers=self.layers, first=self.first, lang=lang))

    def write_projector(self, folder: Path) -> None:
        """Write the tables for TensorBoard's projector, each map in a folder of its own if there are several."""
        from ..visual import write_projector

        for number, placed in enumerate(self.placed, start=1):
            item = placed.map
            columns = {"Group": [item.groups[row.sentence] for row in item.tokens.rows]} if any(item.groups) else {}
            place = folder if len(self.placed) == 1 else folder / f"{number:02}"
            write_projector(place, item.tokens, layer=self.first, columns=columns, name=item.name)


def make_maps(
    sentences: Mapping[str, Sequence[Sentence]],
    *,
    pretrained: str = PRETRAINED,
    layer: str = "-1",
    perplexity: Optional[float] = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Maps:
    """Find out where words stand on their maps.

    sentences (Mapping[str, Sequence[Sentence]]): The sentences of each map by its name. If the name is a word of them,
        all of its occurrences are marked.
    pretrained (str): Packaged name or checkpoint directory.
    layer (str): The layer that is shown first: a number or "mean".
    perplexity (Optional[float]), seed (int): As for `place_points`.
    show_progress (bool): Draw a progress bar.
    RETURNS (Maps): Ready to be drawn.
    RAISES: G046 (FileNotFoundError) without such a model; G054 (ValueError) without any word; G100 (ValueError) for a
        layer that is not there; G012 (ImportError) without scikit-learn.
    """
    from tqdm import tqdm

    from ..embedder import Embedder
    from ..visual import place_map

    embedder = Embedder(pretrained)
    layers = ["words alone", *(f"layer {number}" for number in range(1, embedder.n_layers)), "mean of all"]
    first = _number_of(layer, embedder)
    maps = [token_map(name, found, embedder) for name, found in sentences.items()]
    with tqdm(total=len(maps) * len(layers), desc="Place", unit="layer", delay=0.5, disable=not show_progress) as bar:
        placed = [place_map(item, perplexity=perplexity, seed=seed, progress=bar.update) for item in maps]
    return Maps(placed, layers, first)


def read_groups(
    text: Sequence[str], *, words: Sequence[str] = (), tokenized: bool = False, lang: str = "en"
) -> Iterator[Sentence]:
    """The sentences of files, each with the group that stands before a tab at the begin of its line.

    text (Sequence[str]): Paths or patterns.
    words (Sequence[str]): Lines without any of these are passed over. Empty: none is.
    tokenized (bool): Lines are sentences, their tokens separated by white space; else spaCy splits them.
    lang (str): Language of the tokeniser.
    RAISES: G004-G006 for files that are not there or hold no text; G008 (ValueError) if spaCy has no such language.
    """
    from ..corpora.text_files import find_text_files, read_lines
    from ._sentences import SentenceCutter

    cutter = SentenceCutter(lang)
    folded = [word.casefold() for word in words]
    for line, _ in read_lines(find_text_files(text)):
        if folded and not any(word in line.casefold() for word in folded):
            continue
        group, tab, rest = line.partition("\t")
        group, rest = (group.strip(), rest) if tab else ("", line)
        for tokens in [rest.split()] if tokenized else cutter(rest):
            yield Sentence(tokens, group)


def choose_sentences(
    sentences: Iterable[Sentence], *, words: Sequence[str] = (), max_sentences: int = 40
) -> Dict[str, List[Sentence]]:
    """The first sentences with each word; without words the first of all. No more is read than needed.

    max_sentences (int): For each word. >= 1.
    RETURNS (Dict[str, List[Sentence]]): Sentences by word; without words under the name "all".
    RAISES: G052 (ValueError) for a word that is in no sentence; G101 (ValueError) for a number below 1.
    """
    if max_sentences < 1:
        raise ValueError(Errors.G101.format(name="max_sentences", expected="at least 1", value=max_sentences))
    if not words:
        return {_ALL: list(islice(sentences, max_sentences))}
    chosen: Dict[str, List[Sentence]] = {word: [] for word in words}
    for sentence in sentences:
        present = {token.casefold() for token in sentence.tokens}
        for word, found in chosen.items():
            if word.casefold() in present and len(found) < max_sentences:
                found.append(sentence)
        if all(len(found) == max_sentences for found in chosen.values()):
            break
    for word, found in chosen.items():
        if not found:
            raise ValueError(Errors.G052.format(word=word, place="the text"))
    return chosen


def gallery_sentences(words: Sequence[str] = ()) -> Dict[str, List[Sentence]]:
    """Sentences that use a word in several senses, written for this.

    words (Sequence[str]): Those that are wanted. Empty: all there are.
    RETURNS (Dict[str, List[Sentence]]): Sentences with their senses, by word.
    RAISES: G100 (ValueError) for a word that is not in the gallery.
    """
    from ..visual.templates import asset
    from ._sentences import SentenceCutter

    cutter = SentenceCutter("en")
    gallery: Dict[str, List[Sentence]] = {}
    for line in asset("gallery.tsv").splitlines()[1:]:
        word, sense, sentence = line.split("\t")
        gallery.setdefault(word, []).extend(Sentence(tokens, sense) for tokens in cutter(sentence))
    for word in words:
        if word not in gallery:
            raise ValueError(Errors.G100.format(name="word", value=word, options=", ".join(gallery)))
    return {word: gallery[word] for word in words or gallery}


def _number_of(layer: str, embedder: "Embedder") -> int:
    """The place of a layer among all and their mean."""
    from ._feature_folder import parse_layer

    wanted = parse_layer(layer)
    if wanted is None:
        raise ValueError(Errors.G100.format(name="layer", value=layer, options="mean or the number of a layer"))
    embedder.check_layer(wanted)
    return embedder.n_layers if wanted == "mean" else wanted % embedder.n_layers


def token_map(name: str, sentences: Sequence[Sentence], embedder: "Embedder") -> "TokenMap":
    """What a map shows: all words of sentences with the vectors of all layers and, last, their mean.

    name (str): If it is a word of them, all of its occurrences are marked.
    sentences (Sequence[Sentence]): With their groups.
    embedder (Embedder): Gives the vectors.
    RAISES: G054 (ValueError) without any word.
    """
    import numpy

    from ..visual import TokenMap, collect_rows

    token_lists = [sentence.tokens for sentence in sentences]
    arrays = [numpy.concatenate([array, array.mean(axis=0, keepdims=True)]) for array in embedder.encode(token_lists)]
    rows = collect_rows(token_lists, arrays)
    return TokenMap(name, rows, groups=[sentence.group for sentence in sentences], focus=rows.of_word(name))


def _print_table(made: Maps) -> None:
    """How many words, and for each layer how often the nearest other occurrence has the same sense."""
    from wasabi import table

    rows = []
    for placed in made.placed:
        item = placed.map
        scores = [item.agreement(number) for number in range(len(made.layers))]
        shown = ["" if score is None else f"{score[0]}/{score[1]}" for score in scores]
        rows.append((item.name, f"{len(item.tokens.sentences):,}", f"{len(item.tokens.rows):,}", *shown))
    header = ("Map", "Sentences", "Words", *made.layers)
    print(table(rows, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1))))
    if any(item for row in rows for item in row[3:]):
        print("By layer: occurrences whose nearest other one has the same sense.")
