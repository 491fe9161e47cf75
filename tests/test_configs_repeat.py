"""The same seed gives the same pipeline: `spacy train` twice, and every file of both is equal byte for byte."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest
from config_corpora import CONFIGS, TRAINING_CONFIGS, overrides_for
from spacy.cli.train import train

from glomo_spacy.files import sha256_of

STEPS = {"training.max_steps": 4, "training.eval_frequency": 2}


def digests(folder: Path) -> Dict[str, str]:
    """Every file of a pipeline, by its path within."""
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def train_once(name: str, corpus: Path, output: Path, **settings: int) -> Dict[str, str]:
    """A few steps of a config as it is shipped."""
    overrides = {**overrides_for(name, corpus), **STEPS, **settings}
    train(CONFIGS / f"{name}.cfg", output, overrides=overrides)
    return digests(output / "model-last")


@pytest.mark.parametrize("name", TRAINING_CONFIGS)
def test_training_twice_gives_equal_files(name: str, tmp_path: Path) -> None:
    first, second = (train_once(name, tmp_path, tmp_path / output) for output in ("first", "second"))
    assert first == second
    assert len(first) > 5


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first, second = (train_once("features", tmp_path, tmp_path / str(seed), **{"system.seed": seed}) for seed in (0, 1))
    assert {path for path in first if first[path] != second[path]} >= {"tok2vec/model", "tagger/model"}


@pytest.mark.slow
def test_two_processes_give_equal_files(tmp_path: Path) -> None:
    """Each with its own order of sets and its own memory."""
    code = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_configs_repeat import TRAINING_CONFIGS, train_once
corpus, output = map(Path, sys.argv[2:])
found = {name: train_once(name, corpus, output / name) for name in TRAINING_CONFIGS}
(output / "digests.json").write_text(json.dumps(found))
"""
    found = []
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path), str(tmp_path / seed)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        found.append(json.loads((tmp_path / seed / "digests.json").read_text()))
    assert found[0] == found[1]
    assert [*found[0]] == [*TRAINING_CONFIGS]
