"""Generated pages: a Markdown page, an ODCS file and a golden file per table, the code lists and the messages.

All functions are pure: they return text by path relative to the repository; `sanyu docs` writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from quality.dbt import dbt_views
from quality.delta import constraints, table_properties
from quality.odcs import HISTORY, english, odcs, own_fields
from quality.spark import comment
from schemas.codes import code_list, code_lists
from schemas.fields import code_list_of, fields_of
from schemas.messages import catalogue
from schemas.model import Contract, FieldDef
from schemas.stamp import STAMP

NOTICE = "<!-- Generated from the contracts by `sanyu docs`; edit those, not this. -->\n"
ROOMS = {
    "A": "addresses",
    "C": "geometries of rows",
    "D": "source definitions",
    "E": "settings, session, machine",
    "G": "coordinates and grids",
    "J": "runs",
    "K": "contracts and code lists",
    "L": "the lake",
    "M": "the demo city",
    "N": "mining",
    "P": "releases and maps",
    "Q": "rejected rows",
    "R": "reading files",
}


def pages(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Return all generated files, path → text."""
    tables = list(contracts.values())
    files = {"docs/tables/README.md": index_page(tables), "docs/codes.md": codes_page(), "docs/messages.md": messages_page()}
    files["transforms/dbt/models/sources.yml"] = dbt_views(tables)
    for c in tables:
        files[f"docs/tables/{c.domain}/{c.entity}.md"] = table_page(c)
        files[f"docs/tables/{c.domain}/{c.entity}.odcs.yaml"] = yaml.safe_dump(odcs(c), sort_keys=False, allow_unicode=True, width=120)
        files[f"tests/golden/{c.name}.json"] = golden(c)
    return files


def golden(contract: Contract) -> str:
    """Return the contract and everything derived from it as JSON, so that changes are visible in review."""
    listed = {name: code_list_of(contract, name) for name in (f.name for f in fields_of(contract))}
    whole: dict[str, Any] = {
        "contract": contract.model_dump(mode="json"),
        "table": [[f.name, f.dtype.value, comment(f)] for f in fields_of(contract)],
        "codes": {name: list(code_list(codes).codes()) for name, codes in listed.items() if codes},
        "properties": table_properties(contract),
        "constraints": constraints(contract),
    }
    return json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=False) + "\n"


def index_page(contracts: Iterable[Contract]) -> str:
    """Return the list of all tables."""
    rows = [
        (f"[`{c.name}`]({c.domain}/{c.entity}.md)", c.title_zh, c.grain, c.geometry.kind.value if c.geometry else "", c.history.value)
        for c in sorted(contracts, key=lambda c: c.name)
    ]
    note = "Besides these, each source has a raw table `raw.<domain>__<source>`, all of one shape (`schemas/raw.py`)."
    return f"{NOTICE}# Tables\n\n{_table(('table', '名称', 'one row is', 'geometry', 'history'), rows)}\n{note}\n"


def table_page(contract: Contract) -> str:
    """Return the page of one table."""
    geometry = (
        f"{contract.geometry.kind.value}, EPSG:4490{'' if contract.geometry.required else ', may be missing'}"
        if contract.geometry
        else "none"
    )
    theme = code_list("theme").entry(contract.attribute.theme_code)
    facts = [
        ("One row is", contract.grain),
        ("Key", ", ".join(f"`{k}`" for k in contract.key)),
        ("Geometry", geometry),
        ("Geocoded", f"by `{contract.space.geocode}`, where a row has no geometry" if contract.space.geocode else ""),
        ("History", HISTORY[contract.history]),
        ("Theme", f"{theme.name_zh} {theme.name} (`{theme.code}`)"),
        ("Valid from", f"`{contract.time.valid_from}`, else the batch's edition" if contract.time.valid_from else "the batch's edition"),
        ("Owner, label", f"{contract.owner}, {contract.security_label.value}"),
        ("Rejected rows", f"warns from {contract.thresholds.warn:.0%}, fails from {contract.thresholds.fail:.0%} of a batch"),
        ("Based on", contract.source_note),
        ("Version", str(contract.version)),
    ]
    parts = [
        f"{NOTICE}# {english(contract)} {contract.title_zh}\n\n`{contract.name}` · {contract.description}\n",
        _table(("", ""), [f for f in facts if f[1]]),
        f"## Columns\n\n{_table(('column', '名称', 'type', 'unit, range', 'codes', 'meaning'), _column_rows(contract))}",
    ]
    if contract.layer != "raw":
        stamp = ", ".join(f"`{f.name}`" for f in STAMP)
        parts.append(f"Before these stand the columns of the three-domain stamp ([architecture](../../architecture.md)): {stamp}.\n")
    if contract.checks:
        rows = [(f"`{k.name}`", k.level, k.message, k.message_zh) for k in contract.checks]
        parts.append(f"## Checks beyond the columns\n\n{_table(('check', 'level', 'a bad row', '含义'), rows)}")
    if contract.matching:
        parts.append(f"## Identity\n\n{_matching(contract)}\n")
    return "\n".join(parts)


def _column_rows(contract: Contract) -> list[tuple[str, ...]]:
    own = {c.name: c for c in contract.columns}
    rows: list[tuple[str, ...]] = []
    for f in own_fields(contract):
        listed = code_list_of(contract, f.name)
        is_required = f.name in contract.required or (f.name == "geom" and contract.geometry is not None and contract.geometry.required)
        meaning = (own[f.name].description if f.name in own else None) or f.description
        codes = f"[`{listed}`](../../codes.md#{listed})" if listed else f"`{f.pattern}`" if f.pattern else ""
        rows.append((f"`{f.name}`{' **required**' if is_required else ''}", f.title_zh, f.dtype.value, _range(f), codes, meaning))
    return rows


def _range(field: FieldDef) -> str:
    unit = field.unit if field.unit not in (None, "1") else ""
    if field.minimum is None and field.maximum is None:
        return unit or ""
    low = "" if field.minimum is None else f"{field.minimum:g}"
    high = "" if field.maximum is None else f"{field.maximum:g}"
    return f"{low}…{high} {unit}".strip()


def _matching(contract: Contract) -> str:
    rule = contract.matching
    if rule is None or contract.geometry is None:
        return ""
    equal = f", with equal {' and '.join(f'`{a}`' for a in rule.attributes)}" if rule.attributes else ""
    measure = "" if contract.geometry.kind.value == "point" else f" and share at least {rule.min_overlap:.0%} of their extent"
    return f"A row whose key is new is taken for a known thing if they lie within {rule.max_distance_m:g} m{measure}{equal}."


def codes_page() -> str:
    """Return all code lists."""
    parts = [f"{NOTICE}# Code lists\n\nFiles in `schemas/codes/`. A code is never removed; it gets an end of validity.\n"]
    for name in code_lists():
        rows = [
            (f"`{e.code}`", e.name, e.name_zh, e.parent or "", f"{e.valid_from or ''}…{e.valid_to or ''}".strip("…"), e.note)
            for e in code_list(name)
        ]
        parts.append(f"## {name}\n\n{_table(('code', 'name', '名称', 'parent', 'valid', 'from'), rows)}")
    return "\n".join(parts)


def messages_page() -> str:
    """Return all messages with their remedies, in English and Chinese, by room."""
    parts = [
        f"{NOTICE}# Messages\n\nA code never changes its meaning. `SANYU_LANG` (`en`, `zh`) chooses the language, else the locale does.\n"
    ]
    messages = sorted(catalogue().values(), key=lambda m: m.code)
    for room in sorted({m.code[3] for m in messages}):
        rows = [
            (f"`{m.code}`", f"{m.en}<br>{m.zh}", f"{m.remedy_en}<br>{m.remedy_zh}", str(m.exit_code)) for m in messages if m.code[3] == room
        ]
        title = f"SY-{room}: {ROOMS.get(room, 'others')}"
        parts.append(f"## {title}\n\n{_table(('code', 'message', 'remedy', 'exit'), rows)}")
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
