"""Small files in the format of SQuAD."""

import json
from pathlib import Path
from typing import Any, Dict

TINY = Path(__file__).parent / "fixtures" / "squad_tiny.json"  # own sentences: 6 contexts, 20 questions


def make_content(context: str = "The mast is tall.", **changes: Any) -> Dict[str, Any]:
    """A file with one question, with changes to its entry."""
    entry = {"id": "q1", "question": "What is tall?", "answers": [{"answer_start": 4, "text": "mast"}], **changes}
    return {"version": "1.1", "data": [{"title": "Ships", "paragraphs": [{"context": context, "qas": [entry]}]}]}


def write_squad(path: Path, content: Any) -> Path:
    """Write a file as JSON."""
    path.write_text(json.dumps(content), encoding="utf8")
    return path
