"""Publish the lake's current rows as one release, with its map beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs import marts
from jobs.context import Loading
from sanyu.lake.store import LocalStore
from sanyu.serve.preview import preview
from sanyu.serve.publish import publish
from schemas.city import City
from schemas.source import Source


def published(loading: Loading, city: City, sources: Mapping[str, Source]) -> dict[str, Any]:
    """Bring the marts up to date, publish them with all core tables and draw the map; an unchanged lake gives the release that is there."""
    built = marts.run(loading)
    core = [c for c in loading.contracts.values() if c.layer == "core"]
    release = publish(
        loading.lake,
        [*core, *(loading.contracts[mart.table] for mart in built)],
        sources,
        lineage=marts.lineage(loading.lake),
        progress=lambda table, done, total: loading.progress(f"publish {done}/{total}: {table}"),
    )
    store = loading.lake.store
    is_local = isinstance(store, LocalStore)
    page = (
        Path(store.uri(f"{release.path}/map.html", scheme="path")) if is_local else Path(".sanyu").resolve() / f"{release.release_id}.html"
    )
    if release.changed or not page.is_file():
        loading.progress("map")
        preview(loading.lake, core, page, release=release, title=f"{city.title} {city.title_zh}")
        if not is_local:
            store.upload(page, f"{release.path}/map.html")
    return {
        "release_id": release.release_id,
        "state": "published" if release.changed else "nothing changed",
        "tables": len(release.tables),
        "rows": sum(t.rows for t in release.tables),
        "path": store.uri(release.path, scheme="path" if is_local else "s3a"),
        "map": str(page),
        "marts": [mart.as_dict() for mart in built],
    }
