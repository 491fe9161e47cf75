"""Files against their checksums."""

import hashlib
import json

import pytest
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli.verify import verify

RIGHT = hashlib.sha256(b"right").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"right")
    return path


def _run(*args):
    result = CliRunner().invoke(app, ["verify", *map(str, args)])
    return result.exit_code, result.output


def test_file_with_any_accepted_checksum_is_right(text):
    assert _run(text, "--sha256", OTHER, "--sha256", RIGHT.upper()) == (0, f"✔ {text}: {RIGHT}\n")


def test_different_file_exits_with_one_line_and_one(text):
    code, output = _run(text, "--sha256", OTHER)
    assert code == 1
    assert output == f"✘ {text}: SHA-256 is {RIGHT}, expected {OTHER}\n"


def test_list_accepts_any_of_several_checksums_for_a_path(text):
    listed = text.parent / "checksums.txt"
    listed.write_text(f"# official\n{OTHER}  text.txt\n\n# rebuilt\n{RIGHT} *text.txt\n")
    assert [verdict.is_right for verdict in verify(listed)] == [True]


def test_list_reports_each_wrong_file(text):
    listed = text.parent / "checksums.txt"
    listed.write_text(f"{OTHER}  text.txt\n{RIGHT}  gone/away.txt\n{RIGHT}  text.txt.copy\n")
    (text.parent / "text.txt.copy").write_bytes(b"right")
    code, output = _run(listed)
    assert code == 1
    assert [line[0] for line in output.splitlines()] == ["✘", "✘", "✔"]
    assert "away.txt: missing" in output.splitlines()[1]


def test_optional_file_may_be_missing_but_not_different(text):
    gone = text.parent / "gone.txt"
    assert _run(gone, "--sha256", RIGHT)[0] == 1
    assert _run(gone, "--sha256", RIGHT, "--or-missing")[0] == 0
    assert _run(text, "--sha256", OTHER, "--or-missing")[0] == 1


@pytest.mark.parametrize("record", ["corpus.json", "meta.json"])
def test_directory_is_checked_against_its_own_record(text, record):
    (text.parent / record).write_text(json.dumps({"sha256": {"text.txt": RIGHT}}))
    assert [verdict.is_right for verdict in verify(text.parent)] == [True]
    text.write_bytes(b"other")
    assert [verdict.is_right for verdict in verify(text.parent)] == [False]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "no lines"),
        (b"\xff\xfe\x00", "no readable text.*--sha256"),
        (b"abc  text.txt\n", "line 1: 'abc' is not a SHA-256 of 64"),
        (RIGHT.encode(), "no path in line 1"),
    ],
)
def test_list_that_is_none_is_one_clear_error(tmp_path, content, reason):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(ValueError, match=rf"(?s)^\[G909\].*{reason}"):
        verify(tmp_path / "list")


def test_checksum_of_wrong_form_is_refused(text):
    code, output = _run(text, "--sha256", "abc")
    assert code == 1
    assert "[G909] Nothing to verify with in --sha256: 'abc' is not a SHA-256" in output


@pytest.mark.parametrize(
    "content, reason", [(None, "no corpus.json or meta.json"), ("{}", "meta.json lists no checksums")]
)
def test_directory_without_checksums_is_refused(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "meta.json").write_text(content)
    with pytest.raises(ValueError, match=rf"^\[G909\].*{reason}"):
        verify(tmp_path)
