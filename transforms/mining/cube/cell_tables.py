"""Cubes and hot spots as tables: a row per cell or per bin, with outlines in EPSG:4490."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from transforms.mining.cube.categories import LABELS
from transforms.mining.cube.cells import PLANAR
from transforms.mining.cube.cube import Cube
from transforms.space.coords import transform_geometries

if TYPE_CHECKING:
    from transforms.mining.cube.hot_spots import HotSpots

LAKE_CRS = "EPSG:4490"


def hot_spot_table(found: HotSpots, crs: str | None) -> pa.Table:
    """Return one row per cell: category, trend, what the last step says, and the cell's outline in EPSG:4490 (WKB)."""
    cube, signs = found.cube, found.signs
    steps = cube.shape[1]
    names = np.array([LABELS[c] for c in found.codes.tolist()], dtype=object)
    return pa.table(
        {
            "cell_id": pa.array(cube.cells.ids, pa.string()),
            "category_name": pa.array(names, pa.string()),
            "event_count": pa.array(cube.counts.sum(axis=1)),
            "step_count": pa.array(np.full(len(signs), steps, np.int32)),
            "hot_step_count": pa.array((signs > 0).sum(axis=1).astype(np.int32)),
            "cold_step_count": pa.array((signs < 0).sum(axis=1).astype(np.int32)),
            "last_gi_z": pa.array(found.z[:, -1], from_pandas=True),
            "last_p": pa.array(found.p[:, -1], from_pandas=True),
            "trend_z": pa.array(found.trend.z),
            "trend_p": pa.array(found.trend.p),
            "trend_tau": pa.array(found.trend.tau, from_pandas=True),
            "from_at": instants(np.repeat(cube.edges[:1], len(signs))),
            "to_at": instants(np.repeat(cube.edges[-1:], len(signs))),
            "geom": outlines(cube, crs),
        }
    )


def cells_frame(found: HotSpots) -> Any:
    """Return the cells as a GeoDataFrame (EPSG:4490) with the columns of `mart.mining__emerging_hot_spot`."""
    import geopandas as gpd

    plain = hot_spot_table(found, found.cube.rule.cells.crs).to_pandas()
    shapes = gpd.GeoSeries.from_wkb(plain.pop("geom"), crs=LAKE_CRS)
    return gpd.GeoDataFrame(plain, geometry=shapes)


def outlines(cube: Cube, crs: str | None) -> pa.Array:
    """Return the cells' outlines in EPSG:4490 as WKB; null for divisions and for metres whose CRS is not known."""
    kind = cube.rule.cells.kind
    if kind == "division" or (kind in PLANAR and crs is None):
        return pa.nulls(len(cube.cells), pa.binary())
    shapes = cube.cells.polygons()
    if kind in PLANAR:
        shapes = transform_geometries(shapes, str(crs), LAKE_CRS)
    return pa.array(shapely.to_wkb(shapes, flavor="iso"), pa.binary())


def instants(at: npt.NDArray[np.datetime64]) -> pa.Array:
    """Return UTC instants as an Arrow column."""
    return pa.array(at.astype("datetime64[us]"), pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
