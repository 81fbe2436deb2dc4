"""The result page of a chain: one self-contained HTML file with map, tables and text, readable without a server."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.chain import Chain, Step
from schemas.model import Contract
from transforms.mining.found import NAMED_BY, NOTHING
from transforms.mining.pictures.pictures import plot_local, plot_map

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.d{color:#666;font-size:.9rem}"""
_TOP = 10


@dataclass(frozen=True)
class Found:
    """One step with the rows of its result and the newest run's row."""

    step: Step
    contract: Contract
    rows: Any
    run: dict[str, Any]


def page(chain: Chain, found: Sequence[Found], made_at: str, backdrop: Any = None) -> str:
    """Return the page as HTML; `backdrop` gives outlines for its map."""
    shown = next(f for f in found if f.step.name == chain.page.map)
    parts = [
        f"<h1>{_text(chain.title)} <span lang=zh>{_text(chain.title_zh)}</span></h1>",
        f"<p>{_text(chain.description)}</p>" if chain.description else "",
        f'<img alt="{_text(shown.step.title or shown.step.name)}" src="data:image/png;base64,{_picture(shown, backdrop)}">',
        f"<p>{_text(chain.page.text)}</p><p lang=zh>{_text(chain.page.text_zh)}</p>",
        *(_section(f) for f in found),
        f"<p class=d>{_text(chain.name)}, {_text(made_at)}</p>",
    ]
    head = (
        f'<meta charset=utf-8><meta name=viewport content="width=device-width"><title>{_text(chain.title)}</title><style>{_STYLE}</style>'
    )
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _picture(found: Found, backdrop: Any) -> str:
    rows, about = found.rows, {"title": f"{found.step.title or found.step.name} {found.step.title_zh}".strip(), "backdrop": backdrop}
    figure = plot_local(rows, **about) if {"q_value", "pattern"} <= set(rows.columns) else plot_map(rows, **about)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()


def _section(found: Found) -> str:
    run = found.run
    figures = [(k, v) for k, v in json.loads(run.get("metrics") or "{}").items() if k != "in_process_limit"]
    by = next((name for name in NAMED_BY if name in found.rows.columns), None)
    said = [
        f"<h2>{_text(found.step.title or found.step.name)} <span lang=zh>{_text(found.step.title_zh)}</span></h2>",
        f"<p class=d>{_text(run.get('evidence', ''))}; {_text(found.contract.name)}; {_text(run.get('way', ''))}</p>",
        _table(("rows", len(found.rows)), *figures),
    ]
    if by == "cluster_id":
        said.append(_clusters(found.rows))
    elif by is not None:
        names = found.rows[by].dropna().astype(str)
        counts = names[~names.isin(NOTHING)].value_counts()
        said.append(_table(*[(name, int(count)) for name, count in counts.head(_TOP).items()]) if len(counts) else "<p>Nothing found.</p>")
    elif len(found.rows) == 1:
        row, told = found.rows.iloc[0], {k for k, _ in figures}
        wanted = [c.name for c in found.contract.columns if c.dtype.value == "double" and c.name not in told]
        said.append(
            _table(*[(name, float(row[name])) for name in wanted if row.get(name) is not None and not math.isnan(float(row[name]))])
        )
    return "".join(said)


def _clusters(rows: Any) -> str:
    """Return the largest clusters with their number of rows and their location in degrees."""
    boxes = rows.geometry.bounds.assign(cluster_id=rows["cluster_id"]).dropna(subset=["cluster_id"]).groupby("cluster_id")
    if not len(boxes):
        return "<p>Nothing found.</p>"
    ends = boxes.agg({"minx": "min", "miny": "min", "maxx": "max", "maxy": "max"}).assign(size=boxes.size())
    ends = ends.sort_values("size", ascending=False, kind="stable").head(_TOP)
    return _table(
        *[
            (f"{(r.minx + r.maxx) / 2:.5f}° E, {(r.miny + r.maxy) / 2:.5f}° N", int(size))
            for r, size in zip(ends.itertuples(), ends["size"], strict=True)
        ]
    )


def _table(*rows: tuple[str, Any]) -> str:
    return "<table>" + "".join(f"<tr><td>{_text(name)}</td><td class=n>{_number(value)}</td></tr>" for name, value in rows) + "</table>"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _text(value: Any) -> str:
    return html.escape(str(value))
