"""What a release says about itself to other catalogues, derived from its tables and their contracts; all links are relative to the file.

```
metadata/<table>.json         the table as DCAT dataset, ISO 19115 metadata and ODCS data contract
metadata/catalog.jsonld       all datasets with their distributions, as one DCAT-AP catalogue
stac/catalog.json             STAC 1.0: stac/<table>/collection.json, and in it the published version as one item
```

DCAT-AP 3.0 (SEMIC), ISO 19115-1:2014, STAC 1.0.0 with the extensions projection 1.1.0, table 1.2.0 and file 2.1.0. A table without geometry
has an item without one; its collection covers the extent of the city's other tables, because STAC wants one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quality.odcs import GEOMETRY_OBJECTS, dcat, english, iso19115, odcs
from sanyu.serve.release import PublishedTable, Release, Right
from schemas.fields import fields_of
from schemas.model import Contract

STAC_VERSION = "1.0.0"
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
TABLE = "https://stac-extensions.github.io/table/v1.2.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
EPSG = 4490
PARQUET = "application/vnd.apache.parquet"
WORLD = [-180.0, -90.0, 180.0, 90.0]
_SPDX = re.compile(r"^(CC0|CC-BY(-NC)?(-SA|-ND)?|ODbL|ODC-By|PDDL|Apache|MIT|OGL-UK)-\d[\d.]*$")
_MULTIHASH_SHA256 = "1220"  # multiformats: function 0x12, 32 bytes
_CONTEXT = {
    "foaf": "http://xmlns.com/foaf/0.1/",
    "locn": "http://www.w3.org/ns/locn#",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
Record = dict[str, Any]


def records(release: Release, contracts: Mapping[str, Contract]) -> dict[str, bytes]:
    """Return the files of a release's catalogues by name below its folder; the same release gives the same bytes."""
    found: dict[str, Record] = {}
    boxes = [box for box in map(bounds, release.tables) if box is not None]
    everywhere = _around(boxes) if boxes else WORLD
    datasets = []
    for table in release.tables:
        contract = contracts[table.name]
        rights = [r for r in release.rights if r.source in table.sources]
        dataset = _dataset(release, table, contract, rights)
        datasets.append(dataset)
        found[f"metadata/{table.name}.json"] = {"dcat": dataset, "iso19115": _iso(table, contract, rights), "odcs": odcs(contract)}
        found[f"stac/{table.name}/collection.json"] = _collection(table, contract, rights, everywhere)
        found[f"stac/{table.name}/{_item_id(table)}.json"] = _item(table, contract)
    found["metadata/catalog.jsonld"] = _catalogue(release, datasets)
    found["stac/catalog.json"] = _root(release)
    return {name: _bytes(record) for name, record in found.items()}


def bounds(table: PublishedTable) -> list[float] | None:
    """Return west, south, east, north of a table in degrees, EPSG:4490, from the statistics of its files; None without geometry."""
    boxes = []
    for part in table.files:
        stats = json.loads(part.stats or "{}")
        low, high = stats.get("minValues", {}).get("bbox"), stats.get("maxValues", {}).get("bbox")
        if low and high:
            boxes.append([low["xmin"], low["ymin"], high["xmax"], high["ymax"]])
    return _around(boxes) if boxes else None


def _around(boxes: Sequence[Sequence[float]]) -> list[float]:
    west, south, east, north = zip(*boxes, strict=True)
    return [min(west), min(south), max(east), max(north)]


def _bytes(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _newest(release: Release) -> int:
    return max(table.committed_at for table in release.tables)


def _item_id(table: PublishedTable) -> str:
    return f"{table.name}-v{table.delta_version}"


def _dataset(release: Release, table: PublishedTable, contract: Contract, rights: Sequence[Right]) -> Record:
    """Return the table as a DCAT-AP dataset whose distribution is the folder of its files."""
    record = dcat(contract)
    folder = f"../{contract.domain}/{contract.entity}/"
    record["@context"] = {**record["@context"], **_CONTEXT}
    record["@id"] = f"urn:sanyu:{release.release_id}:{table.name}"
    record["dct:publisher"] = _agent(contract.owner)
    record["dct:creator"] = [_agent(r.publisher or r.title) for r in rights]
    record["dct:provenance"] = [r.attribution for r in rights]
    record["dct:issued"] = record["dct:modified"] = {"@type": "xsd:dateTime", "@value": _instant(table.committed_at)}
    record["dcat:version"] = f"{contract.version}.{table.delta_version}"
    period = {"dcat:startDate": {"@type": "xsd:dateTime", "@value": table.valid_from}} if table.valid_from else None
    box = bounds(table)
    if period:
        record["dct:temporal"] = {"@type": "dct:PeriodOfTime", **period}
    if box:
        record["dct:spatial"] = {"@type": "dct:Location", "dcat:bbox": {"@type": "locn:wktLiteral", "@value": _wkt(box)}}
    record["dcat:distribution"] = [
        {
            "@type": "dcat:Distribution",
            "dct:title": f"{english(contract)}: GeoParquet and Delta" if table.has_geometry else f"{english(contract)}: Parquet and Delta",
            "dcat:accessURL": {"@id": folder},
            "dcat:downloadURL": [{"@id": f"{folder}{part.name}"} for part in table.files],
            "dcat:mediaType": {"@id": f"https://www.iana.org/assignments/media-types/{PARQUET}"},
            "dcat:byteSize": sum(part.size for part in table.files),
            "dct:license": sorted({r.licence for r in rights}),
        }
    ]
    return record


def _catalogue(release: Release, datasets: Sequence[Record]) -> Record:
    """Return the DCAT-AP catalogue of a release."""
    context: Record = datasets[0]["@context"] if datasets else _CONTEXT
    return {
        "@context": context,
        "@type": "dcat:Catalog",
        "@id": f"urn:sanyu:{release.release_id}",
        "dct:title": {"@value": f"{release.city}, release {release.release_id}", "@language": "en"},
        "dct:description": {"@value": f"Tables of {release.city} published by Sanyu, edition {release.edition.value}", "@language": "en"},
        "dct:publisher": _agent("Sanyu"),
        "dct:issued": {"@type": "xsd:dateTime", "@value": _instant(_newest(release))},
        "dcat:dataset": [{key: value for key, value in dataset.items() if key != "@context"} for dataset in datasets],
    }


def _agent(name: str) -> Record:
    return {"@type": "foaf:Agent", "foaf:name": name}


def _wkt(box: Sequence[float]) -> str:
    west, south, east, north = box
    return f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"


def _iso(table: PublishedTable, contract: Contract, rights: Sequence[Right]) -> Record:
    """Return the table as ISO 19115-1 metadata with the extent, the date and the terms of this release."""
    record = iso19115(contract)
    identification = record["identificationInfo"][0]
    identification["citation"]["date"] = [{"date": _instant(table.committed_at), "dateType": "publication"}]
    identification["credit"] = [r.attribution for r in rights]
    identification["resourceConstraints"] = [*identification["resourceConstraints"], *({"reference": r.licence} for r in rights)]
    extent: Record = {}
    box = bounds(table)
    if box:
        edges = ("westBoundLongitude", "southBoundLatitude", "eastBoundLongitude", "northBoundLatitude")
        extent["geographicElement"] = [dict(zip(edges, box, strict=True))]
    if table.valid_from:
        extent["temporalElement"] = [{"extent": {"beginPosition": table.valid_from}}]
    if extent:
        identification["extent"] = [extent]
    if table.has_geometry and contract.geometry:
        shapes = {"geometricObjectType": GEOMETRY_OBJECTS[contract.geometry.kind], "geometricObjectCount": table.rows}
        record["spatialRepresentationInfo"] = [{"geometricObjects": shapes}]
    return record


def _root(release: Release) -> Record:
    children = [
        {"rel": "child", "href": f"./{t.name}/collection.json", "type": "application/json", "title": t.name} for t in release.tables
    ]
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{release.city}-{release.release_id}",
        "title": f"{release.city}, release {release.release_id}",
        "description": f"Tables of {release.city} published by Sanyu, edition {release.edition.value}. " + "; ".join(release.attribution),
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *children],
    }


def _collection(table: PublishedTable, contract: Contract, rights: Sequence[Right], everywhere: list[float]) -> Record:
    licences = sorted({r.licence for r in rights})
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [TABLE],
        "id": table.name,
        "title": f"{english(contract)} {contract.title_zh}",
        "description": f"{contract.description}. {contract.grain}",
        "keywords": [contract.domain, contract.attribute.theme_code, contract.title_zh],
        "license": _licence(licences),
        "providers": [
            {"name": contract.owner, "roles": ["processor", "host"]},
            *({"name": r.publisher or r.title, "description": f"{r.attribution} ({r.licence})", "roles": ["producer"]} for r in rights),
        ],
        "extent": {"spatial": {"bbox": [bounds(table) or everywhere]}, "temporal": {"interval": [[_began(table), None]]}},
        "table:columns": _columns(table, contract),
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            {"rel": "item", "href": f"./{_item_id(table)}.json", "type": "application/geo+json"},
            {"rel": "describedby", "href": f"../../metadata/{table.name}.json", "type": "application/json"},
        ],
    }


def _item(table: PublishedTable, contract: Contract) -> Record:
    """Return the published version of a table as an item; its datetime is when the lake committed that version."""
    box = bounds(table)
    folder = f"../../{contract.domain}/{contract.entity}"
    has_box = {} if box is None else {"bbox": box}
    properties: Record = {
        "datetime": _instant(table.committed_at),
        "title": f"{english(contract)} {contract.title_zh}",
        "table:columns": _columns(table, contract),
        "table:row_count": table.rows,
    }
    extensions = [TABLE, FILE]
    if table.has_geometry:
        extensions.append(PROJECTION)
        properties |= {"table:primary_geometry": "geom", "proj:epsg": EPSG}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": _item_id(table),
        "geometry": None if box is None else _polygon(box),
        **has_box,
        "properties": properties,
        "collection": table.name,
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "./collection.json", "type": "application/json"},
            {"rel": "collection", "href": "./collection.json", "type": "application/json"},
        ],
        "assets": {
            part.name.removesuffix(".parquet"): {
                "href": f"{folder}/{part.name}",
                "type": PARQUET,
                "title": f"{part.rows:,} rows",
                "roles": ["data"],
                "file:size": part.size,
                "file:checksum": _MULTIHASH_SHA256 + part.sha256,
            }
            for part in table.files
        },
    }


def _began(table: PublishedTable) -> str:
    return table.valid_from or _instant(table.committed_at)


def _columns(table: PublishedTable, contract: Contract) -> list[Record]:
    about = {f.name: f for f in fields_of(contract)}
    own = {c.name: c.description for c in contract.columns}
    columns = []
    for name, kind in table.columns:
        text = own.get(name) or (about[name].description if name in about else None)
        columns.append({"name": name, "type": kind} | ({"description": text} if text else {}))
    return columns


def _licence(licences: Sequence[str]) -> str:
    """Return an SPDX identifier where all sources share one, `various` where they differ, else `proprietary` (STAC 1.0, Collection)."""
    if len(licences) > 1:
        return "various"
    found = licences[0].strip().replace(" ", "-") if licences else ""
    return found if _SPDX.match(found) else "proprietary"


def _polygon(box: Sequence[float]) -> Record:
    west, south, east, north = box
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}
