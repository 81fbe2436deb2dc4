"""Near-duplicates on arrays, and on the footprints of San Francisco."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from schemas.model import GeometryKind
from transforms.conform.geometry import conform_geometries
from transforms.entity.cells import cell_of, owned
from transforms.entity.duplicates import near_duplicate_pairs, settle


def pairs(*shapes: Any, iou: float = 0.5) -> list[tuple[str, str, float]]:
    ids = np.array([chr(ord("a") + i) for i in range(len(shapes))], dtype=object)
    found = near_duplicate_pairs(np.array(shapes, dtype=object), ids, iou)
    return sorted((ids[w], ids[s], round(float(v), 6)) for w, s, v in zip(found.winner, found.loser, found.iou, strict=True))


def test_the_larger_stays() -> None:
    assert pairs(shapely.box(0, 0, 10, 9), shapely.box(0, 0, 10, 10)) == [("b", "a", 0.9)]


def test_of_equal_areas_the_smaller_key_stays() -> None:
    assert pairs(shapely.box(1, 0, 11, 10), shapely.box(0, 0, 10, 10)) == [("a", "b", round(9 / 11, 6))]


def test_the_threshold_is_inclusive() -> None:
    exact = (shapely.box(0, 0, 10, 10), shapely.box(0, 0, 10, 5))
    assert len(pairs(*exact, iou=0.5)) == 1
    assert pairs(*exact, iou=0.500001) == []


def test_neighbours_holes_and_missing_shapes_are_no_duplicates() -> None:
    court = shapely.box(0, 0, 10, 10).difference(shapely.box(1, 1, 9, 9))
    assert pairs(shapely.box(1, 1, 9, 9), court, shapely.box(10, 0, 20, 10), None) == []


def test_a_chain_of_pairs_loses_no_thing() -> None:
    """b gives way to a; c overlaps only b, and stays."""
    assert settle(*(np.array(c, dtype=object) for c in (["a", "b"], ["b", "c"])), np.array([3.0, 2.0])) == {"b": "a"}


def test_settling_does_not_depend_on_the_order_of_pairs() -> None:
    rng = np.random.default_rng(3)
    winners, losers = rng.integers(0, 40, (2, 200))
    winners, losers = np.minimum(winners, losers), np.maximum(winners, losers)
    different = winners != losers
    names = np.array([f"k{i:02}" for i in range(40)], dtype=object)
    w, s, a = names[winners[different]], names[losers[different]], 100.0 - winners[different]
    shuffled = rng.permutation(len(w))
    assert settle(w, s, a) == settle(w[shuffled], s[shuffled], a[shuffled])
    gone = settle(w, s, a)
    assert gone
    assert not set(gone.values()) & set(gone)


def test_each_pair_belongs_to_one_cell() -> None:
    rng = np.random.default_rng(1)
    low = rng.uniform(-1, 1, (500, 2))
    boxes = np.hstack([low, low + rng.uniform(0, 0.3, (500, 2))])
    shapes = shapely.box(*boxes.T)
    left, right = shapely.STRtree(shapes).query(shapes)
    left, right = left[left < right], right[left < right]
    size = 0.25
    cells = {int(c) for c in cell_of(*np.mgrid[-5:6, -5:6].reshape(2, -1) * size + 0.01, size)}
    times = np.sum([owned(boxes[left], boxes[right], cell, size) for cell in cells], axis=0)
    assert len(left) > 100
    assert (times == 1).all()


def footprints(folder: Path) -> tuple[Any, Any]:
    """Return shapes and tile names of all TopoJSON tiles."""
    shapes, tiles = [], []
    for path in sorted(folder.glob("*.topojson.gz")):
        topology = json.loads(gzip.decompress(path.read_bytes()))
        scale, offset = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
        arcs = [np.cumsum(np.array(arc), axis=0) * scale + offset for arc in topology["arcs"]]

        def ring(numbers: list[int], arcs: list[Any] = arcs) -> Any:
            pieces = [arcs[i] if i >= 0 else arcs[~i][::-1] for i in numbers]
            return np.vstack([pieces[0], *(piece[1:] for piece in pieces[1:])])

        for layer in topology["objects"].values():
            for item in layer["geometries"]:
                parts = item["arcs"] if item["type"] == "MultiPolygon" else [item["arcs"]]
                polygons = [shapely.Polygon(ring(p[0]), [ring(r) for r in p[1:]]) for p in parts]
                shapes.append(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
                tiles.append(path.name)
    return np.array(shapes, dtype=object), np.array(tiles, dtype=object)


@pytest.mark.city
def test_san_francisco_tiles_repeat_whole_buildings_and_nothing_else(shared_data: Path) -> None:
    """86,588 footprints in 29 tiles: the repeated ones are whole copies, so that any threshold from 0.2 to 0.8 finds the same ones."""
    shapes, tiles = footprints(shared_data / "san-francisco" / "buildings")
    conformed = conform_geometries(shapely.to_wkb(shapes), GeometryKind.POLYGON, source_crs="EPSG:4326")
    good = ~shapely.is_missing(conformed.geoms)
    assert (len(shapes), int((~good).sum())) == (86_588, 15)
    ids = np.char.add("k", np.arange(good.sum()).astype(str)).astype(object)
    found = near_duplicate_pairs(conformed.geoms[good], ids, 0.2)
    across = tiles[good][found.winner] != tiles[good][found.loser]
    counts = {iou: int((across & (found.iou >= iou)).sum()) for iou in (0.2, 0.5, 0.8)}
    assert counts == {0.2: 1451, 0.5: 1451, 0.8: 1448}
