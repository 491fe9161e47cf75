"""The command `convert`, as a user runs it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from glomo_spacy.cli._app import app
from glomo_spacy.models import read_checkpoint

FIXTURE = Path(__file__).parents[1] / "fixtures" / "glomo" / "state_dict.pt"


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["convert", *args])
    return result.exit_code, result.output


def test_convert_writes_a_checkpoint_and_says_what_it_left_out(tmp_path: Path) -> None:
    options = ("--from", "glomo", "--heads", "4", "--sparsity", "top-k", "--feature-predictor", "additive")
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options, "--top-k-rate", "2.5", "--dec-len", "4")
    assert code == 0, output
    assert "2 layers of 4 heads per direction" in output
    assert "st_predictor_fw.gru_cell.bias_hh" in output
    assert "takes word ids, not words" in output
    model = read_checkpoint(tmp_path / "out").model
    assert (model["sparsity"], model["feature_predictor"], model["top_k_rate"], model["dec_len"]) == (
        "top-k",
        "additive",
        2.5,
        4,
    )


def test_convert_reads_a_vocabulary_file(tmp_path: Path) -> None:
    words = [f"word{index}" for index in range(22)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n", encoding="utf8")
    options = ("--from", "glomo", "--heads", "4", "--sparsity", "threshold", "--vocab", str(tmp_path / "words.txt"))
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options)
    assert code == 0, output
    assert "No vocabulary" not in output
    assert read_checkpoint(tmp_path / "out").vocab == [*words, "<unk>"]


@pytest.mark.parametrize(
    "options, message",
    [
        (("--from", "elsewhere", "--heads", "4", "--sparsity", "relu"), "[G100] --from = 'elsewhere'"),
        (("--from", "glomo", "--heads", "5", "--sparsity", "relu"), "[G225] 5 heads do not divide"),
        (("--from", "glomo", "--heads", "4", "--sparsity", "none"), "[G100] sparsity = 'none'"),
        (("--from", "glomo", "--heads", "4", "--sparsity", "relu", "--vocab", "absent.txt"), "[G206] absent.txt"),
    ],
)
def test_convert_exits_with_one_line_for_a_bad_option(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options)
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()
