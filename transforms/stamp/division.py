"""Which administrative division (行政区划) a geometry lies in: point in polygon against the dated division table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray


@dataclass(frozen=True)
class Division:
    """A division with its polygon: 12-digit code, level (1 province … 5 community), WKB in EPSG:4490."""

    code: str
    level: int
    wkb: bytes


class DivisionIndex:
    """Looks representative points up in the deepest division that holds them.

    Levels are tried from the deepest upwards, so that a place outside every community still gets its township or district. A point on a
    shared border falls to the division with the smaller code, whatever the order of rows.
    """

    def __init__(self, divisions: tuple[Division, ...]) -> None:
        self._levels: list[tuple[NDArray[np.object_], shapely.STRtree]] = []
        for level in sorted({d.level for d in divisions}, reverse=True):
            members = sorted((d for d in divisions if d.level == level), key=lambda d: d.code)
            polygons = shapely.from_wkb([d.wkb for d in members])
            shapely.prepare(polygons)
            self._levels.append((np.array([d.code for d in members], dtype=object), shapely.STRtree(polygons)))

    def codes(self, geoms: NDArray[np.object_]) -> NDArray[np.object_]:
        """Return the division code of each geometry (EPSG:4490), None where there is none."""
        found = np.full(len(geoms), None, dtype=object)
        if not self._levels:
            return found
        points = representative_points(geoms)
        open_rows = np.arange(len(geoms))
        for codes, tree in self._levels:
            rows, polygons = tree.query(points[open_rows], predicate="intersects")
            order = np.lexsort((polygons, rows))
            first = np.unique(rows[order], return_index=True)[1]
            hits, best = rows[order][first], polygons[order][first]
            found[open_rows[hits]] = codes[best]
            open_rows = np.delete(open_rows, hits)
            if not len(open_rows):
                break
        return found


def representative_points(geoms: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return a point on each geometry: the point itself, the centroid where it lies on the geometry, else a point on the surface."""
    points = np.asarray(geoms, dtype=object).copy()
    other = shapely.get_type_id(points) != 0
    if other.any():
        centroids = shapely.centroid(points[other])
        outside = ~shapely.intersects(points[other], centroids)
        centroids[outside] = shapely.point_on_surface(points[other][outside])
        points[other] = centroids
    return points
