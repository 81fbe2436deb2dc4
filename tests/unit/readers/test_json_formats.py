"""GeoJSON, TopoJSON, Overpass and Nominatim."""

from __future__ import annotations

import gzip
import json

import pytest
import shapely

from schemas.messages import SanyuError


def collection(*features: str, extra: str = "") -> str:
    return '{"type":"FeatureCollection",' + extra + '"features":[' + ",".join(features) + "]}"


def feature(geometry: str, properties: str = "{}") -> str:
    return f'{{"type":"Feature","id":"f1","properties":{properties},"geometry":{geometry}}}'


POINT = '{"type":"Point","coordinates":[120.5,30.25]}'


def test_numbers_keep_their_text_and_nested_values_are_json(read, write):
    properties = '{"a":1.10,"b":12345678901234567890,"c":null,"d":{"e":[1.0,true]},"名":"甲","t":false}'
    got = read(write("a.geojson", collection(feature(POINT, properties))), "geojson")
    assert got.rows[0]["attributes"] == {"a": "1.10", "b": "12345678901234567890", "d": '{"e":[1.0,true]}', "名": "甲", "t": "false"}
    assert (got.rows[0]["feature_id"], got.rows[0]["row_number"], got.wkt()) == ("f1", 1, "POINT (120.5 30.25)")
    assert got.parsed.declared_crs == "EPSG:4326"


def test_each_broken_feature_is_one_rejected_row(read, write):
    got = read(
        write(
            "a.geojson",
            collection(
                feature(POINT),
                feature('{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}', '{"n":"kept"}'),
                feature('{"type":"Point","coordinates":[NaN,1]}'),
                feature('{"type":"Blob","coordinates":[1,1]}'),
                "17",
                feature("null"),
                feature('{"type":"LineString","coordinates":[[0,0],[1]]}'),
            ),
        ),
        "geojson",
    )
    assert got.codes == [None, "SY-R057", "SY-R054", "SY-R055", "SY-R058", None, "SY-R055"]
    assert got.rows[1]["attributes"] == {"n": "kept", "_raw": '{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}'}
    assert got.rows[1]["error_params"] == {"file": "a.geojson", "row": 2, "found": 3}


def test_open_rings_are_closed_and_counted(read, write):
    got = read(write("a.geojson", collection(feature('{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}'))), "geojson")
    assert got.wkt() == "POLYGON ((0 0, 1 0, 1 1, 0 0))"
    assert got.warnings == ["SY-R086"]


def test_every_geometry_type_comes_through(read, write):
    shapes = [
        "POINT Z (1 2 3)",
        "LINESTRING (0 0, 1 1)",
        "POLYGON ((0 0, 4 0, 4 4, 0 0), (1 0.5, 2 0.5, 2 1, 1 0.5))",
        "MULTIPOINT ((0 0), (1 1))",
        "MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))",
        "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))",
        "GEOMETRYCOLLECTION (POINT (0 0), LINESTRING (0 0, 1 1))",
    ]
    texts = [shapely.to_geojson(shapely.from_wkt(shape)) for shape in shapes]
    got = read(write("a.geojson", collection(*map(feature, texts))), "geojson")
    assert [got.wkt(i) for i in range(len(shapes))] == shapes


def test_lying_crs_is_found_and_not_used(read, write):
    crs = '"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},'
    text = collection(feature('{"type":"Point","coordinates":[512345.6,3345678.9]}'), extra=crs)
    got = read(write("a.geojson", text), "geojson")
    assert got.warnings == ["SY-R082"]
    assert got.parsed.declared_crs is None
    assert got.codes == [None]


def test_crs_member_is_read_also_after_the_features(read, write):
    text = (
        '{"features":['
        + feature(POINT)
        + '],"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4490"}},"type":"FeatureCollection"}'
    )
    assert read(write("a.geojson", text), "geojson").parsed.declared_crs == "EPSG:4490"


def test_feature_sequences_and_bare_geometries_are_read(read, write):
    assert read(write("a.geojson", feature(POINT) + "\n" + feature(POINT) + "\n"), "geojson").parsed.row_count == 2
    assert read(write("b.geojson", POINT), "geojson").wkt() == "POINT (120.5 30.25)"


def test_text_across_chunks_is_read_as_one(read, write):
    features = [feature(POINT, json.dumps({"n": i, "pad": "长" * 700}, ensure_ascii=False)) for i in range(6000)]
    got = read(write("a.geojson", collection(*features)), "geojson")
    assert [row["attributes"]["n"] for row in got.rows] == [str(i) for i in range(6000)]


def test_gbk_geojson_is_read_with_a_warning(read, write):
    got = read(write("a.geojson", collection(feature(POINT, '{"名称":"杭州市西湖区"}')).encode("gbk")), "geojson")
    assert got.rows[0]["attributes"] == {"名称": "杭州市西湖区"}
    assert got.warnings == ["SY-R080"]


def test_truncated_json_names_line_and_column(read, write):
    with pytest.raises(SanyuError, match=r"SY-R021: a.geojson: the JSON breaks at line 3, column \d+"):
        read(write("a.geojson", collection("\n" + feature(POINT), "\n" + feature(POINT))[:-40]), "geojson")


def test_json_of_another_kind_is_refused(read, write):
    with pytest.raises(SanyuError, match="SY-R023"):
        read(write("a.geojson", '{"type":"Nothing"}'), "geojson")


TOPOLOGY = {
    "type": "Topology",
    "transform": {"scale": [0.5, 0.25], "translate": [100, 30]},
    "objects": {
        "b": {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Polygon", "arcs": [[0]], "properties": {"h": 1.5}},
                {"type": "Polygon", "arcs": [[1, -3]]},
                {"type": "Polygon", "arcs": [[3]]},
                {"type": "Point", "coordinates": [2, 4]},
                {"type": "Polygon", "arcs": [[99]]},
                {"type": None},
            ],
        }
    },
    "arcs": [[[0, 0], [2, 0], [0, 2], [-2, -2]], [[0, 0], [2, 0], [0, 2]], [[0, 0], [1, 2], [1, 0]], [[5, 5], [1, 0], [-1, 0]]],
}


def test_topojson_arcs_are_joined_and_collapsed_rings_rejected(read, write):
    got = read(write("a.topojson.gz", gzip.compress(json.dumps(TOPOLOGY).encode())), "topojson")
    assert got.codes == [None, None, "SY-R057", None, "SY-R055", None]
    assert got.wkt(0) == "POLYGON ((100 30, 101 30, 101 30.5, 100 30))"
    assert got.wkt(1) == "POLYGON ((100 30, 101 30, 101 30.5, 100.5 30.5, 100 30))"
    assert got.wkt(3) == "POINT (101 31)"
    assert got.rows[0]["attributes"] == {"h": "1.5"}
    assert '"@arcs":{"3":[[5,5],[1,0],[-1,0]]}' in got.rows[2]["attributes"]["_raw"]
    assert got.parsed.declared_crs is None
    assert got.warnings == ["SY-R081"]


def test_topojson_with_several_objects_needs_a_layer(read, write):
    path = write(
        "a.json", json.dumps({**TOPOLOGY, "objects": {"p": TOPOLOGY["objects"]["b"], "q": {"type": "Point", "coordinates": [0, 0]}}})
    )
    with pytest.raises(SanyuError, match=r"SY-R014.*p, q"):
        read(path, "topojson")
    assert read(path, "topojson", layer="q").wkt() == "POINT (100 30)"


def node(number: int, lon: float, lat: float, **more: object) -> dict[str, object]:
    return {"type": "node", "id": number, "lon": lon, "lat": lat, **more}


def overpass(*elements: object) -> str:
    return json.dumps({"version": 0.6, "generator": "Overpass API", "osm3s": {}, "elements": elements}, ensure_ascii=False)


SQUARE = [node(1, 0, 0), node(2, 4, 0), node(3, 4, 4), node(4, 0, 4)]


def way(number: int, nodes: list[int], **tags: str) -> dict[str, object]:
    return {"type": "way", "id": number, "nodes": nodes, **({"tags": tags} if tags else {})}


def test_overpass_elements_with_tags_are_rows(read, write):
    text = overpass(
        *SQUARE,
        node(5, 1, 1, tags={"name": "西湖", "amenity": "school"}, version=3, timestamp="2024-01-01T00:00:00Z"),
        way(10, [1, 2, 3, 4, 1], building="yes"),
        way(11, [1, 2, 3, 4, 1], highway="residential"),
        way(12, [1, 9], highway="service"),
        way(13, [1, 2]),
    )
    got = read(write("a.json", text), "overpass")
    assert [(row["row_number"], row["feature_id"], row["error_code"]) for row in got.rows] == [
        (5, "n5", None),
        (6, "w10", None),
        (7, "w11", None),
        (8, "w12", "SY-R059"),
    ]
    assert got.rows[0]["attributes"] == {
        "name": "西湖",
        "amenity": "school",
        "@id": "5",
        "@type": "node",
        "@version": "3",
        "@timestamp": "2024-01-01T00:00:00Z",
    }
    assert got.wkt(1) == "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))"
    assert got.wkt(2) == "LINESTRING (0 0, 4 0, 4 4, 0 4, 0 0)"
    assert got.rows[3]["error_params"]["missing"] == "n9"


def relation(number: int, *members: tuple[int, str], **tags: str) -> dict[str, object]:
    return {"type": "relation", "id": number, "tags": tags, "members": [{"type": "way", "ref": ref, "role": role} for ref, role in members]}


def test_overpass_multipolygons_are_assembled_from_pieces(read, write):
    hole = [node(21, 1, 1), node(22, 2, 1), node(23, 2, 2)]
    text = overpass(
        *SQUARE,
        *hole,
        way(10, [1, 2, 3]),
        way(11, [1, 4, 3]),
        way(12, [21, 22, 23, 21]),
        relation(7, (10, "outer"), (11, "outer"), (12, "inner"), type="multipolygon", landuse="grass"),
        relation(8, (10, "outer"), type="multipolygon", landuse="grass"),
        relation(9, (10, ""), (11, ""), type="route"),
        relation(6, (99, "outer"), type="boundary"),
    )
    got = read(write("a.json", text), "overpass")
    assert [(row["feature_id"], row["error_code"]) for row in got.rows] == [
        ("r7", None),
        ("r8", "SY-R060"),
        ("r9", None),
        ("r6", "SY-R059"),
    ]
    assembled = shapely.from_wkb(got.rows[0]["geom"])
    assert (assembled.area, len(assembled.interiors), assembled.is_valid) == (15.5, 1, True)
    assert got.wkt(2) == "MULTILINESTRING ((0 0, 4 0, 4 4), (0 0, 0 4, 4 4))"


def test_overpass_inline_geometry_and_centres_are_read(read, write):
    inline = {"type": "way", "id": 1, "tags": {"highway": "path"}, "geometry": [{"lon": 0, "lat": 0}, {"lon": 1, "lat": 1}]}
    centred = {"type": "relation", "id": 2, "tags": {"type": "multipolygon"}, "center": {"lon": 5, "lat": 6}}
    got = read(write("a.json", overpass(inline, centred)), "overpass")
    assert [got.wkt(0), got.wkt(1)] == ["LINESTRING (0 0, 1 1)", "POINT (5 6)"]


def test_nominatim_list_is_read(read, write):
    places = [
        {"osm_type": "relation", "osm_id": 3221112, "lat": "30.24", "lon": "120.2", "importance": 0.50, "geojson": json.loads(POINT)},
        {"osm_type": "node", "osm_id": 4, "lat": "30.5", "lon": "120.5"},
    ]
    got = read(write("a.json", json.dumps(places)), "nominatim")
    assert [row["feature_id"] for row in got.rows] == ["r3221112", "n4"]
    assert got.wkt(1) == "POINT (120.5 30.5)"
