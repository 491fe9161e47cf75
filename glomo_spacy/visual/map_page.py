"""A page with maps of words in their sentences, layer by layer. Arrays and text in, HTML out."""

from typing import Any, Dict, List, Sequence

import numpy

from ..errors import Errors
from .placement import Points
from .templates import MAP_PAGE, fill_page, one_line
from .token_map import PlacedMap, TokenMap
from .token_rows import Floats, nearest_rows

TITLE = "Words in their sentences"
SUBTITLE = "The same word has another vector in each sentence. What is used alike stands together."
N_NEAREST = 6  # nearest words that are listed
_SCALE = 1000  # places and cosines are stored as whole thousandths


def render_map(
    maps: Sequence[PlacedMap],
    *,
    layers: Sequence[str],
    first: int = -1,
    title: str = TITLE,
    subtitle: str = SUBTITLE,
    lang: str = "en",
) -> str:
    """A page with one or several maps, of which the reader chooses one at a time, and the layer.

    maps (Sequence[PlacedMap]): At least one.
    layers (Sequence[str]): What the layers are called, in the order of the arrays.
    first (int): The layer that is shown first; negative from the end.
    title (str), subtitle (str): Heading of the page.
    lang (str): Language code of the words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: G054 (ValueError) without any map; G055 (ValueError) for another number of layers; G100 (ValueError) for a
        `first` layer that is not there.
    """
    if not maps:
        raise ValueError(Errors.G054)
    if not -len(layers) <= first < len(layers):
        raise ValueError(Errors.G100.format(name="first", value=first, options=f"0 to {len(layers) - 1}"))
    for placed in maps:
        found = len(placed.map.tokens.vectors)
        if found != len(layers):
            name = f"layers of the map {placed.map.name!r}"
            raise ValueError(Errors.G055.format(name=name, expected=f"one per name ({len(layers)})", found=found))
    data = {
        "title": title,
        "subtitle": subtitle,
        "layers": list(layers),
        "layer": first % len(layers),
        "maps": [_map_data(placed) for placed in maps],
    }
    return fill_page(MAP_PAGE, title=title, lang=lang, data=data)


def _map_data(placed: PlacedMap) -> Dict[str, Any]:
    """All that the page knows of one map, as plain lists and numbers."""
    item = placed.map
    numbers = {name: number for number, name in enumerate(item.group_names)}
    groups = [numbers.get(group) for group in item.groups] or [None] * len(item.tokens.sentences)
    return {
        "name": item.name,
        "note": item.note,
        "groups": item.group_names,
        "sentences": [
            {"words": [one_line(word) for word in words], "group": group}
            for words, group in zip(item.tokens.sentences, groups)
        ],
        "tokens": [
            {"sentence": row.sentence, "position": row.position, "group": group}
            for row, group in zip(item.tokens.rows, _colours(item))
        ],
        "focus": list(item.focus),
        "layers": [_layer_data(placed, number) for number in range(len(item.tokens.vectors))],
    }


def _colours(item: TokenMap) -> List[Any]:
    """The group whose colour each mark has; None for one in the background. Without groups there is one colour."""
    coloured = set(item.focus) or set(range(len(item.tokens.rows)))
    group_of = item.group_of if item.group_names else lambda index: 0
    return [group_of(index) if index in coloured else None for index in range(len(item.tokens.rows))]


def _layer_data(placed: PlacedMap, number: int) -> Dict[str, Any]:
    return {
        "all": _packed(placed.all[number]),
        "focus": _packed(placed.focus[number]),
        "agreement": placed.map.agreement(number),
        **_nearest(placed.map.tokens.vectors[number]),
    }


def _packed(points: Points) -> Dict[str, List[int]]:
    whole = numpy.rint(points * _SCALE).astype(int)
    return {"x": whole[:, 0].tolist(), "y": whole[:, 1].tolist()}


def _nearest(vectors: Floats) -> Dict[str, List[List[int]]]:
    order, cosines = nearest_rows(vectors, n_nearest=N_NEAREST)
    return {"near": order.tolist(), "cosines": numpy.rint(cosines * _SCALE).astype(int).tolist()}
