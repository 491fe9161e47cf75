"""The README tells the truth: its code runs, and its tables list what there is."""

import re
from pathlib import Path

import pytest
import spacy

from glomo_spacy.cli._app import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")
FIRST_CODE = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_code_that_runs_stands_within_the_first_25_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert FIRST_CODE is not None
    assert README[: FIRST_CODE.end()].count("\n") < 25
    exec(FIRST_CODE[1], names := {})  # noqa: S102  # the test is that it runs
    assert names["doc"]._.glomo_graph.n_tokens == len(names["doc"])
    assert names["doc"][5].text == "prizes"


def test_features_config_builds_a_tok2vec() -> None:
    code = re.search(r"```ini\n(.*?)```", README, flags=re.DOTALL)
    assert code is not None
    config = spacy.util.load_config_from_str(code[1])
    nlp = spacy.blank("en")
    component = nlp.add_pipe("tok2vec", config={"model": config["components"]["tok2vec"]["model"]})
    nlp.initialize()
    doc = nlp("The keys were lost.")
    assert doc.tensor.shape == (len(doc), component.model.get_dim("nO"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_table(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", README, flags=re.MULTILINE)


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_targets_are_named(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf8"), flags=re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_into_the_project_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
