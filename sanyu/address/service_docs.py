"""The page at /docs: the service's API from its own OpenAPI description, with a form per request to try it.

It loads nothing from external servers, because a city's network may have no internet access; FastAPI's own page loads its script from a
CDN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1c2733;background:#fff}
h1{font-size:1.5em}h2{font-size:1.05em;margin:0}code,pre,textarea,input{font:13px/1.45 ui-monospace,monospace}
details{border:1px solid #cdd6df;border-radius:6px;margin:.6em 0;padding:.6em .9em}summary{cursor:pointer}
summary h2{display:inline}.verb{display:inline-block;min-width:3.4em;font-weight:600;color:#0b5c8a}
table{border-collapse:collapse;margin:.6em 0}td,th{border-bottom:1px solid #e3e9ef;padding:.25em .8em .25em 0;text-align:left;
vertical-align:top}
textarea{width:100%;min-height:7em;box-sizing:border-box}pre{background:#f3f6f9;padding:.7em;overflow:auto;max-height:26em}
button{font:inherit;padding:.3em 1.1em;margin:.5em 0}.key{margin:1em 0}.note{color:#57656f}
"""
_SCRIPT = """
const key = document.getElementById('key');
for (const form of document.querySelectorAll('form')) {
  const out = form.querySelector('pre.answer');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const asked = new URLSearchParams();
    for (const input of form.querySelectorAll('input')) if (input.value !== '') asked.append(input.name, input.value);
    const body = form.querySelector('textarea');
    const headers = body ? {'Content-Type': 'application/json'} : {};
    if (key.value) headers['X-API-Key'] = key.value;
    const path = form.dataset.path + (String(asked) ? '?' + asked : '');
    out.hidden = false;
    try {
      const answer = await fetch(path, {method: form.dataset.verb, headers, body: body ? body.value : undefined});
      const text = await answer.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch (error) { /* no JSON: shown as it came */ }
      out.textContent = answer.status + ' ' + answer.statusText + '\\n' + shown;
    } catch (error) { out.textContent = String(error); }
  });
}
"""


def add_docs(app: FastAPI) -> None:
    """Serve the page at /docs."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": POLICY})


def page(described: dict[str, Any]) -> str:
    """Return the page of an OpenAPI 3.1 description."""
    info = described["info"]
    requests = "".join(_requests(described))
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"><title>{escape(info["title"])}</title><style>{_STYLE}</style>'
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))}</p><p>{_marked(info.get('description', ''))}</p>"
        '<p class="key"><label>X-API-Key <input id="key" type="password" autocomplete="off" size="32"></label> '
        '<span class="note">sent with each request below, where the service asks for one</span></p>'
        f'{requests}<p class="note">Machine form: <a href="openapi.json">openapi.json</a> (OpenAPI {escape(described["openapi"])})</p>'
        f"<script>{_SCRIPT}</script></html>"
    )


def _requests(described: dict[str, Any]) -> Iterator[str]:
    for path, verbs in described["paths"].items():
        for verb, one in verbs.items():
            parameters = [p for p in one.get("parameters", ()) if p["in"] == "query"]
            schema = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            body = _schema(described, schema) if schema else None
            rows = [_row(described, p["name"], p["schema"], bool(p.get("required")), p.get("description")) for p in parameters]
            if body is not None:
                needed = body.get("required", ())
                rows += [_row(described, name, field, name in needed, None) for name, field in body.get("properties", {}).items()]
            table = f"<table><tr><th>field<th>type<th>meaning</tr>{''.join(rows)}</table>" if rows else ""
            yield (
                f'<details><summary><h2><span class="verb">{escape(verb.upper())}</span> <code>{escape(path)}</code></h2> '
                f"{_marked(one.get('description') or one.get('summary', ''))}</summary>{table}"
                f"{_form(path, verb, parameters, body)}{_answers(described, one)}</details>"
            )


def _form(path: str, verb: str, parameters: list[dict[str, Any]], body: dict[str, Any] | None) -> str:
    names = [(escape(p["name"]), escape(str(_example(p)))) for p in parameters]
    fields = "".join(f'<p><label><code>{name}</code> <input name="{name}" size="40" value="{value}"></label></p>' for name, value in names)
    examples = [json.dumps(example, ensure_ascii=False, indent=1) for example in (body or {}).get("examples", [{}])]
    more = "".join(f"<p class=note>or</p><pre>{escape(example)}</pre>" for example in examples[1:])
    area = "" if body is None else f'<textarea spellcheck="false" aria-label="body">{escape(examples[0])}</textarea>'
    return (
        f'<form data-path="{escape(path.lstrip("/"))}" data-verb="{escape(verb.upper())}">{fields}{area}'
        f'<button>Send</button><pre class="answer" hidden></pre>{more if body else ""}</form>'
    )


def _answers(described: dict[str, Any], one: dict[str, Any]) -> str:
    found = []
    for status, answer in one["responses"].items():
        content = answer.get("content", {}).get("application/json", {}).get("schema", {})
        fields = ", ".join(f"<code>{escape(name)}</code>" for name in _schema(described, content).get("properties", {}))
        found.append(f"<tr><td>{escape(status)}<td>{escape(answer['description'])}<td>{fields}</tr>")
    return f"<table><tr><th>answer<th><th>fields</tr>{''.join(found)}</table>"


def _row(described: dict[str, Any], name: str, field: dict[str, Any], is_required: bool, meaning: str | None) -> str:
    told = escape(meaning or field.get("description") or "")
    return f"<tr><td><code>{escape(name)}</code>{' *' if is_required else ''}<td>{escape(_type(described, field))}<td>{told}</tr>"


def _type(described: dict[str, Any], field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(described, option) for option in field["anyOf"] if option.get("type") != "null"))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field:
        return ", ".join(str(value) for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(described, field['items'])}" if "items" in field else "list"
    return str(field.get("format") or field.get("type") or field.get("const") or "any")


def _schema(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = described["components"]["schemas"][str(schema["$ref"]).rpartition("/")[2]]
    return schema


def _example(parameter: dict[str, Any]) -> object:
    examples = parameter["schema"].get("examples") or [parameter["schema"].get("default")]
    return "" if examples[0] is None else examples[0]


def _marked(text: str) -> str:
    """Return the text with backquoted parts as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
