"""One mistake in a pipeline or its config, with the lines that mend it."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One mistake.

    message (str): What is wrong, with its code; then the lines to add, where there are such.
    is_error (bool): It cannot work, or gives wrong results. False: it may be meant.
    """

    message: str
    is_error: bool = True


def config_lines(section: str, **values: Any) -> str:
    """A part of a config as people write it: its header, then a line per setting."""
    return "\n".join(
        [f"[{section}]", *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())]
    )
