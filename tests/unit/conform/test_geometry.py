"""Conforming geometries: every reason to reject has a row here, and what is repaired must stay the same place."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pyarrow as pa
import pytest
import shapely

from schemas.messages import SanyuError, render
from schemas.model import GeometryKind
from transforms.conform.geometry import Conformed, conform_geometries

HANGZHOU = (119.0, 29.0, 121.0, 31.0)
SQUARE = "POLYGON ((120 30, 120.001 30, 120.001 30.001, 120 30.001, 120 30))"


def conform(*wkt: str, kind: GeometryKind = GeometryKind.POLYGON, crs: str = "EPSG:4490", **options: object) -> Conformed:
    wkb = np.array([shapely.to_wkb(shapely.from_wkt(text)) for text in wkt], dtype=object)
    return conform_geometries(wkb, kind, source_crs=crs, **options)  # type: ignore[arg-type]


def conform_bytes(*blobs: bytes | None, kind: GeometryKind = GeometryKind.POLYGON, **options: object) -> Conformed:
    return conform_geometries(np.array([*blobs, None], dtype=object)[:-1], kind, source_crs="EPSG:4490", **options)  # type: ignore[arg-type]


def ring(*xy: float) -> bytes:
    return struct.pack("<BIII", 1, 3, 1, len(xy) // 2) + np.array(xy, dtype="<f8").tobytes()


def nested(depth: int, kind: int = 7) -> bytes:
    return struct.pack("<BII", 1, kind, 1) * depth + shapely.to_wkb(shapely.Point(120, 30))


def test_good_polygon_passes_unchanged_without_notes() -> None:
    result = conform(SQUARE, extent=HANGZHOU)
    assert result.error_code.tolist() == [None]
    assert result.notes.tolist() == [()]
    assert shapely.equals_exact(result.geoms[0], shapely.from_wkt(SQUARE))
    assert result.bounds[0].tolist() == [120, 30, 120.001, 30.001]


@pytest.mark.parametrize("depth", [17, 200_000])
@pytest.mark.parametrize("kind", [4, 6, 7])
def test_nesting_is_refused_before_the_parser_recurses(depth: int, kind: int) -> None:
    result = conform_bytes(nested(depth, kind), shapely.to_wkb(shapely.from_wkt(SQUARE)), kind=GeometryKind.ANY)
    assert result.error_code.tolist() == ["SY-C103", None]


def test_deep_nesting_behind_a_harmless_first_part_is_found() -> None:
    point = shapely.to_wkb(shapely.Point(120, 30))
    second = struct.pack("<BII", 1, 7, 2) + point + nested(5000)
    hidden_in_multi = struct.pack("<BII", 1, 7, 1) + struct.pack("<BII", 1, 4, 2) + point + nested(5000)
    big_endian_count = b"\x01" + struct.pack("<I", 4) + b"\0\0\0\x01" + point + nested(5000)
    result = conform_bytes(second, hidden_in_multi, big_endian_count, kind=GeometryKind.ANY)
    assert result.error_code.tolist() == ["SY-C103", "SY-C103", "SY-C103"]


def test_unknown_type_bits_cannot_hide_a_collection() -> None:
    disguised = b"\x01" + struct.pack("<I", 0x10007) + nested(5000)[5:]
    assert conform_bytes(disguised).error_code.tolist() == ["SY-C102"]


def test_collections_within_the_limit_pass_in_every_flavour() -> None:
    shape = shapely.from_wkt("GEOMETRYCOLLECTION (GEOMETRYCOLLECTION (POINT Z (120 30 5)), LINESTRING (120 30, 120.1 30))")
    blobs = [shapely.to_wkb(shape, byte_order=order, flavor=flavor) for order in (0, 1) for flavor in ("iso", "extended")]
    blobs.append(shapely.to_wkb(shapely.set_srid(shape, 4490), include_srid=True))
    result = conform_bytes(*blobs, kind=GeometryKind.ANY)
    assert result.error_code.tolist() == [None] * 5
    assert {g.geom_type for g in result.geoms} == {"GeometryCollection"}


@pytest.mark.parametrize(
    "blob",
    [b"", b"\x01", b"\x01\x03\0\0\0", b"\x07\x03\0\0\0\0\0\0\0", b"hello world", shapely.to_wkb(shapely.Point(1, 1))[:-1]],
)
def test_damaged_wkb_is_a_row_error(blob: bytes) -> None:
    assert conform_bytes(blob).error_code.tolist() == ["SY-C102"]


def test_a_lying_point_count_does_not_allocate() -> None:
    assert conform_bytes(struct.pack("<BII", 1, 2, 0xFFFFFFFF) + b"\0" * 16).error_code.tolist() == ["SY-C102"]


def test_curves_are_named_as_such() -> None:
    curve = struct.pack("<BII", 1, 8, 3) + np.array([0, 0, 1, 1, 2, 0.0]).tobytes()
    result = conform_bytes(curve, struct.pack("<BII", 1, 7, 1) + curve, kind=GeometryKind.ANY)
    assert result.error_code.tolist() == ["SY-C104", "SY-C104"]


def test_missing_geometry_is_an_error_only_where_required() -> None:
    assert conform_bytes(None).error_code.tolist() == ["SY-C101"]
    optional = conform_bytes(None, required=False)
    assert optional.error_code.tolist() == [None]
    assert optional.geoms.tolist() == [None]
    assert np.isnan(optional.bounds).all()


def test_empty_and_not_finite_are_told_apart() -> None:
    nan_first = ring(np.nan, 30, 120.1, 30, 120.1, 30.1, np.nan, 30)
    inf_inside = ring(120, 30, np.inf, 30, 120.1, 30.1, 120, 30)
    result = conform_bytes(shapely.to_wkb(shapely.Polygon()), nan_first, inf_inside)
    assert result.error_code.tolist() == ["SY-C105", "SY-C106", "SY-C106"]
    assert result.error_value[2] == "inf, 30"


def test_open_ring_is_closed_and_noted() -> None:
    result = conform_bytes(ring(120, 30, 120.1, 30, 120.1, 30.1, 120, 30.1))
    assert result.notes.tolist() == [("ring_closed",)]
    assert shapely.area(result.geoms[0]) == pytest.approx(0.01)


def test_swapped_axes_are_rejected_by_name_or_repaired_on_request() -> None:
    swapped = shapely.to_wkt(shapely.transform(shapely.from_wkt(SQUARE), lambda xy: xy[:, ::-1]))
    assert conform(swapped).error_code.tolist() == ["SY-C107"]  # latitude 120 is out of range even without an extent
    repaired = conform(swapped, SQUARE, extent=HANGZHOU, fix_swapped=True)
    assert repaired.error_code.tolist() == [None, None]
    assert repaired.notes.tolist() == [("axes_swapped",), ()]
    assert shapely.equals(repaired.geoms[0], repaired.geoms[1])


def test_swapped_axes_below_90_degrees_are_found_by_the_extent() -> None:
    lat_lon = "POINT (22.5 88.4)"
    assert conform(lat_lon, kind=GeometryKind.POINT).error_code.tolist() == [None]
    assert conform(lat_lon, kind=GeometryKind.POINT, extent=(88, 22, 89, 23)).error_code.tolist() == ["SY-C107"]


def test_swapped_gauss_krueger_axes_are_found() -> None:
    """Chinese survey files often hold x (north) before y (east)."""
    east, north = 500_000.0, 3_320_000.0
    good, swapped = f"POINT ({east} {north})", f"POINT ({north} {east})"
    result = conform(good, swapped, kind=GeometryKind.POINT, crs="EPSG:4549", extent=HANGZHOU, fix_swapped=True)
    assert result.error_code.tolist() == [None, None]
    assert result.notes.tolist() == [(), ("axes_swapped",)]
    assert shapely.equals_exact(result.geoms[0], result.geoms[1], 1e-12)
    assert shapely.get_x(result.geoms[0]) == pytest.approx(120)


def test_place_out_of_area_and_no_place_are_told_apart() -> None:
    result = conform("POINT (116 40)", "POINT (200 95)", "POINT (120 30)", kind=GeometryKind.POINT, extent=HANGZHOU)
    assert result.error_code.tolist() == ["SY-C109", "SY-C108", None]
    assert result.error_value.tolist() == ["116, 40", "200, 95", None]


def test_heights_survive_the_change_of_reference_system() -> None:
    result = conform("POINT Z (13358338.9 3503549.84 7.5)", "POINT (13358338.9 3503549.84)", kind=GeometryKind.POINT, crs="EPSG:3857")
    assert shapely.get_coordinates(result.geoms[0], include_z=True)[0] == pytest.approx([120, 30, 7.5], abs=1e-6)
    assert shapely.has_z(result.geoms).tolist() == [True, False]
    assert not shapely.has_z(conform("POINT Z (120 30 5)", kind=GeometryKind.POINT, force_2d=True).geoms[0])


def test_measures_are_dropped_and_heights_kept_beside_them() -> None:
    result = conform("LINESTRING ZM (120 30 5 1, 120.1 30 6 2)", "LINESTRING M (120 30 1, 120.1 30 2)", kind=GeometryKind.LINE)
    assert [shapely.to_wkt(g) for g in result.geoms] == ["LINESTRING Z (120 30 5, 120.1 30 6)", "LINESTRING (120 30, 120.1 30)"]


def test_unknown_height_is_dropped_with_a_note() -> None:
    blob = struct.pack("<BIddd", 1, 1001, 120, 30, np.nan)
    infinite = struct.pack("<BIddd", 1, 1001, 120, 30, np.inf)
    result = conform_bytes(blob, infinite, kind=GeometryKind.POINT)
    assert result.notes[0] == ("height_dropped",)
    assert result.error_code.tolist() == [None, "SY-C106"]


def test_kind_is_coerced_only_without_loss() -> None:
    point_rest = f"GEOMETRYCOLLECTION ({SQUARE}, POINT (120 30))"
    edge_rest = f"GEOMETRYCOLLECTION ({SQUARE}, LINESTRING (120 30, 120.001 30))"
    line_rest = f"GEOMETRYCOLLECTION ({SQUARE}, LINESTRING (121 30, 121 31))"
    two = f"GEOMETRYCOLLECTION (MULTIPOLYGON (((120 30, 120.001 30, 120 30.001, 120 30))), {SQUARE.replace('120', '121')})"
    closed_line = "LINESTRING (120 30, 120.001 30, 120.001 30.001, 120 30)"
    result = conform(point_rest, edge_rest, line_rest, two, closed_line)
    assert result.error_code.tolist() == [None, None, "SY-C110", None, "SY-C110"]
    assert [g and g.geom_type for g in result.geoms] == ["Polygon", "Polygon", None, "MultiPolygon", None]
    assert result.notes[0] == ("collection_extracted",)


def test_single_part_contracts_unwrap_one_part_and_refuse_two() -> None:
    result = conform("MULTIPOINT (120 30)", "MULTIPOINT (120 30, 120 31)", "POINT (120 30)", kind=GeometryKind.POINT, multi=False)
    assert result.error_code.tolist() == [None, "SY-C110", None]
    assert result.geoms[0].geom_type == "Point"
    assert conform("MULTIPOINT (120 30)", kind=GeometryKind.POINT).geoms[0].geom_type == "MultiPoint"


def test_touching_ring_and_spike_are_repaired_with_their_reason() -> None:
    touch = "POLYGON ((120 30, 122 30, 121 31, 122 32, 120 32, 121 31, 120 30))"
    spike = "POLYGON ((120 30, 124 30, 124 34, 122 34, 122 35, 122 34, 120 34, 120 30))"
    result = conform(touch, spike)
    assert result.notes.tolist() == [("ring_self_touch",), ("self_intersection",)]
    assert shapely.is_valid(result.geoms).all()
    assert shapely.area(result.geoms).tolist() == [2.0, 16.0]


def test_bow_tie_is_quarantined_with_the_place() -> None:
    result = conform("POLYGON ((120 30, 121 31, 121 30, 120 31, 120 30))")
    assert result.error_code.tolist() == ["SY-C112"]
    assert result.error_value.tolist() == ["Self-intersection[120.5 30.5]"]


def test_collapsed_shapes_are_not_stored_as_empty() -> None:
    flat = conform("POLYGON ((120 30, 121 31, 120 30, 120 30))", "POLYGON ((120 30, 121 31, 122 32, 120 30))")
    dot = conform("LINESTRING (120 30, 120 30)", kind=GeometryKind.LINE)
    assert [*flat.error_code, *dot.error_code] == ["SY-C111"] * 3


def test_collapsed_part_of_a_line_is_dropped_with_a_note() -> None:
    result = conform("MULTILINESTRING ((120 30, 120 30), (120 30, 121 31))", kind=GeometryKind.LINE)
    assert result.error_code.tolist() == [None]
    assert result.notes[0] == ("collapsed_part",)


def test_duplicate_points_are_removed_once() -> None:
    result = conform("LINESTRING (120 30, 120 30, 121 30, 121 30)", "LINESTRING (120 30, 121 30)", kind=GeometryKind.LINE)
    assert result.notes.tolist() == [("duplicate_points",), ()]
    assert shapely.get_num_coordinates(result.geoms).tolist() == [2, 2]


def test_exteriors_run_counter_clockwise_and_holes_clockwise() -> None:
    clockwise = "POLYGON ((120 30, 120 34, 124 34, 124 30, 120 30), (121 31, 122 31, 122 32, 121 32, 121 31))"
    shape = conform(clockwise).geoms[0]
    assert shape.exterior.is_ccw
    assert not shape.interiors[0].is_ccw


def test_one_bad_row_leaves_the_others_alone_and_order_is_kept() -> None:
    good = shapely.to_wkb(shapely.from_wkt(SQUARE))
    result = conform_bytes(good, None, b"rubbish!!", nested(100), good)
    assert result.error_code.tolist() == [None, "SY-C101", "SY-C102", "SY-C103", None]
    assert result.error_field.tolist() == [None, "geom", "geom", "geom", None]
    assert [w is None for w in result.wkb()] == [False, True, True, True, False]


def test_arrow_input_gives_what_numpy_gives_also_chunked_sliced_and_empty() -> None:
    blobs = [shapely.to_wkb(shapely.from_wkt(SQUARE)), None, b"rubbish!!"]
    for array in (
        pa.array(blobs, pa.binary()),
        pa.array([b"x", *blobs], pa.large_binary())[1:],
        pa.chunked_array([pa.array(blobs[:1], pa.binary()), pa.array(blobs[1:], pa.binary())]),
    ):
        result = conform_geometries(array, GeometryKind.POLYGON, source_crs="EPSG:4326")
        assert result.error_code.tolist() == [None, "SY-C101", "SY-C102"]
    assert conform_geometries(pa.array([], pa.binary()), GeometryKind.POINT, source_crs="EPSG:4326").bounds.shape == (0, 4)


def test_source_system_without_a_sure_shift_stops_the_batch() -> None:
    with pytest.raises(SanyuError):
        conform("POINT (120 30)", kind=GeometryKind.POINT, crs="EPSG:4214")


def test_random_bytes_never_raise_nor_warn() -> None:
    rng = np.random.default_rng(7)
    good = [shapely.to_wkb(g) for g in shapely.from_wkt([SQUARE, f"MULTIPOLYGON ({SQUARE[8:]})", "POINT Z (1 2 3)"])]
    blobs = []
    for _ in range(3000):
        blob = bytearray(good[rng.integers(len(good))])
        for at in rng.integers(0, len(blob), 3):
            blob[at] = rng.integers(256)
        blobs.append(bytes(blob))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = conform_bytes(*blobs, kind=GeometryKind.ANY)
    assert ((result.error_code != None) == shapely.is_missing(result.geoms)).all()  # noqa: E711 - elementwise
    assert shapely.is_valid(result.geoms[~shapely.is_missing(result.geoms)]).all()


@pytest.mark.parametrize("code", [f"SY-C{number}" for number in range(101, 113)])
def test_every_code_has_its_text_in_both_languages(code: str) -> None:
    for lang in ("en", "zh"):
        assert "geom" in render(code, {"field": "geom", "value": "1, 2"}, lang)
