"""Publish the versions of the core tables that the gates have seen as one release, with its marts and its map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs import marts
from jobs.context import Loading
from jobs.gate import local_folder
from sanyu.lake.store import LocalStore
from sanyu.serve.preview import preview
from sanyu.serve.publish import publish
from schemas.city import City
from schemas.source import Source


def published(loading: Loading, city: City, sources: Mapping[str, Source], versions: Mapping[str, int]) -> dict[str, Any]:
    """Publish core tables at these Delta versions with the marts made of them, and draw the map; the same versions give the same release.

    What is loaded meanwhile is not in the release, neither in the tables nor in the marts.
    """
    built = marts.run(loading, versions)
    core = [loading.contracts[name] for name in versions]
    made = {mart.table: mart.version for mart in built if mart.version is not None}
    release = publish(
        loading.lake,
        [*core, *(loading.contracts[name] for name in made)],
        sources,
        versions={**versions, **made},
        lineage={mart.table: mart.lineage for mart in built},
        progress=lambda table, done, total: loading.progress(f"publish {done}/{total}: {table}"),
    )
    store = loading.lake.store
    is_local = isinstance(store, LocalStore)
    page = Path(store.uri(f"{release.path}/map.html", scheme="path")) if is_local else local_folder(store) / f"{release.release_id}.html"
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
