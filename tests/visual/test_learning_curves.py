"""Learning curves as a picture: a panel for each score, a line for each feature."""

import struct
from pathlib import Path
from typing import Tuple

import pytest

from glomo_spacy.visual.learning_curves import Curve, draw_curves


def curve(panel: str, name: str) -> Curve:
    return Curve(panel, name, shares=[0.1, 1.0], scores=[80.0, 90.0], deviations=[1.0, 0.0])


def size_of(path: Path) -> Tuple[int, int]:
    """Width and height of a PNG."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_each_score_has_a_panel_of_its_own(tmp_path: Path) -> None:
    draw_curves([curve("tag_acc", name) for name in ("none", "elmo")], tmp_path / "one.png")
    draw_curves([curve(panel, "none") for panel in ("tag_acc", "dep_las", "ents_f")], tmp_path / "three.png")
    width, height = size_of(tmp_path / "one.png")
    assert size_of(tmp_path / "three.png") == (3 * width, height)


def test_more_features_than_colours_can_be_drawn(tmp_path: Path) -> None:
    draw_curves([curve("tag_acc", f"feature {number}") for number in range(9)], tmp_path / "many.png")
    assert (tmp_path / "many.png").stat().st_size > 10_000


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'\[G012\] This needs matplotlib, .* pip install "glomo-spacy\[viz\]"'):
        draw_curves([curve("tag_acc", "none")], tmp_path / "none.png")
    assert not list(tmp_path.iterdir())
