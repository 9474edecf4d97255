"""The page `/docs`: the server's own description as plain HTML, which needs no other server."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def manual(openapi: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        openapi: The description, as `/openapi.json` gives it.
    """
    parts = [
        _route(path, method, about)
        for path, methods in openapi["paths"].items()
        for method, about in methods.items()
    ]
    title = escape(openapi["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: routes</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/page.css">'
        "</head><body><main>"
        f"<h1>{title} {escape(openapi['info']['version'])}</h1>"
        '<p>The same as <a href="/openapi.json">/openapi.json</a>, for other tools. '
        'A page to try it: <a href="/">/</a>.</p>'
        f"{''.join(parts)}</main></body></html>"
    )


def _route(path: str, method: str, about: Mapping[str, Any]) -> str:
    body = about.get("requestBody", {}).get("content", {})
    rows = [
        ("takes", ", ".join(body)),
        *((f"{one['in']}: {one['name']}", one.get("description", "")) for one in _given(about)),
        *((code, one.get("description", "")) for code, one in sorted(about["responses"].items())),
    ]
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
        for name, text in rows
        if text
    )
    return (
        f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
        f"<p>{escape(about.get('description', ''))}</p><table>{cells}</table></section>"
    )


def _given(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = about.get("parameters", [])
    return found
