"""The page's parts, kept as files in `assets/`, and how they become one page.

The page loads nothing: style and scripts stand in it, and its Content-Security-Policy allows exactly these by their
hash. So even if some text became markup by mistake, a browser would neither run nor load anything from it.
"""

import base64
import hashlib
import html
import re
from functools import cache
from importlib.resources import files
from typing import Dict

SCRIPTS = ("data.js", "arcs.js", "heatmap.js", "detail.js", "page.js")  # in the order in which they need each other
STYLE = "page.css"
PAGE = "page.html"


def fill_page(*, title: str, lang: str, footer: str, data: str) -> str:
    """Put texts and data into the page.

    title (str): Shown by the browser's tab. Any text; it is escaped.
    lang (str): Language code of the texts, for screen readers and fonts. It is escaped.
    footer (str): Last line of the page. It is escaped.
    data (str): JSON without any of the characters `<`, `>` and `&`, as `graph_data.to_json` gives it.
    RETURNS (str): A complete HTML document.
    """
    style, script = _asset(STYLE), _script()
    parts = {
        "title": html.escape(title),
        "lang": html.escape(lang),
        "footer": html.escape(footer),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": data,
    }
    return _substitute(_asset(PAGE), parts)


def _substitute(template: str, parts: Dict[str, str]) -> str:
    """Fill each `{{name}}` once: what is filled in is never searched again, whatever it holds."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _policy(style: str, script: str) -> str:
    allowed = f"style-src {_hash(style)}; script-src {_hash(script)}"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def _script() -> str:
    """All scripts as one, in a function of its own so that they leave no global names."""
    return '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in SCRIPTS) + "})();\n"


@cache
def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
