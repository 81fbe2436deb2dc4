"""The application in process: what it answers, and what it refuses. A real server stands in tests/integration."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import anyio
import httpx
import pyarrow as pa
import pytest
import shapely
from fastapi import FastAPI

import sanyu
from sanyu.address import engine as engine_module
from sanyu.address.service import Limits, create_app, key_of_environment, serve


class Client:
    """Calls an application without a server between."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://test") as client:
                return await client.request(method, path, **more)

        return anyio.run(call)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


HEAD = {"province_name": "东海省", "city_name": "临海新城", "district_name": "望海区", "township_name": "青园街道"}
CODE = "390102001000"


def _row(entity: str, kind: str, geom: shapely.Geometry, **elements: str) -> dict[str, Any]:
    at = shapely.point_on_surface(geom)
    text = "".join([*HEAD.values(), *(v for k, v in elements.items())])
    row = {"entity_id": entity, "kind": kind, "division_code": CODE, "lon": at.x, "lat": at.y, "geom": shapely.to_wkb(geom)}
    return row | HEAD | {"road_name": None, "door_number": None, "place_name": None} | elements | {"address_text": text}


ROWS = [
    _row("R1", "road", shapely.LineString([(120.0, 30.0), (120.1, 30.0)]), road_name="解放东路"),
    _row("D12", "door", shapely.box(120.02, 30.001, 120.021, 30.002), road_name="解放东路", door_number="12号"),
    _row("D14", "door", shapely.Point(120.03, 30.001), road_name="解放东路", door_number="14号"),
    _row("E1", "estate", shapely.box(120.05, 30.0, 120.06, 30.01), road_name="解放东路", door_number="20号", place_name="骆家庄花园"),
]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> sanyu.AddressEngine:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    return sanyu.AddressEngine.build(pa.Table.from_pylist(ROWS))


@pytest.fixture
def client(engine: sanyu.AddressEngine) -> Client:
    return Client(create_app(engine))


def _problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    told: dict[str, Any] = response.json()
    assert told["code"] == code and told["title"] and told["title_zh"]
    return told


@pytest.mark.parametrize(
    ("text", "kind", "shape", "entity"),
    [
        ("解放东路12号", "point", "Point", "D12"),
        ("望海区解放东路", "line", "LineString", "R1"),
        ("骆家庄花园", "area", "Polygon", "E1"),
    ],
)
def test_geometry_is_of_the_kind_that_the_precision_says(client: Client, text: str, kind: str, shape: str, entity: str) -> None:
    found = client.post("/match", json={"address": text}).json()["results"][0]
    assert (found["status"], found["entity_id"], found["geometry_kind"], found["geometry"]["type"]) == ("M", entity, kind, shape)


def test_a_list_comes_back_in_order_with_strings_and_fields_mixed(client: Client) -> None:
    asked = ["解放东路14号", {"road": "解放东路", "door": 12}, None, "解放东路12号", {}]
    found = client.post("/match", json={"addresses": asked}).json()
    assert found["count"] == 5
    assert [r["entity_id"] for r in found["results"]] == ["D14", "D12", None, "D12", None]
    assert [r["code"] for r in found["results"]] == [None, None, "SY-A010", None, "SY-A010"]


def test_a_hundred_addresses_and_more_fit_into_one_call(client: Client) -> None:
    found = client.post("/match", json={"addresses": [f"解放东路{n % 2 * 2 + 12}号" for n in range(500)]}).json()
    assert [r["entity_id"] for r in found["results"]] == ["D12", "D14"] * 250


def test_an_unmatched_address_says_why_in_both_languages_and_has_no_place(client: Client) -> None:
    found = client.post("/match", json={"address": "解放东路13号甲乙丙"}).json()["results"][0]
    assert found["status"] == "U" and found["code"].startswith("SY-A")
    assert "no door" in found["message"] and "没有" in found["message_zh"]
    assert (found["lon"], found["lat"], found["geometry"], found["geometry_kind"]) == (None, None, None, None)


@pytest.mark.parametrize(("at", "entity"), [(None, "D12"), ("1980-01-01", "D12"), ("2020-01-01", None)])
def test_a_former_name_counts_on_its_days_only(engine: sanyu.AddressEngine, client: Client, at: str | None, entity: str | None) -> None:
    engine.add_alias("老城墙路", element="解放东路", level="road", kind="former", valid_to=date(1990, 1, 1))
    more = {} if at is None else {"at": at}
    one = client.post("/match", json={"address": "老城墙路12号"} | more).json()["results"][0]
    near = client.post("/match", json={"address": "老城墙路12号", "near": [120.0, 30.0]} | more).json()["results"][0]
    several = client.post("/match", json={"addresses": ["老城墙路12号"] * 9} | more).json()["results"]
    assert {found["entity_id"] for found in (one, near, *several)} == {entity}


def test_a_day_that_is_none_is_refused(client: Client) -> None:
    assert client.post("/match", json={"address": "解放东路12号", "at": "2020-13-01"}).status_code == 422


def test_geojson_has_a_feature_per_address_with_or_without_a_place(client: Client) -> None:
    body = {"addresses": ["解放东路12号", "🙂"], "format": "geojson"}
    found = client.post("/match", json=body).json()
    assert found["type"] == "FeatureCollection"
    assert [f["geometry"] and f["geometry"]["type"] for f in found["features"]] == ["Point", None]


def test_too_many_addresses_in_one_call_are_refused(engine: sanyu.AddressEngine) -> None:
    client = Client(create_app(engine, limits=Limits(addresses=3)))
    _problem(client.post("/match", json={"addresses": ["x"] * 4}), 413, "SY-A075")
    assert client.post("/match", json={"addresses": ["x"] * 3}).status_code == 200


def test_a_body_over_the_limit_is_refused_whatever_length_it_states(engine: sanyu.AddressEngine) -> None:
    client = Client(create_app(engine, limits=Limits(body_bytes=1000)))
    _problem(client.post("/match", json={"address": "路" * 2000}), 413, "SY-A076")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 400

    _problem(client.post("/match", content=pieces()), 413, "SY-A076")


@pytest.mark.parametrize("key", [None, "", "wrong", "0123456789abcdeg", "密钥"])
def test_without_the_right_key_nothing_is_answered(engine: sanyu.AddressEngine, key: str | None) -> None:
    client = Client(create_app(engine, key="0123456789abcdef"))
    headers = {} if key is None else {"X-API-Key": key.encode()}
    _problem(client.post("/match", json={"address": "解放东路12号"}, headers=headers), 401, "SY-A074")
    _problem(client.get("/reverse?lon=120&lat=30", headers=headers), 401, "SY-A074")


def test_the_key_opens_and_health_needs_none(engine: sanyu.AddressEngine) -> None:
    client = Client(create_app(engine, key="0123456789abcdef"))
    right = {"X-API-Key": "0123456789abcdef"}
    assert client.post("/match", json={"address": "解放东路12号"}, headers=right).json()["results"][0]["status"] == "M"
    assert client.get("/health").json() == {"status": "ok", "has_national": False}


def test_requests_over_the_rate_wait(engine: sanyu.AddressEngine) -> None:
    client = Client(create_app(engine, limits=Limits(per_second=0.5, burst=2)))
    assert [client.get("/parse", params={"text": "解放东路12号"}).status_code for _ in range(2)] == [200, 200]
    refused = client.get("/parse", params={"text": "解放东路12号"})
    assert _problem(refused, 429, "SY-A077")["retry_after"] == 2 and refused.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"addresses": "x"}',
        b'{"address": "x", "addresses": []}',
        b'{"adress": "x"}',
        b'{"address": "x", "limit": 0}',
    ],
)
def test_a_body_that_is_none_is_a_problem_with_its_field(client: Client, body: bytes) -> None:
    _problem(client.post("/match", content=body, headers={"content-type": "application/json"}), 422, "SY-A078")
    _problem(client.post("/match", content=b"\xff", headers={"content-type": "application/json"}), 400, "SY-A078")


@pytest.mark.parametrize(
    "text", ["", "x" * 10_000, "'; DROP TABLE addresses; --", "<script>alert(1)</script>", "🙂🙂", "\u0000\u202e", "解放东路" * 99]
)
def test_hostile_text_is_an_answer_never_a_failure(client: Client, text: str) -> None:
    response = client.post("/match", json={"address": text})
    assert response.status_code == 200
    found = response.json()["results"][0]
    assert found["status"] == "U" and found["lon"] is None and found["code"]


def test_reverse_names_the_street_and_says_why_outside(client: Client) -> None:
    inside = client.get("/reverse", params={"lon": 120.0301, "lat": 30.0009}).json()
    assert (inside["road_name"], inside["entity_id"], inside["code"]) == ("解放东路", "D14", None)
    outside = client.get("/reverse", params={"lon": 10.0, "lat": 50.0}).json()
    assert outside["code"] == "SY-A050" and "10.0" in outside["message"] and outside["message_zh"]
    _problem(client.get("/reverse", params={"lon": "east", "lat": 30}), 422, "SY-A078")
    _problem(client.get("/reverse", params={"lon": 120, "lat": 30, "crs": "EPSG:1"}), 422, "SY-G001")


def test_parse_extract_and_same_answer(client: Client) -> None:
    parsed = client.get("/parse", params={"text": "望海区解放东路12号"}).json()
    assert [(e["level"], e["text"]) for e in parsed["elements"]] == [("district", "望海区"), ("road", "解放东路"), ("door", "12号")]
    text = "昨夜解放东路12号起火。"
    found = client.post("/extract", json={"text": text}).json()["results"]
    assert [(text[f["start"] : f["end"]], f["match"]["entity_id"]) for f in found] == [("解放东路12号", "D12")]
    assert client.get("/same", params={"a": "解放东路12号", "b": "望海区解放东路十二号"}).json()["relation"] == "same"
    assert client.get("/same", params={"a": "解放东路12号", "b": "解放东路14号"}).json()["relation"] == "different"


def test_an_alias_matches_in_the_next_call(client: Client) -> None:
    assert client.post("/match", json={"address": "幸福大院"}).json()["results"][0]["status"] == "U"
    assert client.post("/alias", json={"alias": "幸福大院", "entity_id": "E1", "kind": "short"}).status_code == 201
    assert client.post("/match", json={"address": "幸福大院"}).json()["results"][0]["entity_id"] == "E1"
    _problem(client.post("/alias", json={"alias": "某某", "entity_id": "nobody"}), 404, "SY-A006")
    _problem(client.post("/alias", json={"alias": "某某"}), 422, "SY-A078")


def test_an_unknown_path_is_a_problem_too(client: Client) -> None:
    _problem(client.get("/nothing"), 404, "SY-A083")
    _problem(client.get("/match"), 405, "SY-A083")


def test_the_description_shows_an_example_of_every_body(client: Client) -> None:
    described = client.get("/openapi.json").json()
    assert {"/match", "/reverse", "/parse", "/extract", "/same", "/alias", "/health"} <= set(described["paths"])
    schemas = described["components"]["schemas"]
    assert all(schemas[name]["examples"] for name in ("MatchRequest", "ExtractRequest", "AliasRequest"))


def test_the_page_of_the_docs_has_every_request_with_its_example_and_needs_no_other_host(engine: sanyu.AddressEngine) -> None:
    client = Client(create_app(engine, key="0123456789abcdef"))
    answer = client.get("/docs")
    page = answer.text
    assert answer.status_code == 200 and "//" not in re.sub("<script>.*</script>", "", page, flags=re.DOTALL).replace("openapi.json", "")
    assert "http:" not in page and "https:" not in page and "default-src 'none'" in answer.headers["content-security-policy"]
    for path, verbs in client.get("/openapi.json").json()["paths"].items():
        for verb in verbs:
            assert f'data-path="{path[1:]}" data-verb="{verb.upper()}"' in page
    assert "建设西路与人民中路交叉口" in page and "老城墙路" in page
    assert client.get("/redoc").status_code == 401


def test_the_page_of_the_docs_shows_a_description_as_text(engine: sanyu.AddressEngine) -> None:
    page = Client(create_app(engine, title="<script>alert(1)</script>")).get("/docs").text
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


def test_an_open_host_without_a_key_is_refused_before_anything_listens(
    engine: sanyu.AddressEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(sanyu.SanyuError, match="SY-A079"):
        serve(engine, host="0.0.0.0")
    monkeypatch.setenv("ADDRESS_KEY", "short")
    with pytest.raises(sanyu.SanyuError, match="SY-A080"):
        key_of_environment("ADDRESS_KEY")
