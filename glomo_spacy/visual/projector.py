"""Tokens in context for TensorBoard's projector: vectors, what each row stands for, and the file that names both."""

from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Sequence

import numpy

from ..errors import Errors
from ..files import atomic_write
from .token_rows import TokenRows

VECTORS, METADATA, CONFIG = "vectors.tsv", "metadata.tsv", "projector_config.pbtxt"
_CONFIG_TEXT = """embeddings {{
  tensor_name: "{name}"
  tensor_path: "{vectors}"
  metadata_path: "{metadata}"
}}
"""


def write_projector(
    folder: Path,
    tokens: TokenRows,
    *,
    layer: int = -1,
    columns: Mapping[str, Sequence[str]] = {},
    name: str = "tokens",
) -> List[Path]:
    """Write what `tensorboard --logdir FOLDER` shows under "Projector"; projector.tensorflow.org reads the same tables.

    folder (Path): Made if it is not there; earlier files of these names are replaced.
    tokens (TokenRows): Row i of the vectors and line i of the metadata are its row i.
    layer (int): Which layer's vectors.
    columns (Mapping[str, Sequence[str]]): Further columns of the metadata by name, one text for each row.
    name (str): What the projector calls the table.
    RETURNS (List[Path]): The three files.
    RAISES: G055 (ValueError) for a column of another length; OSError G900 if the disk is full.
    """
    for title, column in columns.items():
        if len(column) != len(tokens.rows):
            expected = f"one text per row ({len(tokens.rows)})"
            raise ValueError(Errors.G055.format(name=f"column {title}", expected=expected, found=len(column)))
    folder.mkdir(parents=True, exist_ok=True)
    config = _CONFIG_TEXT.format(name=_quoted(name), vectors=VECTORS, metadata=METADATA)
    texts: Dict[str, Iterable[str]] = {
        VECTORS: ("\t".join(map(_short_number, row)) + "\n" for row in tokens.vectors[layer]),
        METADATA: _metadata(tokens, columns),
        CONFIG: [config],
    }
    for file_name, lines in texts.items():
        with atomic_write(folder / file_name, text=True) as file:
            file.writelines(lines)
    return [folder / file_name for file_name in texts]


def _metadata(tokens: TokenRows, columns: Mapping[str, Sequence[str]]) -> Iterable[str]:
    header = ["Index", "Label", "Sentence", "Position", *columns, "Context"]
    yield "\t".join(map(_cell, header)) + "\n"
    for index, row in enumerate(tokens.rows):
        further = (column[index] for column in columns.values())
        context = "{} [{}] {}".format(*tokens.context(index)).strip()
        cells = [str(index), row.word, str(row.sentence), str(row.position), *further, context]
        yield "\t".join(map(_cell, cells)) + "\n"


def _cell(text: str) -> str:
    """One cell of one line, whatever the text holds; an empty one would shift its row in some readers."""
    return " ".join(text.split()) or "·"


def _short_number(value: numpy.float32) -> str:
    """The fewest digits that read back as the same float32."""
    return str(value)


def _quoted(text: str) -> str:
    """The inside of a string in protobuf's text format."""
    return "".join(letter if letter.isalnum() or letter in " -_.," else "_" for letter in text)
