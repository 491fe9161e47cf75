"""`glomo-spacy similar`: the tokens of a text that are used most like a word of a query."""

import heapq
import json
from dataclasses import asdict, dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Sequence, Tuple

import typer

from ..embedder import PRETRAINED
from ..errors import Errors
from ..files import sha256_of
from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..embedder import Embedder, Layer

WHICH = ("any", "same", "other")
DEFAULT_LAYER = "mean"  # of all: the topmost alone brings words that have like neighbours, whatever they mean
_SIDE = 42  # characters of context shown on each side

Vectors = Iterable[Tuple[List[str], Any]]


@dataclass(frozen=True)
class Similar:
    """A token that was found.

    cosine (float): Of its vector and the query's, -1 to 1.
    token (str): The token.
    sentence (int): Number of its sentence in the text, from 0.
    position (int): Its place in the sentence, from 0.
    tokens (List[str]): Its sentence.
    """

    cosine: float
    token: str
    sentence: int
    position: int
    tokens: List[str]


def similar_cli(
    query: str = Arg(..., help="A sentence"),
    word: str = Arg(..., help="The word of it to look for, in its sense there"),
    text: List[str] = Arg(..., help="Where to look: text files, patterns in quotes, or a folder made by extract"),
    n_best: int = Opt(10, "--n-best", "-n", help="Show so many"),
    which: str = Opt("any", "--which", help="any token; same: only that word, in any casing; other: all but it"),
    occurrence: int = Opt(1, "--occurrence", help="Which one, if the query has the word several times"),
    pretrained: str = Opt(PRETRAINED, "--pretrained", "-m", help="Packaged name or checkpoint directory"),
    layer: Optional[str] = Opt(
        None, "--layer", help="Compare the mean of all layers (default: mean) or one: 0 words alone, -1 the topmost"
    ),
    tokenized: bool = Opt(False, "--tokenized", help="Query and lines are tokens separated by white space"),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser"),
    as_json: bool = Opt(False, "--json", help="Print JSON"),
) -> None:
    """
    Find the tokens whose vectors in their sentences are nearest to a word of a query, by cosine. Example:

    glomo-spacy similar "The bank lent them the money." bank 'wiki/*.txt' --which same

    A folder made by extract is searched without computing anything again, if it was made with the same weights.
    """
    found = similar(
        query,
        word,
        text,
        n_best=n_best,
        which=which,
        occurrence=occurrence,
        pretrained=pretrained,
        layer=layer,
        tokenized=tokenized,
        lang=lang,
        show_progress=True,
    )
    if as_json:
        print(json.dumps([asdict(item) for item in found], indent=2, ensure_ascii=False))
        return
    typer.echo(f"{'cosine':>6}  {'sentence':>8}" if found else "Nothing was found.")
    for item in found:
        typer.echo(_as_line(item))


def similar(
    query: str,
    word: str,
    text: Sequence[str],
    *,
    n_best: int = 10,
    which: str = "any",
    occurrence: int = 1,
    pretrained: str = PRETRAINED,
    layer: Optional[str] = None,
    tokenized: bool = False,
    lang: str = "en",
    show_progress: bool = False,
) -> List[Similar]:
    """Search a text. Arguments as the command's options.

    RETURNS (List[Similar]): The nearest first; of equal ones the first in the text. The query itself is left out, and
        of equal sentences all but the first.
    RAISES: G046 (FileNotFoundError) without such a model; G052 (ValueError) if the word is not in the query; G053 or
        G057 (ValueError) for a folder that is not complete or of other weights; G100 (ValueError) for another `which`
        or a layer that is not there; G101 (ValueError) for an `n_best` below 1; G004-G006 for the text.
    """
    from ..embedder import Embedder

    if which not in WHICH:
        raise ValueError(Errors.G100.format(name="which", value=which, options=", ".join(WHICH)))
    if n_best < 1:
        raise ValueError(Errors.G101.format(name="n_best", expected="at least 1", value=n_best))
    tokens = query.split() if tokenized else _as_one_sentence(query, lang=lang)
    position = _find(word, tokens, occurrence=occurrence)
    embedder = Embedder(pretrained)
    vectors, wanted = _open(text, embedder, layer=layer, tokenized=tokenized, lang=lang, show_progress=show_progress)
    vector = embedder.encode([tokens], layer=wanted)[0][position]
    return find_similar(vectors, vector, query=(tokens, position), n_best=n_best, which=which)


def find_similar(
    vectors: Vectors, vector: Any, *, query: Tuple[Sequence[str], int], n_best: int, which: str = "any"
) -> List[Similar]:
    """The tokens whose vectors have the highest cosine with one; memory does not grow with the text.

    vectors (Vectors): Sentences and their vectors, (tokens, width).
    vector (Any): What to look for. Shape: (width,).
    query (Tuple[Sequence[str], int]): The sentence it comes from and its place there.
    n_best (int): How many.
    which (str): "any", "same" word in any casing, or "other".
    RETURNS (List[Similar]): As `similar`.
    """
    import numpy

    from ..visual.token_rows import unit_rows

    wanted = query[0][query[1]].casefold()
    unit = unit_rows(vector[None])[0]
    best: List[Tuple[float, int, int, List[str]]] = []  # a heap, the worst of the best first
    seen = {(tuple(query[0]), query[1])}
    for number, (tokens, array) in enumerate(vectors):
        cosines = unit_rows(array) @ unit
        if which != "any":
            is_same = numpy.array([token.casefold() == wanted for token in tokens], dtype=bool)
            cosines[is_same != (which == "same")] = -numpy.inf
        least = best[0][0] if len(best) == n_best else -numpy.inf
        for position in numpy.flatnonzero(cosines > least).tolist():
            key = (tuple(tokens), position)
            if key in seen:
                continue
            entry = (float(cosines[position]), -number, -position, tokens)
            if len(best) < n_best:
                heapq.heappush(best, entry)
            elif entry > best[0]:
                gone = heapq.heappushpop(best, entry)
                seen.discard((tuple(gone[3]), -gone[2]))
            else:
                continue
            seen.add(key)
    found = sorted(best, key=lambda entry: entry[:3], reverse=True)
    return [
        Similar(round(cosine, 6), tokens[-position], -number, -position, tokens)
        for cosine, number, position, tokens in found
    ]


def _open(
    text: Sequence[str], embedder: "Embedder", *, layer: Optional[str], tokenized: bool, lang: str, show_progress: bool
) -> "Tuple[Vectors, Layer]":
    """Sentences with their vectors of one layer, and the layer."""
    from ._feature_folder import RECORD, parse_layer

    if len(text) == 1 and (Path(text[0]) / RECORD).is_file():
        return _open_folder(Path(text[0]), embedder, layer=layer)
    wanted = parse_layer(layer or DEFAULT_LAYER)
    if wanted is None:
        raise ValueError(Errors.G100.format(name="layer", value=layer, options="mean or the number of a layer"))
    embedder.check_layer(wanted)
    return _read_and_encode(text, embedder, wanted, tokenized=tokenized, lang=lang, show_progress=show_progress), wanted


def _read_and_encode(
    text: Sequence[str], embedder: "Embedder", layer: "Layer", *, tokenized: bool, lang: str, show_progress: bool
) -> Vectors:
    from tqdm import tqdm

    from ..corpora.text_files import find_text_files
    from ._sentences import read_sentences

    files = find_text_files(text)
    n_bytes = sum(file.n_bytes for file in files)
    with tqdm(total=n_bytes, unit="B", unit_scale=True, desc="Search", delay=0.5, disable=not show_progress) as bar:
        sentences, again = tee(read_sentences(files, raw=not tokenized, lang=lang, progress=bar.update))
        yield from zip(sentences, embedder.stream(again, layer=layer))


def _open_folder(path: Path, embedder: "Embedder", *, layer: Optional[str]) -> "Tuple[Vectors, Layer]":
    """What `extract` stored: all layers, or the one it was asked for."""
    from ..models.checkpoint import WEIGHTS
    from ._feature_folder import FeatureFolder, parse_layer

    folder = FeatureFolder(path)
    missing = folder.missing()
    if missing:
        raise ValueError(Errors.G053.format(path=path, n_missing=len(missing), n_shards=len(folder.shards)))
    if folder.record["weights"] != sha256_of(embedder.directory / WEIGHTS):
        raise ValueError(Errors.G057.format(path=path, model=embedder.directory))
    stored = folder.settings.layer
    if stored != "all" and layer not in (None, stored):
        raise ValueError(Errors.G100.format(name="layer", value=layer, options=f"{stored}, the one in {path}"))
    wanted = parse_layer((layer or DEFAULT_LAYER) if stored == "all" else stored)
    embedder.check_layer(wanted)
    every = (pair for shard in folder.shards for pair in folder.read(shard))
    if stored != "all":
        return every, wanted
    return ((tokens, embedder.pick(array, wanted)) for tokens, array in every), wanted


def _as_one_sentence(query: str, *, lang: str) -> List[str]:
    from ._sentences import SentenceCutter

    return [token for tokens in SentenceCutter(lang)(*query.splitlines()) for token in tokens]


def _find(word: str, tokens: Sequence[str], *, occurrence: int) -> int:
    """The place of a word; exact spelling goes before other casings."""
    same = [place for place, token in enumerate(tokens) if token == word]
    same = same or [place for place, token in enumerate(tokens) if token.casefold() == word.casefold()]
    if not 1 <= occurrence <= len(same):
        place = f"the query as often as {occurrence} times" if same else "the query"
        raise ValueError(Errors.G052.format(word=word, place=f"{place}: {' '.join(tokens)}"))
    return same[occurrence - 1]


def _as_line(item: Similar) -> str:
    """Cosine, number of the sentence, and the token in bold amid its neighbours."""
    before = " ".join(item.tokens[: item.position])[-_SIDE:]
    after = " ".join(item.tokens[item.position + 1 :])[:_SIDE]
    token = typer.style(item.token, bold=True)
    return f"{item.cosine:6.3f}  {item.sentence:>8,}  {before:>{_SIDE}} {token} {after}".rstrip()
