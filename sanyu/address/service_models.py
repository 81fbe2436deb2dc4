"""Requests and responses of the address service, with the examples shown in its docs."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Level = Literal[
    "province", "city", "district", "township", "community", "road", "lane", "door", "place", "building", "unit", "floor", "room"
]
# An overlong address is answered with SY-A011 rather than refused; this limit only bounds what is processed.
Address = Annotated[str, Field(max_length=100_000)]
Fields = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=1000)] | int | float | None]
_FIELDS: dict[str, Any] = {"district": "望海区", "road": "建设西路", "door": "8号"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MatchRequest(_Strict):
    """One `address` or a list of `addresses`; each is one string, or its fields by level."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"address": "东海省临海新城望海区建设西路8号"},
                {"address": _FIELDS},
                {"addresses": ["望海区建设西路8号", _FIELDS, "建设西路与人民中路交叉口"], "context": "390102000000"},
            ]
        },
    )

    address: Address | Fields | None = None
    addresses: list[Address | Fields | None] | None = None
    context: Annotated[
        str | None, Field(max_length=64, description="Division (name or 12 digits) that holds where a text leaves it open")
    ] = None
    near: Annotated[tuple[float, float] | None, Field(description="(lon, lat) that decides between equals")] = None
    at: Annotated[date | None, Field(description="Day of the names: former ones count on their days only; without it at any time")] = None
    limit: Annotated[int, Field(ge=1, le=20, description="Candidates of a tied or unmatched answer")] = 5
    format: Annotated[Literal["json", "geojson"], Field(description="geojson: a feature collection")] = "json"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.address is None) == (self.addresses is None):
            raise ValueError("give either address or addresses")
        return self


class Reason(BaseModel):
    """Why an element matched, was filled in, was corrected or failed."""

    level: str
    code: Annotated[str, Field(description="same, alias, mended, filled, also (another number that the text lists), or a message code")]
    asked: str | None
    found: str | None
    score: float


class Candidate(BaseModel):
    standard: str | None
    division_code: str | None
    precision: str | None
    score: float


class Match(BaseModel):
    """The result for one address. `geometry` is GeoJSON of the kind given by the precision: door point, road line, estate polygon."""

    query: str
    status: Literal["M", "T", "U"]
    score: Annotated[float, Field(description="0–100")]
    standard: str | None
    division_code: str | None
    precision: str | None
    lon: float | None
    lat: float | None
    grid_code: Annotated[str | None, Field(description="BeiDou grid location code")]
    entity_id: str | None
    code: Annotated[str | None, Field(description="SY-A… where there is no answer")]
    message: str | None
    message_zh: str | None
    reasons: list[Reason]
    candidates: list[Candidate]
    geometry_kind: Literal["point", "line", "area"] | None
    geometry: dict[str, Any] | None


class MatchResponse(BaseModel):
    count: int
    results: list[Match]


class Element(BaseModel):
    """`text[start:end]` of the level, and its normalised form."""

    level: str
    text: str
    start: int
    end: int
    norm: str
    code: str | None


class Parsed(BaseModel):
    text: str
    elements: list[Element]
    division_code: str | None
    rest: str


class ExtractRequest(_Strict):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "昨夜，建设西路8号门前水管破裂，望海区已派人抢修。"}]}
    )

    text: Annotated[str, Field(min_length=1, max_length=200_000)]


class Extracted(BaseModel):
    text: str
    start: int
    end: int
    match: Match


class ExtractResponse(BaseModel):
    count: int
    results: list[Extracted]


class Same(BaseModel):
    relation: Literal["same", "partial", "different"]
    reasons: list[Reason]
    first: dict[str, Any]
    second: dict[str, Any]


class Division(BaseModel):
    code: str
    name: str


class Reverse(BaseModel):
    """What is at a point; `code` says why there is nothing."""

    division_code: str | None
    chain: list[Division]
    road_id: str | None
    road_name: str | None
    road_distance_m: float | None
    entity_id: str | None
    address_text: str | None
    address_distance_m: float | None
    code: str | None
    message: str | None
    message_zh: str | None


class AliasRequest(_Strict):
    """Another name of a thing (`entity_id`), or of an element (`element`, with its `level` if two levels share the name)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"alias": "老城墙路", "element": "建设西路", "level": "road", "kind": "former"}]},
    )

    alias: Annotated[str, Field(min_length=2, max_length=200)]
    entity_id: Annotated[str | None, Field(max_length=200)] = None
    element: Annotated[str | None, Field(max_length=200)] = None
    level: Level | None = None
    kind: Annotated[str | None, Field(max_length=64)] = None
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.entity_id is None) == (self.element is None):
            raise ValueError("give either entity_id or element")
        return self


class Problem(BaseModel):
    """RFC 9457, with the message in both languages."""

    type: str
    title: str
    title_zh: str
    status: int
    detail: str
    detail_zh: str
    code: str
    retry_after: int | None = None
