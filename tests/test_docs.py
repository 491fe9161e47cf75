"""The documentation tells the truth: its recipes run as they are written, and what it names is there."""

import re
import shutil
from pathlib import Path
from typing import List

import pytest
from recipes import matches, run_recipe

import glomo_spacy
from glomo_spacy.errors import Errors, Warnings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = Path(glomo_spacy.__file__).parent  # installed, maybe elsewhere
RECIPES = ["pretraining", "graphs_in_a_tagger", "elmo_in_ner", "surprisal_and_readability", "questions_and_answers"]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("projects/*/README.md")),
    *sorted(ROOT.glob("projects/*/data/README.md")),
]
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", flags=re.DOTALL | re.MULTILINE)
PATH = re.compile(r"`((?:configs|projects|docs|benchmarks|tests|glomo_spacy)/[\w./-]+)`")
TROUBLES = (DOCS / "troubleshooting.md").read_text(encoding="utf8")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what recipes use of a checkout, as the working directory."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "projects" / "quickstart" / "data", tmp_path / "projects" / "quickstart" / "data")
    shutil.copytree(DOCS / "sample", tmp_path / "docs" / "sample")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_as_it_is_written(name: str, checkout: Path) -> None:
    run_recipe(DOCS / f"{name}.md")
    assert {path.name for path in checkout.iterdir()} == {"configs", "docs", "guide", "projects"}


@pytest.mark.parametrize(
    "expected, found, is_same",
    [
        ("bits 5.2", "bits  5.3", True),
        ("bits 5.2", "bits 5.5", False),
        ("1,000 words", "1,020 words", True),
        ("1,000 words", "1,050 words", False),
        ("2 boats", "3 boats", False),
        ("a … d", "a b c d", True),
        ("a … d", "a b c", False),
        ("prizes 0.4", "prize 0.4", False),
    ],
)
def test_output_is_compared_word_for_word_and_numbers_nearly(expected: str, found: str, is_same: bool) -> None:
    assert matches(expected, found) == is_same


@pytest.mark.parametrize(
    "block, message",
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```", r"page.md:5 shows\n2\n\nbut this was printed:\n1"),
        ("```bash\nls nowhere\n```", "page.md:1: ls nowhere\n.*nowhere"),
        ("```bash\npython -m glomo_spacy info nowhere\n```", "page.md:1: python -m glomo_spacy info nowhere\n.*G122"),
        ("```python\nraise SystemExit(1)\n```", "page.md:1 ends with 1"),
        ("```ini\n[paths]\n```", "page.md:1: nothing is known of 'ini'"),
    ],
    ids=["other output", "failing command", "failing command of ours", "exit", "unknown language"],
)
def test_recipe_that_does_not_run_as_shown_is_noticed(block: str, message: str, checkout: Path) -> None:
    page = checkout / "page.md"
    page.write_text(block, encoding="utf8")
    with pytest.raises(AssertionError, match=message):
        run_recipe(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [target for target in targets if not _is_there(page, target)] == []


def _is_there(page: Path, target: str) -> bool:
    if target.startswith(("http://", "https://")):
        return True
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(page: Path) -> List[str]:
    """Where a page can be entered, named as the usual viewers of Markdown do: by its headings, in small letters."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_every_path_in_a_page_is_there(page: Path) -> None:
    paths = PATH.findall(page.read_text(encoding="utf8"))
    places = {path: PACKAGE.parent if path.startswith("glomo_spacy/") else ROOT for path in paths}
    assert [path for path, place in places.items() if not (place / path).exists()] == []


def test_every_page_is_reached_from_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf8")
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= set(re.findall(r"\((\w+\.md)\)", index))


def test_architecture_page_names_every_folder_of_the_package() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf8")
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {folder for folder in folders if f"`glomo_spacy/{folder}`" not in page} == set()


@pytest.mark.parametrize("code, quote", re.findall(r"^### (G\d{3})\n\n> (.+)$", TROUBLES, flags=re.MULTILINE))
def test_troubleshooting_quotes_the_message_of_its_code(code: str, quote: str) -> None:
    message = getattr(Errors, code, None) or getattr(Warnings, code)
    pattern = ".+".join(re.escape(part.strip()) for part in quote.split("…"))
    assert re.match(rf"\[{code}\] {pattern}", message)


@pytest.mark.parametrize("code", sorted(set(re.findall(r"\bG\d{3}\b", TROUBLES))))
def test_troubleshooting_knows_no_code_that_is_gone(code: str) -> None:
    assert hasattr(Errors, code) or hasattr(Warnings, code)
