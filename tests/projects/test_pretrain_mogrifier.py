"""The project `pretrain_mogrifier`, run as a user runs it, on a small text with the tiny config."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
import torch
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.models import load_checkpoint, read_checkpoint

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "pretrain_mogrifier"
TINY = {
    "text": "train.txt",
    "dev": "dev.txt",
    "test": "test.txt",
    "config": "../../configs/tiny/pretrain_mogrifier.cfg",
    "name": "tiny",
    "n_process": 1,
    "dynamic_tokens": 100,
    "lstm_hidden_width": 17,
}


def copy_project(folder: Path) -> Path:
    """A copy of the project, with some tokenised text on farm life, and of the configs it refers to."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    generated = shutil.ignore_patterns("assets", "corpus", "training", "metrics", "packaged", "project.lock")
    copy = shutil.copytree(PROJECT, folder / "projects" / "pretrain_mogrifier", ignore=generated)
    for number, (split, n_lines) in enumerate({"train": 60, "dev": 10, "test": 10}.items()):
        lines = [f"The farmer sold {n} <unk> sheep because winter {n * 7 + number} was long ." for n in range(n_lines)]
        (copy / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    return copy


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("pretrain_mogrifier"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8"))


def perplexities(lines: str, cell: str) -> List[str]:
    """What the table says of a kind of cell: validation, test."""
    return re.findall(r"[\d.]+ ± [\d.]+", re.search(rf"^ *{cell} .*$", lines, flags=re.MULTILINE)[0])


def test_all_trains_a_checkpoint_and_writes_figures_and_a_page(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    assert load_checkpoint(project / "training" / "tiny" / "model-best").config.hidden_width == 16
    assert read(project / "metrics" / "tiny.json")["perplexity"] > 1
    assert read(project / "metrics" / "tiny_test.json")["unknown_rate"] > 0
    static, dynamic = (read(project / "metrics" / f"tiny_{name}.json") for name in ("static", "dynamic"))
    assert static["n_targets"] == dynamic["n_targets"] == 100
    assert dynamic["method"]["name"] == "dynamic"
    assert "garden path" in (project / "metrics" / "tiny.html").read_text(encoding="utf8")
    exported = read_checkpoint(project / "packaged" / "tiny")
    assert {tensor.dtype for tensor in exported.state.values()} == {torch.float16}
    nlp = spacy.blank("en")
    nlp.add_pipe("mogrifier_lm", config={"pretrained": str(project / "packaged" / "tiny")})
    assert nlp("The farmer sold sheep.")[1]._.surprisal > 0


def test_raw_text_of_ones_own_will_do(project: Path, run_project: Any) -> None:
    documents = [f"The sailor sold {n} boats. The winter was stormy. " * 3 for n in range(40)]
    (project / "raw.txt").write_text("\n\n".join(documents), encoding="utf8")
    for step in ("prepare-raw", "train", "evaluate"):
        done = run_project(project, step, **{**TINY, "name": "raw"}, raw_text="raw.txt", raw_max_words=50)
        assert done.code == 0, done.output
    assert read(project / "metrics" / "raw.json")["perplexity"] > 1


def test_compare_ends_with_a_table_of_both_cells_over_three_seeds(project: Path, run_project: Any) -> None:
    done = run_project(project, "compare", **TINY, compare_epochs=0.1)
    assert done.code == 0, done.output
    figures = read(project / "metrics" / "compare_tiny.json")
    assert {cell: sorted(seeds) for cell, seeds in figures.items()} == {
        "mogrifier": ["1", "2", "3"],
        "lstm": ["1", "2", "3"],
    }
    for cell, seeds in figures.items():
        assert len({run["test"] for run in seeds.values()}) == 3
        for place, split in enumerate(("valid", "test")):
            mean = sum(run[split] for run in seeds.values()) / 3
            assert perplexities(done.output, cell)[place].startswith(f"{mean:.1f} ± ")
    assert figures["mogrifier"]["1"]["tokens"] == figures["lstm"]["1"]["tokens"]
    assert load_checkpoint(project / "training" / "compare_tiny" / "lstm" / "3" / "model-best").config.cell == "lstm"
    again = run_project(project, "compare-lstm", **TINY, compare_epochs=0.2)  # what is measured is not trained again
    assert again.code == 0, again.output
    assert read(project / "training" / "compare_tiny" / "lstm" / "1" / "figures.json") == figures["lstm"]["1"]


def test_a_damaged_asset_stops_the_workflow_before_any_work(tmp_path: Path, run_project: Any) -> None:
    project = copy_project(tmp_path)
    asset = project / "assets" / "wiki.test.tokens"
    asset.parent.mkdir()
    asset.write_text("not the text that was meant", encoding="utf8")
    done = run_project(project, "pretrain", **TINY)
    assert done.code == 1
    assert "assets/wiki.test.tokens: SHA-256 is" in done.output
    assert not (project / "corpus" / "tiny").exists()


def test_every_workflow_begins_with_verify() -> None:
    workflows: Dict[str, List[str]] = load_project_config(PROJECT)["workflows"]
    assert {"pretrain", "all", "compare"} <= set(workflows)
    assert {steps[0] for steps in workflows.values()} == {"verify"}


def test_every_asset_has_its_checksum_or_is_extra() -> None:
    sums = (PROJECT / "checksums.txt").read_text(encoding="utf8")
    for asset in load_project_config(PROJECT)["assets"]:
        assert asset.get("extra") or (asset["checksum"] and f"  {asset['dest']}\n" in sums)


@pytest.mark.parametrize("variant", ["sm", "sm_ptb", "paper", "paper_wikitext2", "awd", "sgd"])
def test_every_variant_has_its_config(variant: str) -> None:
    assert f"`{variant}`" in load_project_config(PROJECT)["description"]
    values = load_project_config(PROJECT, overrides={"vars.variant": variant})
    train = next(command for command in values["commands"] if command["name"] == "train")
    assert (PROJECT / train["deps"][0]).is_file()


def test_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated
