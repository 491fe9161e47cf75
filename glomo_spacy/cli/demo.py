"""`glomo-spacy demo`: the packaged models on real sentences, as tables and as pages."""

from pathlib import Path
from typing import List

import typer

from ..embedder import PRETRAINED as ELMO
from ._app import Opt
from ._demo_answers import show_answers
from ._demo_graphs import show_graphs
from ._demo_senses import show_senses
from ._demo_surprisal import show_surprisal
from .ask import PRETRAINED as READER
from .surprisal import PRETRAINED as LANGUAGE_MODEL
from .visualize import PRETRAINED

PAGES = ("graph.html", "surprisal.html", "answer.html")


def demo_cli(
    output: Path = Opt(Path("demo"), "--output", "-o", help="Folder for the pages"),
    pretrained: str = Opt(PRETRAINED, "--pretrained", help="Graphs: packaged name or checkpoint directory"),
    elmo: str = Opt(ELMO, "--elmo", help="biLM: packaged name or checkpoint directory"),
    language_model: str = Opt(LANGUAGE_MODEL, "--language-model", help="The same for the language model"),
    reader: str = Opt(READER, "--reader", help="The same for the reader that answers questions"),
) -> None:
    """Show what the packaged models make of a few sentences: tables here, and pages to explore. Needs no network."""
    demo(output, pretrained=pretrained, elmo=elmo, language_model=language_model, reader=reader)


def demo(
    output: Path,
    *,
    pretrained: str = PRETRAINED,
    elmo: str = ELMO,
    language_model: str = LANGUAGE_MODEL,
    reader: str = READER,
) -> List[Path]:
    """Which words relate to which, which are used alike, which are surprising, and what answers a question.

    output (Path): Folder for the pages; made if it is not there.
    pretrained, elmo, language_model, reader (str): Packaged names or checkpoint directories.
    RETURNS (List[Path]): The pages.
    RAISES: G122, G124 and G046 (FileNotFoundError) without such checkpoints; G900 (OSError) if the disk is full.
    """
    graphs, surprisal, answers = pages = [output / page for page in PAGES]
    show_graphs(graphs, pretrained=pretrained)
    print()
    show_senses(elmo)
    print()
    show_surprisal(surprisal, pretrained=language_model)
    print()
    show_answers(answers, pretrained=reader)
    print()
    typer.secho(f"✔ {graphs}: open it in any browser to explore all graphs.", fg="green")
    typer.secho(f"✔ {surprisal}: garden paths and other sentences, word by word.", fg="green")
    typer.secho(f"✔ {answers}: what speaks for an answer.", fg="green")
    return pages
