"""The README of a release: what it contains, from whom, and under which terms it may be used."""

from __future__ import annotations

from collections.abc import Mapping

from quality.odcs import english
from sanyu.serve.release import PublishedTable, Release
from sanyu.serve.terms import Terms, licence, terms
from schemas.model import Contract


def readme(release: Release, contracts: Mapping[str, Contract]) -> str:
    """Return the page as Markdown; the same release gives the same text."""
    lines = [
        f"# {release.city}, release {release.release_id}",
        "",
        f"Edition `{release.edition.value}`, published by Sanyu. Each table is one folder of GeoParquet files (Parquet without geometry) "
        "that is also a Delta table; coordinates are longitude and latitude in EPSG:4490.",
        "`manifest.json` lists every file with its SHA-256, `metadata/` and `stac/` are for catalogues, `map.html` is a map that "
        "needs no network.",
        "",
        "## Tables",
        "",
        "| table | what | rows | licences |",
        "|---|---|---|---|",
    ]
    for table in release.tables:
        contract = contracts[table.name]
        names = ", ".join(one.name for one in _terms(release, table).licences) or "–"
        title = f"{english(contract)} {contract.title_zh}"
        lines.append(f"| [{table.name}]({contract.domain}/{contract.entity}/) | {title} | {table.rows:,} | {names} |")
    columns = ("source", "title", "publisher", "licence", "attribution")
    lines += ["", "## Sources", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for right in release.rights:
        url = licence(right.licence).url
        named = f"[{right.licence}]({url})" if url else right.licence
        cells = (right.source, right.title, right.publisher or "–", named, right.attribution)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "Whoever uses a table names the sources that are in it by their attribution.", "", "## Terms", ""]
    for table in release.tables:
        lines += _asked(release, table)
    return "\n".join(lines) + "\n"


def _terms(release: Release, table: PublishedTable) -> Terms:
    return terms((r.licence for r in release.rights_of(table)), is_derived=table.lineage is not None)


def _asked(release: Release, table: PublishedTable) -> list[str]:
    """Return the terms of one table: its sources, what it was derived from, and the combined obligations of the licences."""
    lines = [f"**{table.name}**: {', '.join(table.sources) or 'no source has rows in it'}.", ""]
    if table.lineage is not None:
        inputs = ", ".join(f"{origin.table} (version {origin.delta_version})" for origin in table.lineage.inputs)
        lines += [f"- Derived by {table.lineage.made_by} from {inputs}."]
    lines += [f"- {text}." for text in _terms(release, table).statements]
    return lines if lines[-1] == "" else [*lines, ""]
