"""Catalogue records of a table, derived from its contract: ODCS data contract, DCAT dataset, ISO 19115 metadata."""

from __future__ import annotations

from typing import Any

from schemas.codes import code_list
from schemas.fields import code_list_of, fields_of
from schemas.model import Check, Contract, DType, FieldDef, GeometryKind, History
from schemas.stamp import STAMP

API_VERSION = "v3.1.0"
LOGICAL: dict[DType, str] = {
    DType.STRING: "string",
    DType.BOOLEAN: "boolean",
    DType.INTEGER: "integer",
    DType.LONG: "integer",
    DType.DOUBLE: "number",
    DType.DATE: "date",
    DType.TIMESTAMP: "timestamp",
    DType.BINARY: "string",
    DType.STRINGS: "array",
    DType.TAGS: "object",
    DType.BBOX: "object",
}
HISTORY = {
    History.ENTITY: "Bitemporal: live rows have neither valid_to_at nor superseded_at",
    History.FACT: "Each delivery of a source replaces its rows",
    History.APPEND: "Rows are only added, once per source and batch",
}
GEOMETRY_OBJECTS = {GeometryKind.POINT: "point", GeometryKind.LINE: "curve", GeometryKind.POLYGON: "surface", GeometryKind.ANY: "complex"}


def odcs(contract: Contract) -> dict[str, Any]:
    """Return the table as an Open Data Contract Standard v3.1 document (bitol.io)."""
    table = {
        "name": contract.entity,
        "physicalName": contract.name,
        "physicalType": "table",
        "logicalType": "object",
        "businessName": contract.title_zh,
        "description": contract.description,
        "dataGranularityDescription": contract.grain,
        "properties": [_property(contract, f) for f in fields_of(contract)],
        "quality": [_rule(c) for c in contract.checks],
    }
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": f"sanyu.{contract.name}",
        "name": contract.name,
        "version": f"{contract.version}.0.0",
        "status": "active",
        "domain": contract.domain,
        "description": {"purpose": contract.description, "usage": HISTORY[contract.history], "limitations": contract.source_note},
        "schema": [table],
        "team": {"name": contract.owner},
        "customProperties": [
            {"property": "layer", "value": contract.layer},
            {"property": "themeCode", "value": contract.attribute.theme_code},
            {"property": "securityLabel", "value": contract.security_label.value},
            {"property": "warnShare", "value": contract.thresholds.warn},
            {"property": "failShare", "value": contract.thresholds.fail},
        ],
    }
    return document


def _property(contract: Contract, field: FieldDef) -> dict[str, Any]:
    bounds = {"minimum": field.minimum, "maximum": field.maximum, "pattern": field.pattern}
    options = {k: v for k, v in bounds.items() if v is not None}
    extra = {"unit": field.unit, "codeList": code_list_of(contract, field.name)}
    entry: dict[str, Any] = {
        "name": field.name,
        "businessName": field.title_zh,
        "description": _described(contract, field),
        "logicalType": LOGICAL[field.dtype],
        "physicalType": field.dtype.value,
        "required": field.name in contract.required,
        "classification": contract.security_label.value,
    }
    if field.name in contract.key:
        entry |= {"primaryKey": True, "primaryKeyPosition": contract.key.index(field.name) + 1}
    if field.name in contract.partition_by:
        entry |= {"partitioned": True, "partitionKeyPosition": contract.partition_by.index(field.name) + 1}
    if options:
        entry["logicalTypeOptions"] = options
    if field.dtype is DType.STRINGS:
        entry["items"] = {"logicalType": "string"}
    custom = [{"property": k, "value": v} for k, v in extra.items() if v is not None]
    return {**entry, "customProperties": custom} if custom else entry


def _described(contract: Contract, field: FieldDef) -> str:
    own = {c.name: c.description for c in contract.columns}
    return own.get(field.name) or field.description


def _rule(check: Check) -> dict[str, Any]:
    """Return a check as the number of rows that violate it; as in the check itself, an unknown result is not a violation."""
    return {
        "name": check.name,
        "type": "sql",
        "description": check.message,
        "dimension": "consistency",
        "severity": check.level,
        "query": f"SELECT count(*) FROM ${{table}} WHERE NOT ({check.expression})",
        "mustBe": 0,
    }


def dcat(contract: Contract, title_en: str | None = None) -> dict[str, Any]:
    """Return the table as a DCAT 3 dataset in JSON-LD, with the GeoDCAT terms for its reference system."""
    crs = {"dct:conformsTo": {"@id": "http://www.opengis.net/def/crs/EPSG/0/4490"}} if contract.geometry else {}
    return {
        "@context": {"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/", "adms": "http://www.w3.org/ns/adms#"},
        "@type": "dcat:Dataset",
        "@id": f"urn:sanyu:{contract.name}",
        "dct:identifier": contract.name,
        "dct:title": [{"@value": contract.title_zh, "@language": "zh"}, {"@value": title_en or english(contract), "@language": "en"}],
        "dct:description": {"@value": contract.description, "@language": "en"},
        "dct:publisher": {"dct:title": contract.owner},
        "dct:accessRights": contract.security_label.value,
        "dcat:theme": contract.attribute.theme_code,
        "dcat:version": str(contract.version),
        "dcat:keyword": [contract.domain, contract.entity.replace("_", " "), contract.title_zh],
        "adms:versionNotes": HISTORY[contract.history],
        **crs,
    }


def iso19115(contract: Contract) -> dict[str, Any]:
    """Return the table as ISO 19115-1:2014 metadata: element names of the standard, nested as its classes are."""
    identification: dict[str, Any] = {
        "citation": {"title": english(contract), "alternateTitle": [contract.title_zh], "edition": str(contract.version)},
        "abstract": contract.description,
        "pointOfContact": [{"organisationName": contract.owner, "role": "custodian"}],
        "descriptiveKeywords": [code_list("theme").entry(contract.attribute.theme_code).name],
        "resourceConstraints": [{"useLimitation": contract.security_label.value}],
    }
    record: dict[str, Any] = {
        "metadataIdentifier": {"code": f"sanyu.{contract.name}"},
        "metadataStandard": {"title": "ISO 19115-1", "edition": "2014"},
        "defaultLocale": {"language": "zho", "characterEncoding": "utf8"},
        "metadataScope": [{"resourceScope": "dataset"}],
        "identificationInfo": [identification],
        "resourceLineage": [{"statement": contract.source_note or contract.grain, "scope": "dataset"}],
    }
    if contract.geometry:
        identification["spatialRepresentationType"] = "vector"
        record["spatialRepresentationInfo"] = [{"geometricObjects": {"geometricObjectType": GEOMETRY_OBJECTS[contract.geometry.kind]}}]
        record["referenceSystemInfo"] = [{"referenceSystemIdentifier": {"codeSpace": "EPSG", "code": "4490"}}]
    return record


def english(contract: Contract) -> str:
    """Return the entity's name as words: `road_segment` → `Road segment`."""
    return contract.entity.replace("_", " ").capitalize()


def own_fields(contract: Contract) -> tuple[FieldDef, ...]:
    """Return the fields that are not part of the stamp, and `geom`."""
    stamped = {f.name for f in STAMP} - {c.name for c in contract.columns}
    return tuple(f for f in fields_of(contract) if f.name not in stamped)
