"""The part of `glomo-spacy demo` on graphs: which words relate to which, as a table and as a page."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

import typer

from .visualize import graph_pipeline, visualize

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

SENTENCES = (
    "Marie Curie won two Nobel prizes because she discovered radium.",
    "The keys to the old cabinet that stood in the hall were lost when the family moved.",
    "After the river had risen in 1998, many farmers who lived near the bridge sold their land.",
    "He played football for Brazil, and in his last match he scored three goals against Italy.",
    "The album was recorded in London by a small band and released by an independent label in June.",
    "When the first railway between the two cities opened in 1843, travellers who had once needed three days to "
    "cross the mountains could suddenly make the journey in a single afternoon, and the small towns along the line, "
    "which had lived from inns and horses for centuries, had to find other ways of earning their living.",
)

_SHOWN = 4  # relations printed for each sentence
_BAR = 24  # characters of the strongest bar


def show_graphs(page: Path, *, pretrained: str) -> None:
    """Run the model over the sentences, print their strongest relations and write the page.

    page (Path): Where; its folder is made if it is not there.
    pretrained (str): Packaged name or checkpoint directory.
    RAISES: G122 (FileNotFoundError) without such a checkpoint; G900 (OSError) if the disk is full.
    """
    nlp = graph_pipeline(pretrained=pretrained)
    started = time.perf_counter()
    docs = list(nlp.pipe(SENTENCES))
    seconds = time.perf_counter() - started
    n_words = sum(len(doc) for doc in docs)
    typer.secho("Which words relate to which (glomo_graph)", bold=True)
    print("Learned from raw text alone. Each line: the receiver ← the source it takes in, and the weight.")
    for doc in docs:
        print_relations(doc)
    visualize(docs, path=page)
    print(f"\n{n_words} words in {seconds:.2f} s.")


def print_relations(doc: "Doc") -> None:
    """Print a sentence and its strongest relations, with bars."""
    rows = strongest_relations(doc)
    print(f"\n{doc.text}")
    widest = max((len(receiver.text) for receiver, _, _ in rows), default=0)
    longest = max((len(source.text) for _, source, _ in rows), default=0)
    for receiver, source, weight in rows:
        bar = "█" * max(1, round(_BAR * weight / rows[0][2]))
        print(f"  {receiver.text:>{widest}} ← {source.text:<{longest}}  {weight:.2f}  {bar}")


def strongest_relations(doc: "Doc", *, n_shown: int = _SHOWN) -> "List[Tuple[Token, Token, float]]":
    """The relations worth a look: one for each receiver, strongest first.

    Left out are punctuation marks, and the first and last word as sources of their neighbours: where there is one word
    to choose from, its weight is high whatever the model learned.

    doc (Doc): With its graph.
    n_shown (int): Relations at most.
    RETURNS (List[Tuple[Token, Token, float]]): Receiver, source, weight.
    """
    ends = (0, len(doc) - 1)
    best: Dict[int, Any] = {}
    for edge in doc._.glomo_graph.edges():
        receiver, source = doc[edge.receiver], doc[edge.source]
        is_forced = edge.source in ends and abs(edge.receiver - edge.source) == 1
        if receiver.is_punct or source.is_punct or is_forced:
            continue
        if edge.receiver not in best or edge.weight > best[edge.receiver][2]:
            best[edge.receiver] = (receiver, source, edge.weight)
    return sorted(best.values(), key=lambda relation: -relation[2])[:n_shown]
