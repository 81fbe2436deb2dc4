"""Density clusters brought up to date: what a row does reaches no farther than two reaches, and along the clusters that it touches.

Whether a row is core can change only within one reach of a row that came or went. So clusters can split, merge, grow or end only where they
have a core row within two reaches; these are labelled anew with all their rows, from who is known to be core. All other clusters stay as
they are, and serve as the surroundings in which border rows near the change look for their nearest core row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from scipy.spatial import cKDTree

from transforms.mining.clusters.dbscan_kernel import ROLES, cluster
from transforms.mining.ground import metres
from transforms.mining.ground.metres import LAKE_CRS, points
from transforms.mining.ground.row_time import times
from transforms.mining.shelf.frames import DEFAULT_ID, attached
from transforms.mining.shelf.update import MOST_SHARE, Change, Updated, windows
from transforms.space import hilbert
from transforms.space.coords import transform_geometries

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SLACK = 1e-6  # of a reach: rounding puts no row out of sight
MOST_MEMBERS = 0.5  # of the rows: with more in the clusters that are touched, all rows are as quickly read
CRS = "crs"


class KeptSystem:
    """The metric system of a run, which the next one has to share."""

    def __init__(self, crs: str) -> None:
        self.crs = crs

    def to_arrow(self) -> pa.Table:
        return pa.table({CRS: [self.crs]})


def updated_clusters(change: Change, asked: Mapping[str, Any]) -> Updated | str:
    """Return the rows of all clusters that the change touches and of all rows near it; `asked` has a `time` for ST-DBSCAN."""
    crs = metres.belt(change.extent[::2], change.extent[1::2])
    if change.kept is None:
        return "the last run has left no metric system"
    if change.kept.column(CRS)[0].as_py() != crs:
        return f"the metric system of the extent is now {crs}"
    if asked["id_column"] not in (None, DEFAULT_ID):
        return "the rows are known by another column"
    eps = float(asked["eps_m"])
    old = change.result((DEFAULT_ID, "cluster_id", "cluster_role"))
    edited = [frame for frame in (change.removed, change.added) if len(frame)]
    if sum(map(len, edited)) > MOST_SHARE * old.num_rows:
        return f"{sum(map(len, edited)):,} of {old.num_rows:,} rows have changed"
    at = np.concatenate([_placed(frame, crs)[1] for frame in edited])
    near, places = _placed(change.near(windows(_bounds(at, 3 * eps, crs))), crs)
    far: Floats = cKDTree(at).query(places)[0]
    is_near = far <= 3 * eps * (1 + 4 * SLACK)
    near, far = near[is_near], far[is_near]
    is_hit = pc.is_in(old.column(DEFAULT_ID), value_set=_ids([near[far <= 2 * eps * (1 + 2 * SLACK)], change.removed]))
    is_core = pc.equal(old.column("cluster_role"), ROLES[2])
    hit = old.filter(pc.and_(is_hit, is_core)).column("cluster_id").unique()
    members = old.filter(pc.is_in(old.column("cluster_id"), value_set=hit)).column(DEFAULT_ID)
    if len(members) > MOST_MEMBERS * old.num_rows:
        return f"the clusters that changed have {len(members):,} of {old.num_rows:,} rows"
    others = members.filter(pc.invert(pc.is_in(members, value_set=_ids([near, change.removed]))))
    parts = [frame for frame in (near, change.rows(others.combine_chunks())) if len(frame)]
    known = pd.concat(parts, ignore_index=True) if parts else near
    reached = np.append(far, np.full(len(known) - len(near), np.inf))
    return _Renewal(change, asked, crs, old).of(known, reached, members)


class _Renewal:
    """The labels of the rows that are known here, made anew from who is core."""

    def __init__(self, change: Change, asked: Mapping[str, Any], crs: str, old: pa.Table) -> None:
        self.change, self.asked, self.crs, self.old = change, asked, crs, old

    def of(self, known: Any, far: Floats, members: Any) -> Updated:
        """Return the rows to be renewed; `far` is how far each row is from the nearest that changed (m), `members` the ids by cluster."""
        eps, time = float(self.asked["eps_m"]), self.asked.get("time")
        table = points(known, [time] if time else [], DEFAULT_ID, crs=self.crs)
        ids = table.column("id").combine_chunks()
        far = far[pc.index_in(ids, value_set=pa.array(known[DEFAULT_ID])).to_numpy()] if len(ids) else far
        is_renewed = (far <= 2 * eps * (1 + 2 * SLACK)) | np.asarray(pc.is_in(ids, value_set=members))
        is_core, names = self._labelled(table, ids, far <= eps * (1 + SLACK), is_renewed)
        role = np.where(np.asarray(names.is_null()), 0, np.where(is_core, 2, 1))
        found = pa.table([ids, names, pa.array(ROLES).take(pa.array(role))], names=["id", "cluster_id", "cluster_role"])
        rows = known[np.asarray(pc.is_in(pa.array(known[DEFAULT_ID]), value_set=ids.filter(pa.array(is_renewed))))]
        keys = pa.array(pd.unique(pd.concat([rows[DEFAULT_ID], self.change.removed[DEFAULT_ID]])), self.old.column(DEFAULT_ID).type)
        renewed = found.filter(pa.array(is_renewed))
        facts = self._facts(renewed, keys)
        result, kept = attached(rows.reset_index(drop=True), renewed, DEFAULT_ID), KeptSystem(self.crs).to_arrow()
        was = self.old.filter(pc.is_in(self.old.column(DEFAULT_ID), value_set=keys)).column("cluster_id")
        touched = pa.chunked_array([*was.chunks, *renewed.column("cluster_id").chunks], pa.string()).drop_null().unique()
        return Updated(result, len(rows), facts["row_count"], "rows", kept=kept, facts=facts, keys=keys, touched=touched)

    def _labelled(self, table: pa.Table, ids: Any, is_open: Bools, is_renewed: Bools) -> tuple[Bools, pa.Array]:
        """Return who is core, and the clusters' names: only rows that are `is_open` may have become core, or ceased to be.

        Clusters of rows that are not renewed are here in part, and keep their names.
        """
        time, eps = self.asked.get("time"), float(self.asked["eps_m"])
        t, factor = times(table, time) if time else (None, 1.0)
        asked = (eps, int(self.asked["min_points"]), t, float(self.asked.get("eps_time") or 0.0) * factor)
        x, y = (table.column(name).to_numpy() for name in ("x_m", "y_m"))
        place = pc.index_in(ids, value_set=self.old.column(DEFAULT_ID).combine_chunks())
        before = self.old.select(["cluster_id", "cluster_role"]).take(place)
        was_core = np.asarray(pc.fill_null(pc.equal(before.column("cluster_role"), ROLES[2]), False))
        rank = np.arange(len(x))
        counted, _ = cluster(x, y, rank, *asked)
        is_core = np.where(is_open, counted, was_core)
        _, label = cluster(x, y, rank, *asked, core=is_core)
        names = pc.if_else(pa.array(is_renewed), ids.cast(pa.string()), before.column("cluster_id").combine_chunks())
        return is_core, names.take(pa.array(label, mask=label < 0))

    def _facts(self, renewed: pa.Table, keys: pa.Array) -> dict[str, Any]:
        """Return the metrics of the whole result, as a run over all rows tells them."""
        left = self.old.filter(pc.invert(pc.is_in(self.old.column(DEFAULT_ID), value_set=keys))).column("cluster_id")
        names = pa.chunked_array([*left.chunks, *renewed.column("cluster_id").chunks], pa.string())
        return {"row_count": len(names), "cluster_count": len(names.drop_null().unique()), "noise_count": names.null_count}


def _placed(frame: Any, crs: str) -> tuple[Any, Floats]:
    """Return the rows in the order of their ids, and their places in metres."""
    if not len(frame):
        return frame, np.empty((0, 2))
    table = points(frame, [], DEFAULT_ID, crs=crs)
    order = pc.index_in(table.column("id").combine_chunks(), value_set=pa.array(frame[DEFAULT_ID]))
    return frame.iloc[order.to_numpy()], np.column_stack([table.column(name).to_numpy() for name in ("x_m", "y_m")])


def _bounds(at: Floats, reach_m: float, crs: str) -> Floats:
    """Return the bounds in degrees of squares around places, neighbours in order."""
    around = shapely.box(at[:, 0] - reach_m, at[:, 1] - reach_m, at[:, 0] + reach_m, at[:, 1] + reach_m)
    found: Floats = shapely.bounds(transform_geometries(around, crs, LAKE_CRS))
    return found[np.argsort(hilbert.hilbert_key(found[:, 0], found[:, 1]), kind="stable")]


def _ids(frames: list[Any]) -> pa.Array:
    return pa.array(pd.concat([frame[DEFAULT_ID] for frame in frames]).astype(object), pa.string())
