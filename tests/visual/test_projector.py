"""Tables for TensorBoard's projector."""

from pathlib import Path

import numpy
import pytest

from glomo_spacy.visual import TokenRows, collect_rows, write_projector


def rows_of(path: Path) -> list:
    return [line.split("\t") for line in path.read_text(encoding="utf8").split("\n")[:-1]]


def test_row_and_line_are_of_one_token(tokens: TokenRows, tmp_path: Path) -> None:
    files = write_projector(tmp_path / "new" / "logs", tokens, layer=1)
    assert [path.name for path in files] == ["vectors.tsv", "metadata.tsv", "projector_config.pbtxt"]
    vectors = numpy.array(rows_of(files[0]), dtype="float32")
    numpy.testing.assert_array_equal(vectors, tokens.vectors[1])  # every digit that counts is there
    head, *lines = rows_of(files[1])
    assert head == ["Index", "Label", "Sentence", "Position", "Context"]
    assert [line[:4] for line in lines] == [
        [str(index), row.word, str(row.sentence), str(row.position)] for index, row in enumerate(tokens.rows)
    ]
    assert lines[1][4] == "the [play] opened"


def test_tensorboard_reads_the_tables(tokens: TokenRows, tmp_path: Path) -> None:
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    vectors, metadata, config = write_projector(tmp_path, tokens, name='play "it"')
    parsed = text_format.Parse(config.read_text(), ProjectorConfig())
    assert parsed.embeddings[0].tensor_name == "play _it_"
    assert plugin._rel_to_abs_asset_path(parsed.embeddings[0].tensor_path, str(config)) == str(vectors.resolve())
    assert plugin._rel_to_abs_asset_path(parsed.embeddings[0].metadata_path, str(config)) == str(metadata.resolve())
    assert plugin._read_tensor_tsv_file(str(vectors)).shape == (15, 6)


def test_further_columns_stand_beside_the_labels(tokens: TokenRows, tmp_path: Path) -> None:
    column = [f"sense {index}" for index in range(len(tokens.rows))]
    head, *lines = rows_of(write_projector(tmp_path, tokens, columns={"Sense": column})[1])
    assert head.index("Sense") == 4
    assert [line[4] for line in lines] == column


def test_a_column_of_another_length_is_refused(tokens: TokenRows, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G055\] column Sense must be one text per row \(15\), but there are 2"):
        write_projector(tmp_path, tokens, columns={"Sense": ["a", "b"]})
    assert not list(tmp_path.iterdir())


def test_tokens_that_hold_tabs_or_line_ends_keep_their_line(tmp_path: Path) -> None:
    words = ["a\tb", "c\nd", "\u2028", "", "\r\n", "e\x85f"]
    rows = collect_rows([words], [numpy.zeros((6, 2))])
    lines = rows_of(write_projector(tmp_path, rows, columns={"Sense": words})[1])
    assert [len(line) for line in lines] == [6] * 7
    assert [line[1] for line in lines[1:]] == ["a b", "c d", "·", "·", "·", "e f"]
