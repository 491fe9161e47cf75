"""The part of `glomo-spacy demo` on contextual vectors: the same word in several senses."""

from typing import TYPE_CHECKING, List, Sequence, Tuple

import typer

from .map import Sentence, gallery_sentences

if TYPE_CHECKING:
    from ..embedder import Embedder

WORDS = ("play", "bank")
_PER_SENSE = 2  # sentences of each sense
_CONTEXT = 3  # words shown on either side


def show_senses(pretrained: str) -> None:
    """Print sentences with the same word, and for each the one where the word is used most alike.

    pretrained (str): Packaged name or checkpoint directory of a biLM.
    RAISES: G046 (FileNotFoundError) without such a checkpoint.
    """
    from ..embedder import Embedder

    embedder = Embedder(pretrained)
    typer.secho("The same word in several senses (elmo)", bold=True)
    print("Each line: a word in its sentence, the sentence where it is used most alike, and the cosine of its vectors.")
    for word, sentences in gallery_sentences(WORDS).items():
        chosen = first_of_each_sense(sentences)
        shown = [in_context(sentence.tokens, _place_of(word, sentence.tokens)) for sentence in chosen]
        widest = max(map(len, shown))
        print()
        for text, (other, cosine) in zip(shown, most_alike(word, chosen, embedder)):
            print(f"  {text:<{widest}}  ~  {shown[other]:<{widest}}  {cosine:.2f}")


def first_of_each_sense(sentences: Sequence[Sentence]) -> List[Sentence]:
    """As many of each group as are shown, in their order."""
    seen: List[str] = []
    chosen = []
    for sentence in sentences:
        if seen.count(sentence.group) < _PER_SENSE:
            chosen.append(sentence)
        seen.append(sentence.group)
    return chosen


def most_alike(word: str, sentences: Sequence[Sentence], embedder: "Embedder") -> List[Tuple[int, float]]:
    """For each sentence the other one whose vector of the word is nearest.

    RETURNS (List[Tuple[int, float]]): Number of the other sentence, and the cosine; mean of all layers.
    """
    import numpy

    arrays = embedder.encode([sentence.tokens for sentence in sentences], layer="mean")
    rows = numpy.stack([array[_place_of(word, each.tokens)] for array, each in zip(arrays, sentences)])
    rows /= numpy.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T - 2 * numpy.eye(len(rows))  # never itself
    return [(int(row.argmax()), float(row.max())) for row in cosines]


def in_context(tokens: Sequence[str], place: int) -> str:
    """A word in brackets with a few words around it."""
    before, after = tokens[max(0, place - _CONTEXT) : place], tokens[place + 1 : place + 1 + _CONTEXT]
    return " ".join([*before, f"[{tokens[place]}]", *after])


def _place_of(word: str, tokens: Sequence[str]) -> int:
    return [token.casefold() for token in tokens].index(word)
