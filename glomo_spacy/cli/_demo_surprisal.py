"""The part of `glomo-spacy demo` on the language model: how surprising each word is, as a table and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .surprisal import make_passages, read_pairs, surprisal_pipeline, write

if TYPE_CHECKING:
    from ..visual import Reading

_BAR = 24  # characters of the longest bar


def show_surprisal(page: Path, *, pretrained: str) -> None:
    """Print a garden-path sentence and its unambiguous kin word by word, and write a page with more of them.

    page (Path): Where; its folder is made if it is not there.
    pretrained (str): Packaged name or checkpoint directory of a language model.
    RAISES: G122 (FileNotFoundError) without such a checkpoint; G900 (OSError) if the disk is full.
    """
    typer.secho("How surprising each word is (mogrifier_lm)", bold=True)
    print("Bits: one more for each halving of the probability. A word that ends a garden path should stand out.")
    nlp = surprisal_pipeline(pretrained)
    passages = list(make_passages(read_pairs(), nlp, n_expected=6))
    first = passages[0]
    most = max(max(reading.bits) for reading in first.readings)
    for reading in first.readings:
        print_reading(reading, most=most)
    garden_path, plain = first.focus_bits
    print(f"\n{first.focus!r}: {garden_path:.1f} bits in the first, {plain:.1f} in the second sentence.")
    write(passages, page)


def print_reading(reading: "Reading", *, most: float) -> None:
    """Print a text word by word, with bars.

    most (float): Bits of a whole bar. > 0.
    """
    print(f"\n{' '.join(reading.words)}")
    widest = max(map(len, reading.words), default=0)
    for word, bits in zip(reading.words, reading.bits):
        print(f"  {word:>{widest}}  {bits:5.1f}  {'█' * max(1, round(_BAR * bits / most))}")
