"""The benchmarks run from a checkout; their figures are not tested, only that they compare equal things."""

import json
from pathlib import Path

from running import captured, run_python

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = "--width 32 --heads 4 --layers 1 --convolutions 1 --vocab 50 --batch 3 --lengths 20 --rounds 1"


def test_glomo_benchmark_compares_equal_graphs(tmp_path: Path) -> None:
    options = [*TINY.split(), "--parts", "graphs", "step", "--output", str(tmp_path / "results.json")]
    done = captured(lambda: run_python([str(BENCHMARKS / "glomo.py"), *options]))
    assert done.code == 0, done.output
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    by_name = {(row["task"][:5], row["contender"]): row for row in report["results"]}
    assert by_name["graph", "ours, float32"]["row difference"]["largest"] < 1e-4
    assert by_name["graph", "ours, bfloat16 weights"]["row difference"]["mean"] < 0.05
    assert by_name["step,", "ours, float32"]["times as fast"] > 0
    assert "| formulas, float32 |" in done.output
    assert report["machine"]["threads"] == 1


def test_elmo_benchmark_compares_equal_layers(tmp_path: Path) -> None:
    options = ["--parts", "layers", "precision", "--sizes", "tiny", "--sentences", "40", "--rounds", "1", "--output"]
    done = captured(lambda: run_python([str(BENCHMARKS / "elmo.py"), *options, str(tmp_path / "results.json")]))
    assert done.code == 0, done.output
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    by_task = {(row["task"].rpartition(", ")[2], row["contender"]): row for row in report["results"]}
    for order in ("unsorted", "sorted"):
        for contender in ("ours, batches of 32", "ours, one call"):
            assert by_task[order, contender]["largest difference"] < 1e-5
    errors = [row["relative error"] for row in report["results"] if row["contender"] in ("bfloat16", "int8")]
    assert len(errors) == 6  # two types, in one call and in batches of two orders
    assert all(0 < error < 0.05 for error in errors)
    assert "| published |" in done.output


def test_mogrifier_benchmark_compares_equal_layers_and_steps(tmp_path: Path, mogrifier_checkpoint: str) -> None:
    sizes = ["--width", "96", "--batch", "3", "--steps", "4", "--vocab", "60", "--sentences", "20", "--turns", "1"]
    options = [*sizes, "--pretrained", mogrifier_checkpoint, "--output", str(tmp_path / "results.json")]
    done = captured(lambda: run_python([str(BENCHMARKS / "mogrifier.py"), *options]))
    assert done.code == 0, done.output
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    errors = {row["contender"]: row["relative error"] for row in report["results"] if "relative error" in row}
    assert errors["ours, float32"] < 1e-5
    assert 0 < errors["ours, bfloat16"] < 0.05
    assert 0 < errors["ours, int8"] < 0.05
    losses = {row["contender"]: row["first loss"] for row in report["results"] if "first loss" in row}
    assert abs(losses["ours, float32"] - losses["public loop, float32"]) < 1e-4
    shares = [row["share of products"] for row in report["results"] if "share of products" in row]
    assert len(shares) == 2
    assert {row["contender"] for row in report["results"] if row["task"].startswith("nlp.pipe")} == {
        "tok2vec",
        "mogrifier_lm",
    }


def test_cached_benchmark_trains_equal_taggers(tmp_path: Path, elmo_checkpoint: str) -> None:
    sizes = ["--features", "elmo", "elmo and CNN", "--sentences", "20", "--epochs", "2", "--elmo", elmo_checkpoint]
    options = [*sizes, "--output", str(tmp_path / "results.json")]
    done = captured(lambda: run_python([str(BENCHMARKS / "cached.py"), *options]))
    assert done.code == 0, done.output
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))["results"]
    assert [row["contender"] for row in results] == 2 * ["each epoch", "kept", "kept in a folder"]
    assert all(row["difference"] < 1e-4 for row in results)
    assert "| kept in a folder |" in done.output
