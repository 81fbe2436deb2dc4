"""GCJ-02 and BD-09, the obfuscated coordinates of Chinese web maps, over EPSG:4326: forward formulas and their exact inverses.

The forward formulas are the public ones (GCJ-02: Krasovsky axis 6 378 245 m, e² 0.00669342162296594323; BD-09: a further twist of GCJ-02).
They have no closed inverse. Each is the identity plus a slowly varying shift, so the iteration p ← p + (q - f(p)) contracts (by < 0.01 a
step for GCJ-02, < 0.03 for BD-09) and is run until it moves less than 10⁻¹³°, the noise of a double. On the meridian
105°E the formulas have a term √|lon - 105|, whose slope is infinite: there the inverse is exact to 10⁻¹¹° (1 µm).

"Inside China" is the rectangle that the public formula uses, 72.004 ≤ lon ≤ 137.8347 and 0.8293 ≤ lat ≤ 55.8271, tested on the
undistorted position; outside it both systems equal EPSG:4326. The rectangle covers neighbours (Korea, Mongolia, northern India) too. At its
edge the forward map jumps by up to about a kilometre: where the inverse has two answers, it takes the one inside the rectangle; where it
has none, it leaves the position as it is.

All functions take float64 arrays of degrees, longitude first; NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pair = tuple[Floats, Floats]

_AXIS_M: Final = 6378245.0
_ECCENTRICITY2: Final = 0.00669342162296594323
_BD_TURN: Final = np.pi * 3000.0 / 180.0
_SETTLED_DEGREES: Final = 1e-13
_STEPS: Final = 30
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271


def inside_china(lon: Floats, lat: Floats) -> npt.NDArray[np.bool_]:
    """Tell which positions lie in the rectangle of the public formula; NaN does not."""
    inside: npt.NDArray[np.bool_] = (lon >= WEST) & (lon <= EAST) & (lat >= SOUTH) & (lat <= NORTH)
    return inside


def gcj02_from_wgs84(lon: Floats, lat: Floats) -> Pair:
    """Return GCJ-02 of EPSG:4326 positions."""
    return _within(inside_china(lon, lat), _gcj02, lon, lat)


def bd09_from_wgs84(lon: Floats, lat: Floats) -> Pair:
    """Return BD-09 of EPSG:4326 positions."""
    return _within(inside_china(lon, lat), _bd09, lon, lat)


def wgs84_from_gcj02(lon: Floats, lat: Floats) -> Pair:
    """Return EPSG:4326 of GCJ-02 positions."""
    return _undone(_gcj02, lon, lat)


def wgs84_from_bd09(lon: Floats, lat: Floats) -> Pair:
    """Return EPSG:4326 of BD-09 positions."""
    return _undone(_bd09, lon, lat)


def _within(inside: npt.NDArray[np.bool_], formula: Callable[[Floats, Floats], Pair], lon: Floats, lat: Floats) -> Pair:
    if inside.all():
        return formula(lon, lat)
    new_lon, new_lat = lon.copy(), lat.copy()
    new_lon[inside], new_lat[inside] = formula(lon[inside], lat[inside])
    return new_lon, new_lat


def _undone(formula: Callable[[Floats, Floats], Pair], lon: Floats, lat: Floats) -> Pair:
    margin = 0.05
    near = (lon > WEST - margin) & (lon < EAST + margin) & (lat > SOUTH - margin) & (lat < NORTH + margin)
    new_lon, new_lat = lon.copy(), lat.copy()
    if near.any():
        found_lon, found_lat = _inverse(formula, lon[near], lat[near])
        inside = inside_china(found_lon, found_lat)
        new_lon[near] = np.where(inside, found_lon, lon[near])
        new_lat[near] = np.where(inside, found_lat, lat[near])
    return new_lon, new_lat


def _inverse(formula: Callable[[Floats, Floats], Pair], lon: Floats, lat: Floats) -> Pair:
    x, y = lon.copy(), lat.copy()
    for _ in range(_STEPS):
        image_x, image_y = formula(x, y)
        step_x, step_y = lon - image_x, lat - image_y
        x, y = x + step_x, y + step_y
        if max(np.abs(step_x).max(), np.abs(step_y).max()) < _SETTLED_DEGREES:
            break
    return x, y


def _gcj02(lon: Floats, lat: Floats) -> Pair:
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = 20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (common + 20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * (2.0 / 3.0)
    north += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * (2.0 / 3.0)
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (common + 20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * (2.0 / 3.0)
    east += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * (2.0 / 3.0)
    phi = np.radians(lat)
    magic = 1.0 - _ECCENTRICITY2 * np.sin(phi) ** 2
    meridian = _AXIS_M * (1.0 - _ECCENTRICITY2) / (magic * np.sqrt(magic))
    parallel = _AXIS_M / np.sqrt(magic) * np.cos(phi)
    return lon + np.degrees(east / parallel), lat + np.degrees(north / meridian)


def _bd09(lon: Floats, lat: Floats) -> Pair:
    x, y = _gcj02(lon, lat)
    radius = np.hypot(x, y) + 0.00002 * np.sin(y * _BD_TURN)
    angle = np.arctan2(y, x) + 0.000003 * np.cos(x * _BD_TURN)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
