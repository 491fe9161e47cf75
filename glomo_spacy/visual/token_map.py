"""Words in their sentences as marks on a map: what is shown, and where each mark stands in each layer."""

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Tuple

from ..errors import Errors
from .placement import Points, align_points, place_points
from .token_rows import TokenRows, agreement


@dataclass(frozen=True)
class TokenMap:
    """What one map shows.

    name (str): What it is called; with `focus`, the word it is about.
    tokens (TokenRows): All of its words, each a mark.
    groups (Sequence[str]): What the sentences are about, such as the sense in which they use a word: one for each
        sentence, "" for none. Each group has a colour. Empty: no groups at all.
    focus (Sequence[int]): The rows in colour, such as all occurrences of one word. Empty: all rows.
    note (str): Stands below the map.
    RAISES: G055 (ValueError) for another number of groups than of sentences.
    """

    name: str
    tokens: TokenRows
    groups: Sequence[str] = ()
    focus: Sequence[int] = ()
    note: str = ""

    def __post_init__(self) -> None:
        n_sentences, n_groups = len(self.tokens.sentences), len(self.groups)
        if n_groups not in (0, n_sentences):
            name = f"groups of the map {self.name!r}"
            raise ValueError(
                Errors.G055.format(name=name, expected=f"one per sentence ({n_sentences})", found=n_groups)
            )

    @property
    def group_names(self) -> List[str]:
        """The groups, in the order in which they come up."""
        return list(dict.fromkeys(group for group in self.groups if group))

    def group_of(self, index: int) -> Optional[int]:
        """The number of a row's group; None for a sentence without group."""
        group = self.groups[self.tokens.rows[index].sentence] if self.groups else ""
        return self.group_names.index(group) if group else None

    def agreement(self, layer: int) -> Optional[Tuple[int, int]]:
        """How well a layer keeps the groups of the rows in focus apart, as `token_rows.agreement`; None without."""
        rows = [index for index in self.focus if self.group_of(index) is not None]
        if len(self.group_names) < 2 or len(rows) < 2:
            return None
        return agreement(self.tokens.vectors[layer][rows], [self.group_of(index) for index in rows])


@dataclass(frozen=True)
class PlacedMap:
    """A map whose marks have found their places.

    map (TokenMap): What it shows.
    all (List[Points]): For each layer where all rows stand. Shape: (rows, 2).
    focus (List[Points]): For each layer where the rows in focus stand when they are alone. Shape: (focus, 2).
    """

    map: TokenMap
    all: List[Points]
    focus: List[Points]


def place_map(
    item: TokenMap,
    *,
    perplexity: Optional[float] = None,
    seed: int = 0,
    progress: Callable[[], Any] = lambda: None,
) -> PlacedMap:
    """Find the places of all marks, in every layer.

    item (TokenMap): What is shown.
    perplexity (Optional[float]), seed (int): As for `place_points`.
    progress (Callable[[], Any]): Called after each layer.
    RAISES: G012 (ImportError) without scikit-learn; G101 (ValueError) for a perplexity that is not positive.
    """
    every: List[Points] = []
    alone: List[Points] = []
    focus = list(item.focus)
    for vectors in item.tokens.vectors[::-1]:  # from the top, so that the layers below are turned like it
        for places, chosen in ((every, vectors), (alone, vectors[focus])):
            points = place_points(chosen, perplexity=perplexity, seed=seed)
            places.append(align_points(points, places[-1]) if places else points)
        progress()
    return PlacedMap(item, every[::-1], alone[::-1])
