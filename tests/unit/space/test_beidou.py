"""BeiDou grid codes against the standard's example, a published 3D code, and an oracle in exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanyu import beidou
from schemas.messages import SanyuError

UNITS = 7_372_800
SIZES = [
    (21600, 14400),
    (1800, 1800),
    (900, 600),
    (60, 60),
    (4, 4),
    (2, 2),
    *((Fraction(1, d), Fraction(1, d)) for d in (4, 32, 256, 2048)),
]
SNAP = Fraction(1, 2**43)
QUANTUM = Fraction(1, 2**47)
HEX = "0123456789ABCDE"

longitudes = st.floats(-180, 180)
latitudes = st.floats(-87.999999, 87.999999)
levels = st.integers(1, 10)


def oracle(lon: float, lat: float, level: int) -> str:
    """Follow the standard clause by clause in exact fractions, one coordinate at a time."""
    west, south = Fraction(lon) < -SNAP, Fraction(lat) < -SNAP
    rest = []
    for angle in (abs(Fraction(lon)), abs(Fraction(lat))):
        read = angle // QUANTUM * QUANTUM
        edge = Fraction(math.ceil(read * UNITS), UNITS)
        rest.append(min(edge if edge - read <= SNAP else read, Fraction(180 * UNITS - 1, UNITS)) * 3600)
    x, y = rest
    code = "S" if south else "N"
    for number, (width, height) in enumerate(SIZES[:level], start=1):
        column, row = int(x // width), int(y // height)
        x, y = x - column * width, y - row * height
        if number == 1:
            code += f"{30 - column if west else 31 + column:02d}" + chr(ord("A") + row)
        elif number in (3, 6):
            code += str(row * 2 + column)
        else:
            code += HEX[column] + HEX[row]
    return code


def test_standard_example_of_the_code() -> None:
    assert beidou.encode(116 + 18 / 60 + 45.37 / 3600, 39 + 59 / 60 + 35.38 / 3600, 10) == "N50J47539B8255346152"


def test_published_3d_code_interleaves_height_with_each_level() -> None:
    assert beidou.encode(116.315222, 39.910278, 10, 100.0) == "N050J0047050340D9011345100403410"
    assert beidou.encode(116.315222, 39.910278, 4, 0.0) == "N050J0047050340"


@given(longitudes, latitudes, levels)
def test_code_equals_the_exact_oracle(lon: float, lat: float, level: int) -> None:
    assert beidou.encode(lon, lat, level) == oracle(lon, lat, level)


@given(st.integers(-180 * UNITS, 180 * UNITS), st.integers(-88 * UNITS + 1, 88 * UNITS - 1), st.integers(-4, 4), levels)
def test_code_equals_the_exact_oracle_within_steps_of_a_double_around_cell_edges(lon: int, lat: int, steps: int, level: int) -> None:
    x, y = lon / UNITS, lat / UNITS
    for _ in range(abs(steps)):
        x, y = math.nextafter(x, math.copysign(180, steps)), math.nextafter(y, math.copysign(87, steps))
    assert beidou.encode(x, y, level) == oracle(x, y, level)


@given(st.integers(0, 179 * 60), st.integers(0, 87 * 60))
def test_a_minute_written_as_a_sum_opens_its_own_cell(lon_minutes: int, lat_minutes: int) -> None:
    x, y = divmod(lon_minutes, 60), divmod(lat_minutes, 60)
    cell = beidou.decode(beidou.encode(x[0] + x[1] / 60, y[0] + y[1] / 60, 10))
    assert (cell.corner_lon * 60, cell.corner_lat * 60) == (pytest.approx(lon_minutes, abs=1e-9), pytest.approx(lat_minutes, abs=1e-9))


@given(longitudes, latitudes, levels)
def test_centre_and_counting_corner_of_a_decoded_cell_encode_to_the_same_code(lon: float, lat: float, level: int) -> None:
    code = beidou.encode(lon, lat, level)
    cell = beidou.decode(code)
    assert cell.level == level
    assert beidou.encode(cell.lon, cell.lat, level) == code
    on_zero = (cell.corner_lon == 0 and cell.west < 0) or (cell.corner_lat == 0 and cell.south < 0)
    assert on_zero or beidou.encode(cell.corner_lon, cell.corner_lat, level) == code
    slack = 2e-13
    assert cell.west - slack <= lon <= cell.east + slack and cell.south - slack <= lat <= cell.north + slack


@given(longitudes, latitudes)
def test_coarser_code_is_a_prefix_of_the_finer(lon: float, lat: float) -> None:
    fine = beidou.encode(lon, lat, 10)
    assert all(fine.startswith(beidou.encode(lon, lat, level)) for level in range(1, 10))


@given(longitudes, latitudes, levels, st.floats(-6_300_000, 5e8))
def test_3d_code_decodes_to_a_cell_that_holds_the_height_and_encodes_back(lon: float, lat: float, level: int, height: float) -> None:
    code = beidou.encode(lon, lat, level, height)
    cell = beidou.decode(code)
    slack = 1e-7 * max(1.0, abs(height) / 1e4)
    assert cell.height_bottom - slack <= height < cell.height_top + slack
    assert cell.height_bottom < cell.height_top
    assert beidou.encode(cell.lon, cell.lat, level, (cell.height_bottom + cell.height_top) / 2) == code


@given(st.floats(-1000, 9000))
def test_bottom_of_a_height_layer_encodes_to_its_layer(height: float) -> None:
    code = beidou.encode(116.3, 39.9, 10, height)
    cell = beidou.decode(code)
    assert beidou.encode(cell.lon, cell.lat, 10, cell.height_bottom) == code


def test_height_layer_follows_the_formula_of_the_standard() -> None:
    for height in (0.0, 50.0, 8848.86, -154.31, -10_994.0):
        layer = math.floor(2048 * 3600 * math.log((height + 6378137) / 6378137, 1 + math.pi / 180))
        bits = f"{abs(layer):031b}"
        cuts = [0, 6, 9, 10, 14, 18, 19, 22, 25, 28, 31]
        parts = [int(bits[a:b], 2) for a, b in itertools.pairwise(cuts)]
        expected = ("1" if layer < 0 else "0") + f"{parts[0]:02d}" + "".join(f"{part:X}" for part in parts[1:])
        code = beidou.encode(116.3, 39.9, 10, height)
        positions = [1, 5, 6, 9, 11, 14, 17, 19, 22, 25, 28, 31]
        assert "".join(code[p] for p in positions) == expected


@pytest.mark.parametrize(
    ("lon", "lat", "level", "code"),
    [
        (0.0, 0.0, 1, "N31A"),
        (-0.0, -0.0, 1, "N31A"),
        (-1e-9, -1e-9, 10, "S30A0000000000000000"),
        (-6.0, -4.0, 2, "S29B00"),
        (6.0, 4.0, 2, "N32B00"),
        (180.0, 4.0, 2, "N60BB0"),
        (-180.0, 4.0, 2, "N01BB0"),
        (-116.312602778, -39.993161111, 10, "S11J47539B8255346152"),
    ],
)
def test_hemispheres_zero_and_the_180th_meridian(lon: float, lat: float, level: int, code: str) -> None:
    assert beidou.encode(lon, lat, level) == code


@pytest.mark.parametrize(
    ("lon", "lat", "level", "height", "expected"),
    [
        (math.nan, 0.0, 5, None, "SY-G002"),
        (0.0, math.inf, 5, None, "SY-G002"),
        (180.5, 0.0, 5, None, "SY-G002"),
        (0.0, 88.0, 1, None, "SY-G003"),
        (0.0, -90.0, 3, None, "SY-G003"),
        (0.0, 0.0, 0, None, "SY-G004"),
        (0.0, 0.0, 11, None, "SY-G004"),
        (0.0, 0.0, 2.5, None, "SY-G004"),
        (0.0, 0.0, 5, -6_400_000.0, "SY-G005"),
        (0.0, 0.0, 5, math.nan, "SY-G005"),
    ],
)
def test_what_has_no_code_is_refused_by_name_or_left_empty(
    lon: float, lat: float, level: float, height: float | None, expected: str
) -> None:
    with pytest.raises(SanyuError) as caught:
        beidou.encode(lon, lat, level, height)
    assert caught.value.code == expected
    assert beidou.encode(lon, lat, level, height, errors="null") == ""


def test_bad_rows_of_an_array_are_named_by_row_or_nulled() -> None:
    lon, lat = [116.3, math.nan, 10.0], [39.9, 1.0, 89.0]
    with pytest.raises(SanyuError) as caught:
        beidou.encode(lon, lat, 4)
    assert caught.value.params["row"] == 1
    assert beidou.encode(lon, lat, 4, errors="null").tolist() == ["N50J47534", "", ""]
    assert beidou.encode_arrow(lon, lat, [4, 4, 4]).to_pylist() == ["N50J47534", None, None]


def test_arrow_column_with_a_level_per_row_equals_the_scalar_codes() -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(-180, 180, 500), rng.uniform(-88, 88, 500)
    level, height = rng.integers(1, 11, 500), rng.uniform(-100, 9000, 500)
    flat = beidou.encode_arrow(lon, lat, level)
    deep = beidou.encode_arrow(lon, lat, level, height)
    flat.validate(full=True)
    assert flat.to_pylist() == [beidou.encode(*row) for row in zip(lon, lat, level, strict=True)]
    assert deep.to_pylist() == [beidou.encode(*row) for row in zip(lon, lat, level, height, strict=True)]
    assert beidou.encode_arrow([], [], 5).to_pylist() == []


def test_shapes_are_broadcast_and_kept() -> None:
    assert isinstance(beidou.encode(1.0, 2.0, 3), str)
    assert beidou.encode([[1.0, 2.0]], [[3.0], [4.0]], 3).shape == (2, 2)
    assert beidou.decode(["N31A", "N31A00"]).level.tolist() == [1, 2]
    assert beidou.encode(np.array([]), np.array([]), 3).shape == (0,)


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ("X50J", "SY-G006", 1),
        ("N61A", "SY-G006", 3),
        ("N00A", "SY-G006", 3),
        ("N50W", "SY-G006", 4),
        ("N50JC0", "SY-G006", 5),
        ("N50J08", "SY-G006", 6),
        ("N50J476", "SY-G006", 7),
        ("N50J4753A", "SY-G006", 9),
        ("N50J47539b8", "SY-G006", 10),
        ("N50J47539B8255346158", "SY-G006", 20),
        ("N250J00", "SY-G006", 2),
        ("N050J64", "SY-G006", 7),
        ("N150J0047050340D9000000000000000", "SY-G006", 2),
        ("N50Jé7", "SY-G006", 5),
        ("N50J4", "SY-G007", 5),
        ("", "SY-G007", 0),
        ("N50J47539B82553461520", "SY-G007", 21),
    ],
)
def test_malformed_code_is_refused_at_its_first_wrong_character(text: str, code: str, position: int) -> None:
    with pytest.raises(SanyuError) as caught:
        beidou.decode(text)
    assert (caught.value.code, caught.value.params["position"]) == (code, position)
    cell = beidou.decode(["N31A", text], errors="null")
    assert cell.level.tolist() == [1, 0] and np.isnan(cell.lon[1]) and cell.west[0] == 0.0


def test_mixed_2d_and_3d_codes_decode_together() -> None:
    cell = beidou.decode(["N50J475", "N050J00", "N050J0047050"])
    assert cell.level.tolist() == [3, 1, 3]
    assert np.isnan(cell.height_bottom).tolist() == [True, False, False]
    assert cell.height_bottom[1] == 0.0


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [
        (0, 0, 10),
        (6, 4, 1),
        (50, 1, 1),
        (0.5, 0.5, 2),
        (0.5, 0.6, 1),
        (0.25, 1 / 6, 3),
        (116 + 1 / 60 - 116, 1 / 60, 4),
        (0.0004, 0.0001, 6),
        (1e-7, 0, 10),
    ],
)
def test_level_fits_the_extent(width: float, height: float, level: int) -> None:
    assert beidou.level_for_extent(width, height) == level
    assert beidou.level_for_extent([width], [height], cap=3).tolist() == [min(level, 3)]


def test_level_of_no_extent_is_none_and_sizes_are_the_standards() -> None:
    assert beidou.level_for_extent(math.nan, 0.0) == 0
    assert beidou.cell_size(1) == (6.0, 4.0)
    assert beidou.cell_size(10) == (1 / UNITS, 1 / UNITS)
    with pytest.raises(SanyuError):
        beidou.cell_size(0)
