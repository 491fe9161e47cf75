"""The parts of pages, kept as files in `assets/`, and how they become one page.

A page loads nothing: style and scripts stand in it, and its Content-Security-Policy allows exactly these by their
hash. So even if some text became markup by mistake, a browser would neither run nor load anything from it.
"""

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Dict, Mapping, NamedTuple, Tuple

FOOTER = "Made with glomo-spacy. This page is complete in itself: it loads nothing and sends nothing."


class Page(NamedTuple):
    """A kind of page.

    main (str): What stands between the header and the footer of `page.html`, the document that all kinds share.
    styles (Tuple[str, ...]), scripts (Tuple[str, ...]): In the order in which they need each other.
    """

    main: str
    styles: Tuple[str, ...]
    scripts: Tuple[str, ...]


GRAPH_PAGE = Page(
    "graph.html",
    styles=("base.css", "graph.css"),
    scripts=("base.js", "data.js", "arcs.js", "heatmap.js", "detail.js", "graph.js"),
)
MAP_PAGE = Page(
    "map.html",
    styles=("base.css", "map.css"),
    scripts=("base.js", "points.js", "neighbours.js", "map.js"),
)
ANSWER_PAGE = Page("answer.html", styles=("base.css", "answer.css"), scripts=("base.js", "answer_data.js", "answer.js"))
SURPRISAL_PAGE = Page("surprisal.html", styles=("base.css", "surprisal.css"), scripts=("base.js", "surprisal.js"))


def fill_page(page: Page, *, title: str, lang: str, data: Mapping[str, Any]) -> str:
    """Put texts and data into a page.

    page (Page): Its parts.
    title (str): Shown by the browser's tab. Any text; it is escaped.
    lang (str): Language code of the texts, for screen readers and fonts. It is escaped.
    data (Mapping[str, Any]): What the scripts draw: plain lists, numbers and texts.
    RETURNS (str): A complete HTML document.
    """
    style, script = "".join(map(asset, page.styles)), _script(page.scripts)
    parts = {
        "title": html.escape(title),
        "lang": html.escape(lang),
        "footer": html.escape(FOOTER),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": to_json(data),
        "main": asset(page.main).rstrip("\n"),
    }
    return _substitute(asset("page.html"), parts)


def to_json(data: Mapping[str, Any]) -> str:
    """JSON that may stand inside a `<script>` element.

    Characters that could end the element or start another one (`<`, `>`, `&`) and all beyond ASCII, the line ends
    U+2028 and U+2029 and lone surrogates among them, are written as `\\uXXXX`, which JSON reads back as they were.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def one_line(text: str) -> str:
    """Line ends and tabs inside a word, shown as a space."""
    return " ".join(text.split()) or text


@cache
def asset(name: str) -> str:
    """A file of `assets/`."""
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


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
def _script(names: Tuple[str, ...]) -> str:
    """All scripts as one, in a function of its own so that they leave no global names."""
    return '(() => {\n"use strict";\n' + "\n".join(map(asset, names)) + "})();\n"
