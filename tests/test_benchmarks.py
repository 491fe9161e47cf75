"""The benchmark runs from a checkout; its figures are not tested, only that it compares equal things."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "glomo.py"
TINY = "--width 32 --heads 4 --layers 1 --convolutions 1 --vocab 50 --batch 3 --lengths 20 --rounds 1"


def test_glomo_benchmark_compares_equal_graphs(tmp_path: Path) -> None:
    options = [*TINY.split(), "--parts", "graphs", "step", "--output", str(tmp_path / "results.json")]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    by_name = {(row["task"][:5], row["contender"]): row for row in report["results"]}
    assert by_name["graph", "ours, float32"]["row difference"]["largest"] < 1e-4
    assert by_name["graph", "ours, bfloat16 weights"]["row difference"]["mean"] < 0.05
    assert by_name["step,", "ours, float32"]["times as fast"] > 0
    assert "| formulas, float32 |" in done.stdout
    assert report["machine"]["threads"] == 1
