"""A town of houses and its second edition with known edits: the truth that matching is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from transforms.entity.matching import Features
from transforms.space import coords

CRS = "EPSG:4549"
EDITS = ("same", "vertices", "shifted", "renamed", "rows", "split", "merged", "demolished")


@dataclass(frozen=True)
class Score:
    """Shares: `kept` of true identities found, `false` of found identities that are wrong, `parts` of split and merge links found."""

    kept: float
    false: float
    parts: float


@dataclass(frozen=True)
class Town:
    """Old and new houses in metres, with the true links `(old id, new key, kind)`."""

    old: Features
    new: Features
    truth: frozenset[tuple[str, str, str]]

    def in_degrees(self, geoms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return coords.transform_geometries(geoms, CRS, "EPSG:4490")

    def score(self, links: set[tuple[str, str, str]]) -> Score:
        same, parts = ({link for link in self.truth if (link[2] == "same") is wanted} for wanted in (True, False))
        found = {link for link in links if link[2] == "same"}
        return Score(len(found & same) / len(same), len(found - same) / len(found), len(links & parts) / len(parts))


def planted_edits(count: int, seed: int, shift_m: tuple[float, float] = (1.0, 3.0)) -> Town:
    """Return a town of about `count` houses on 40 m plots.

    Plots in turn: untouched but for the key; vertices moved by 0.3 m; shifted by `shift_m`; renamed; a terrace of three touching sisters,
    6–9 m wide, shifted together; split in two; two merged into one; demolished, with a new house beside the place.
    """
    rng = np.random.default_rng(seed)
    old: list[tuple[str, Any, str]] = []
    new: list[tuple[str, Any, str]] = []
    truth: list[tuple[str, str, str]] = []

    def add_old(shape: Any, name: str) -> str:
        old.append((f"e{len(old):06}", shape, name))
        return old[-1][0]

    def add_new(shape: Any, name: str) -> str:
        new.append((f"k{len(new):06}", shape, name))
        return new[-1][0]

    side = int(np.ceil(np.sqrt(count)))
    for plot in range(count):
        x, y = 500_000 + 40.0 * (plot % side), 3_350_000 + 40.0 * (plot // side)
        width, depth = rng.uniform(9, 18, 2)
        house = shapely.box(x, y, x + width, y + depth)
        angle, name = rng.uniform(0, 2 * np.pi), f"{plot}号"
        shift = rng.uniform(*shift_m) * np.array([np.cos(angle), np.sin(angle)])
        edit = EDITS[plot % len(EDITS)]
        if edit == "rows":
            narrow = rng.uniform(6, 9)
            for i in range(3):
                sister = shapely.box(x + narrow * i, y, x + narrow * (i + 1), y + 12)
                moved = shapely.transform(sister, lambda xy, by=shift: xy + by)
                truth.append((add_old(sister, name), add_new(moved, name), "same"))
        elif edit == "split":
            cut = x + width * rng.uniform(0.35, 0.65)
            entity = add_old(house, name)
            for part in (shapely.box(x, y, cut, y + depth), shapely.box(cut, y, x + width, y + depth)):
                truth.append((entity, add_new(part, name), "split"))
        elif edit == "merged":
            cut = x + width * rng.uniform(0.35, 0.65)
            key = add_new(house, name)
            for part in (shapely.box(x, y, cut, y + depth), shapely.box(cut, y, x + width, y + depth)):
                truth.append((add_old(part, name), key, "merge"))
        elif edit == "demolished":
            add_old(house, name)
            add_new(shapely.box(x + width, y, x + 2 * width, y + depth), name)
        else:
            changed = {
                "same": house,
                "vertices": _redrawn(house.segmentize(6), rng),
                "shifted": shapely.transform(house, lambda xy, by=shift: xy + by),
                "renamed": house,
            }[edit]
            truth.append((add_old(house, name), add_new(changed, f"新{name}" if edit == "renamed" else name), "same"))
    order = rng.permutation(len(new))
    return Town(_features(old), _features([new[i] for i in order]), frozenset(truth))


def _redrawn(house: Any, rng: np.random.Generator) -> Any:
    xy = np.array(house.exterior.coords)[:-1]
    return shapely.Polygon(xy + rng.uniform(-0.3, 0.3, xy.shape))


def _features(rows: list[tuple[str, Any, str]]) -> Features:
    ids, geoms, names = zip(*rows, strict=True)
    return Features(np.array(ids, dtype=object), np.array(geoms, dtype=object), np.array(names, dtype=object).reshape(-1, 1))
