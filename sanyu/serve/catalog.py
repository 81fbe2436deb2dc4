"""Descriptions of a release for external catalogues, derived from its tables and their contracts; all links are relative to the file.

```
README.md                     tables, sources with their attribution and licences, and their combined obligations, for people
metadata/<table>.json         the table as DCAT dataset, ISO 19115 metadata and ODCS data contract
metadata/catalog.jsonld       all datasets with their distributions, as one DCAT-AP catalogue
stac/catalog.json             STAC 1.1: stac/<table>/collection.json, and in it the published version as one item
```

DCAT-AP 3.0 (SEMIC), ISO 19115-1:2014, STAC 1.1.0 with the extensions projection 2.0.0, table 1.2.0, file 2.1.0 and processing 1.2.0.
A table without geometry has an item without one; its collection gets the extent of the city's other tables, because STAC requires one.
Provenance is expressed by `dct:source` (the sources) and, for a derived table, `prov:wasDerivedFrom` (the lake's tables). The combined
obligations of its licences (`sanyu.serve.terms`) are in all four.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quality.odcs import GEOMETRY_OBJECTS, dcat, english, iso19115, odcs
from sanyu.serve.readme import readme
from sanyu.serve.release import README, Origin, PublishedTable, Release, Right
from sanyu.serve.terms import Licence, Terms, licence, terms
from schemas.fields import fields_of
from schemas.model import Contract

STAC_VERSION = "1.1.0"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
TABLE = "https://stac-extensions.github.io/table/v1.2.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
CRS = "EPSG:4490"
PARQUET = "application/vnd.apache.parquet"
WORLD = [-180.0, -90.0, 180.0, 90.0]
_MULTIHASH_SHA256 = "1220"  # multiformats: function 0x12, 32 bytes
_CONTEXT = {
    "foaf": "http://xmlns.com/foaf/0.1/",
    "locn": "http://www.w3.org/ns/locn#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
Record = dict[str, Any]


def records(release: Release, contracts: Mapping[str, Contract]) -> dict[str, bytes]:
    """Return the catalogue files of a release by name below its folder; the same release gives the same bytes."""
    found: dict[str, Record] = {}
    boxes = [box for box in map(bounds, release.tables) if box is not None]
    everywhere = _around(boxes) if boxes else WORLD
    datasets = []
    for table in release.tables:
        contract = contracts[table.name]
        rights = release.rights_of(table)
        asked = terms((r.licence for r in rights), is_derived=table.lineage is not None)
        dataset = _dataset(release, table, contract, rights, asked)
        datasets.append(dataset)
        found[f"metadata/{table.name}.json"] = {
            "dcat": dataset,
            "iso19115": _iso(table, contract, rights, asked),
            "odcs": _odcs(table, contract, rights, asked),
        }
        found[f"stac/{table.name}/collection.json"] = _collection(table, contract, rights, asked, everywhere)
        found[f"stac/{table.name}/{_item_id(table)}.json"] = _item(release, table, contract)
    found["metadata/catalog.jsonld"] = _catalogue(release, datasets)
    found["stac/catalog.json"] = _root(release)
    return {README: readme(release, contracts).encode(), **{name: _bytes(record) for name, record in found.items()}}


def bounds(table: PublishedTable) -> list[float] | None:
    """Return west, south, east, north of a table in degrees, EPSG:4490, from its file statistics; None without geometry."""
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


def _dataset(release: Release, table: PublishedTable, contract: Contract, rights: Sequence[Right], asked: Terms) -> Record:
    """Return the table as a DCAT-AP dataset whose distribution is the folder of its files."""
    record = dcat(contract)
    folder = f"../{contract.domain}/{contract.entity}/"
    record["@context"] = {**record["@context"], **_CONTEXT}
    record["@id"] = f"urn:sanyu:{release.release_id}:{table.name}"
    record["dct:publisher"] = _agent(contract.owner)
    record["dct:creator"] = [_agent(r.publisher or r.title) for r in rights]
    record["dct:provenance"] = [{"@type": "dct:ProvenanceStatement", "rdfs:label": _english(_lineage(table, contract))}]
    record["dct:source"] = [_source(r) for r in rights]
    if table.lineage is not None:
        record["prov:wasDerivedFrom"] = [_origin(release, origin) for origin in table.lineage.inputs]
        record["prov:wasGeneratedBy"] = {"@type": "prov:Activity", "rdfs:label": _english(table.lineage.made_by)}
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
            "dct:license": [_licence(one) for one in asked.licences],
            "dct:rights": [
                {"@type": "dct:RightsStatement", "rdfs:label": _english(text)}
                for text in (*(r.attribution for r in rights), *asked.statements)
            ],
        }
    ]
    return record


def _english(text: str) -> Record:
    return {"@value": text, "@language": "en"}


def _statement(text: str) -> Record:
    return {"@type": "dct:RightsStatement", "rdfs:label": _english(text)}


def _licence(one: Licence) -> Record:
    """Return a licence as a document that a harvester can resolve; terms without a URL are given by name."""
    return {**({"@id": one.url} if one.url else {}), "@type": "dct:LicenseDocument", "rdfs:label": one.name}


def _source(right: Right) -> Record:
    """Return the publisher's data set that rows came from, with its terms."""
    return {
        "@id": f"urn:sanyu:source:{right.source}",
        "@type": "dcat:Dataset",
        "dct:title": right.title,
        "dct:publisher": _agent(right.publisher or right.title),
        "dct:license": _licence(licence(right.licence)),
        "dct:rights": _statement(right.attribution),
    }


def _origin(release: Release, origin: Origin) -> Record:
    """Return the table that another was derived from: this release's if that version was read, otherwise the lake's."""
    published = next((t for t in release.tables if (t.name, t.delta_version) == (origin.table, origin.delta_version)), None)
    name = f"urn:sanyu:{release.release_id}:{origin.table}" if published else f"urn:sanyu:lake:{origin.table}:{origin.delta_version}"
    return {"@id": name, "@type": "prov:Entity", "dct:identifier": origin.table, "dcat:version": str(origin.delta_version)}


def _lineage(table: PublishedTable, contract: Contract) -> str:
    """Return a sentence about where the rows come from."""
    if table.lineage is None:
        return contract.source_note or f"Rows of {', '.join(table.sources) or 'no source'}, conformed, stamped and checked"
    tables = ", ".join(f"{origin.table} (version {origin.delta_version})" for origin in table.lineage.inputs)
    return f"Derived by {table.lineage.made_by} from {tables}"


def _odcs(table: PublishedTable, contract: Contract, rights: Sequence[Right], asked: Terms) -> Record:
    """Return the data contract with the licences, attributions and inputs of this release."""
    record = odcs(contract)
    found: Record = {"licences": [one.name for one in asked.licences], "attributions": [r.attribution for r in rights]}
    if asked.statements:
        found["terms"] = list(asked.statements)
    if table.lineage is not None:
        found["derivedFrom"] = [f"{origin.table}@{origin.delta_version}" for origin in table.lineage.inputs]
    record["customProperties"] = [*record["customProperties"], *({"property": key, "value": value} for key, value in found.items())]
    texts = [{"type": "license", "url": one.url} for one in asked.licences if one.url]
    if texts:
        record["description"] = {**record["description"], "authoritativeDefinitions": texts}
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


def _iso(table: PublishedTable, contract: Contract, rights: Sequence[Right], asked: Terms) -> Record:
    """Return the table as ISO 19115-1 metadata with the extent, the date and the terms of this release."""
    record = iso19115(contract)
    identification = record["identificationInfo"][0]
    identification["citation"]["date"] = [{"date": _instant(table.committed_at), "dateType": "publication"}]
    identification["credit"] = [r.attribution for r in rights]
    legal: list[Record] = [
        {"useConstraints": ["licence"], "reference": [{"title": one.name} | ({"onlineResource": {"linkage": one.url}} if one.url else {})]}
        for one in asked.licences
    ]
    if asked.statements:
        legal.append({"useConstraints": ["otherRestrictions"], "otherConstraints": list(asked.statements)})
    identification["resourceConstraints"] = [*identification["resourceConstraints"], *legal]
    cited = [{"description": r.attribution, "sourceCitation": {"title": r.title, "identifier": [{"code": r.source}]}} for r in rights]
    inputs = table.lineage.inputs if table.lineage else ()
    steps = [{"sourceCitation": {"title": o.table, "edition": str(o.delta_version)}} for o in inputs]
    record["resourceLineage"] = [{"statement": _lineage(table, contract), "scope": "dataset", "source": [*cited, *steps]}]
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


def _collection(table: PublishedTable, contract: Contract, rights: Sequence[Right], asked: Terms, everywhere: list[float]) -> Record:
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [TABLE],
        "id": table.name,
        "title": f"{english(contract)} {contract.title_zh}",
        "description": ". ".join((contract.description, contract.grain, *asked.statements)),
        "keywords": [contract.domain, contract.attribute.theme_code, contract.title_zh],
        "license": asked.expression,
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
            *({"rel": "license", "href": one.url or f"../../{README}", "title": one.name} for one in asked.licences),
        ],
    }


def _item(release: Release, table: PublishedTable, contract: Contract) -> Record:
    """Return the published version of a table as an item; its datetime is the time when the lake committed that version."""
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
        properties |= {"table:primary_geometry": "geom", "proj:code": CRS}
    inputs: list[PublishedTable] = []
    if table.lineage is not None:
        extensions.append(PROCESSING)
        properties["processing:lineage"] = _lineage(table, contract)
        read = {(origin.table, origin.delta_version) for origin in table.lineage.inputs}
        inputs = [other for other in release.tables if (other.name, other.delta_version) in read]
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
            *({"rel": "derived_from", "href": f"../{o.name}/{_item_id(o)}.json", "type": "application/geo+json"} for o in inputs),
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


def _polygon(box: Sequence[float]) -> Record:
    west, south, east, north = box
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}
