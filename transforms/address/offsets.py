"""Places given relative to another place: 人民医院北侧100米, 中山路5号以东, 100 m east of City Hall."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj

_GEOD = pyproj.Geod(ellps="GRS80")
_AZIMUTHS = {"北": 0.0, "东北": 45.0, "东": 90.0, "东南": 135.0, "南": 180.0, "西南": 225.0, "西": 270.0, "西北": 315.0}
_ENGLISH = {
    "north": 0.0,
    "northeast": 45.0,
    "east": 90.0,
    "southeast": 135.0,
    "south": 180.0,
    "southwest": 225.0,
    "west": 270.0,
    "northwest": 315.0,
}
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_WAY = "东北|东南|西北|西南|北东|南东|北西|南西|东|南|西|北"
_NUMBER = r"\d+(?:\.\d+)?|[零〇一二两三四五六七八九十百千]+"
_UNIT = "公里|千米|米|里|[kK][mM]|[mM]"
_CHINESE = re.compile(
    rf"^(?P<anchor>.*?[^以往向朝之正的])(?:以|往|向|朝|之|的)?正?(?P<way>{_WAY})(?:方向|侧|面|边|部|方)?"
    rf"(?:大约|约|近|距离?)?(?P<number>{_NUMBER})(?P<unit>{_UNIT})(?:处|左右|远)*$"
)
_CHINESE_BARE = re.compile(
    rf"^(?P<anchor>.*?[^以往向朝之正的])(?:以|往|向|朝|之|的)?正?(?P<way>{_WAY})(?:方向|侧|面|边|方)$|^(?P<anchor2>.*?)以(?P<way2>{_WAY})$"
)
_LATIN = re.compile(
    r"^\s*(?:(?:about|approx\.?|ca\.?)?\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>km|kilomet(?:er|re)s?|m|met(?:er|re)s?|ft|feet)\s+)?"
    r"(?:to\s+the\s+)?(?P<way>north|south)?[\s-]?(?P<way2>east|west)?\s+of\s+(?P<anchor>.+?)\s*$",
    re.IGNORECASE,
)
_METRES = {"公里": 1000.0, "千米": 1000.0, "km": 1000.0, "kilo": 1000.0, "里": 500.0, "ft": 0.3048, "fe": 0.3048}


@dataclass(frozen=True, slots=True)
class OffsetText:
    """A place relative to another: the text of the anchor, the azimuth (degrees from north, clockwise), metres (None if not given)."""

    anchor: str
    azimuth_deg: float
    distance_m: float | None

    def standard(self, anchor: str, *, is_latin: bool = False) -> str:
        """Return the place in words: 建设西路8号北侧100米, or 100 m north of 8 Main Street."""
        ways = _ENGLISH if is_latin else _AZIMUTHS
        way = next(name for name, azimuth in ways.items() if azimuth == self.azimuth_deg)
        if is_latin:
            return (f"{self.distance_m:g} m " if self.distance_m is not None else "") + f"{way} of {anchor}"
        return f"{anchor}{way}侧" + (f"{self.distance_m:g}米" if self.distance_m is not None else "")


def find_offset(text: str) -> OffsetText | None:
    """Return the offset in a text, None if there is none; without a distance only with a word such as 北侧, 以北, north of."""
    text = text.strip()
    found = _CHINESE.match(text)
    if found:
        return OffsetText(found["anchor"], _azimuth(found["way"]), round(_number(found["number"]) * _factor(found["unit"]), 3))
    found = _CHINESE_BARE.match(text)
    if found:
        return OffsetText(found["anchor"] or found["anchor2"], _azimuth(found["way"] or found["way2"]), None)
    found = _LATIN.match(text)
    if found and (found["way"] or found["way2"]):
        metres = float(found["number"]) * _factor(found["unit"].lower()) if found["number"] else None
        return OffsetText(found["anchor"], _ENGLISH[((found["way"] or "") + (found["way2"] or "")).lower()], metres)
    return None


def moved(lon: Any, lat: Any, azimuth_deg: Any, distance_m: Any) -> tuple[Any, Any]:
    """Return longitude and latitude (degrees) at a distance along the geodesic (GRS 80) from a point; floats for scalars, else arrays."""
    lon, lat, azimuth, metres = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (lon, lat, azimuth_deg, distance_m)))
    new_lon, new_lat, _ = _GEOD.fwd(lon.ravel(), lat.ravel(), azimuth.ravel(), metres.ravel())
    if lon.ndim == 0:
        return float(new_lon[0]), float(new_lat[0])
    return np.reshape(new_lon, lon.shape), np.reshape(new_lat, lon.shape)


def _azimuth(way: str) -> float:
    return _AZIMUTHS[way if way in _AZIMUTHS else way[::-1]]


def _factor(unit: str) -> float:
    return next((factor for start, factor in _METRES.items() if unit.lower().startswith(start)), 1.0)


def _number(text: str) -> float:
    """Return a number in digits or in Chinese numerals below 10,000."""
    if text[0].isdigit() and text[0].isascii():
        return float(text)
    if not set(text) & set(_UNITS):
        return float("".join(str(_DIGITS[c]) for c in text))
    total, digit = 0, 0
    for char in text:
        if char in _UNITS:
            total += (digit or 1) * _UNITS[char]
            digit = 0
        else:
            digit = _DIGITS[char]
    return float(total + digit)
