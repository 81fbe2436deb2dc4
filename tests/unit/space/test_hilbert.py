"""Hilbert keys against the textbook loop, their locality, and range covers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from transforms.space.hilbert import hilbert_key, hilbert_range


def slow_key(x: int, y: int, side: int) -> int:
    """Number a box by the textbook rotation loop."""
    key, size = 0, side // 2
    while size:
        right, upper = int(x & size > 0), int(y & size > 0)
        key += size * size * ((3 * right) ^ upper)
        if not upper:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        size //= 2
    return key


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 7, 16, 25, 26, 31])
def test_key_equals_the_textbook_loop(order: int) -> None:
    rng = np.random.default_rng(order)
    side = 1 << order
    x, y = rng.integers(0, side, 200), rng.integers(0, side, 200)
    keys = hilbert_key((x + 0.5) * (360 / side) - 180, (y + 0.5) * (180 / side) - 90, order)
    assert keys.dtype == np.int64
    assert keys.tolist() == [slow_key(int(a), int(b), side) for a, b in zip(x, y, strict=True)]


def test_consecutive_keys_are_neighbouring_boxes_and_every_key_is_used_once() -> None:
    order = 5
    side = 1 << order
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    keys = hilbert_key((x + 0.5) * (360 / side) - 180, (y + 0.5) * (180 / side) - 90, order).ravel()
    way = np.argsort(keys)
    assert keys[way].tolist() == list(range(side * side))
    assert (np.abs(np.diff(x.ravel()[way])) + np.abs(np.diff(y.ravel()[way])) == 1).all()


def test_coarser_key_is_a_prefix() -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 100), rng.uniform(-90, 90, 100)
    for order in (25, 24, 13):
        assert (hilbert_key(lon, lat) >> 2 * (26 - order) == hilbert_key(lon, lat, order)).all()


def test_places_off_the_earth_get_minus_one_and_edges_the_last_box() -> None:
    assert hilbert_key([math.nan, math.inf, 181.0, 0.0], [0.0, 0.0, 0.0, -91.0]).tolist() == [-1] * 4
    assert hilbert_key(180.0, 90.0) == hilbert_key(179.9999999, 89.9999999)
    assert isinstance(hilbert_key(1.0, 2.0), int)
    with pytest.raises(ValueError, match="order"):
        hilbert_key(1.0, 2.0, 32)


@pytest.mark.parametrize(
    "bbox", [(116.1, 39.7, 116.7, 40.1), (-0.1, -0.1, 0.1, 0.1), (-180, -90, 180, 90), (5, 5, 5, 5), (179, 89, 180, 90)]
)
@pytest.mark.parametrize("max_ranges", [1, 8, 64])
def test_ranges_hold_every_key_of_the_bbox_and_few_others(bbox: tuple[float, float, float, float], max_ranges: int) -> None:
    ranges = hilbert_range(bbox, max_ranges=max_ranges)
    assert 1 <= len(ranges) <= max_ranges
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))
    rng = np.random.default_rng(2)
    keys = hilbert_key(rng.uniform(bbox[0], bbox[2], 500), rng.uniform(bbox[1], bbox[3], 500))
    assert all(any(first <= key <= last for first, last in ranges) for key in keys.tolist())
    if max_ranges == 64 and bbox[2] - bbox[0] == pytest.approx(0.6):
        share = sum(last - first + 1 for first, last in ranges) / 4.0**26
        assert share < 2 * (0.6 / 360) * (0.4 / 180)


def test_small_cover_by_brute_force() -> None:
    order, side = 4, 16
    bbox = (-100.0, -30.0, 55.0, 61.0)
    inside = set()
    for x in range(side):
        for y in range(side):
            west, south = x * 22.5 - 180, y * 11.25 - 90
            if west <= bbox[2] and west + 22.5 > bbox[0] and south <= bbox[3] and south + 11.25 > bbox[1]:
                inside.add(slow_key(x, y, side))
    covered = {key for first, last in hilbert_range(bbox, order, max_ranges=1000) for key in range(first, last + 1)}
    assert covered == inside


def test_bbox_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="bbox"):
        hilbert_range((10, 0, 5, 1))
