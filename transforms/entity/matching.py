"""Identity that survives edits: which vanished entity an arrived row is, when its key is not known.

Two steps, so that the result does not depend on how Spark cuts the work: **evidence** compares each vanished entity with each arrived row
nearby (`compare`, in parallel by cells), **decision** looks at all evidence at once (`decide`):

* *split*: one old thing is filled by two or more new ones; *merge*: two or more old ones fill a new one. Filled: the parts lie in the whole
  (≥ 80 % each), hold ≥ 10 % of it each, and together 80 to 120 % of it, so that copies of one thing are not taken for its parts. Parts get
  new entities, wholes end; the links say from what.
* *same*: one to one, the assignment with the largest sum of scores among pairs that are alike enough (`Matching` of the contract).
  Polygons: intersection over union ≥ `min_overlap`; or moved, not reshaped: they overlap by ≥ 10 %, their centroids lie within
  `max_distance_m`, and laid upon each other they agree to ≥ 80 %.
  Lines: of each at least `min_overlap` runs within `max_distance_m` of the other.
  Points: within `max_distance_m`, and all attributes equal (a missing value equals a missing value).
  Equal attributes weigh a tenth of the score: enough to decide between neighbours, never against the geometry.

Whatever is in no link: a vanished entity has ended, an arrived row is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.messages import SanyuError
from schemas.model import Matching
from transforms.entity.cells import Grid, box_array, grid_for, in_cells, owned
from transforms.entity.deciding import LINK_SCHEMA, Evidence, decide
from transforms.space import coords

Array = npt.NDArray[Any]

LINK_DDL: Final = "old_entity_id string, new_key string, kind string, score double, evidence string"
MAX_AMBIGUOUS: Final = 2_000_000
MIN_COMMON: Final = 0.1
MIN_SHAPE: Final = 0.8
ATTRIBUTE_WEIGHT: Final = 0.1
_EVIDENCE_DDL: Final = (
    "old_entity_id string, new_key string, is_alike boolean, score double, "
    "old_share double, new_share double, distance_m double, is_areal boolean"
)


@dataclass(frozen=True)
class Features:
    """Things to compare: `ids` (n,) unique texts, `geoms` (n,) shapely in one metric CRS, `attributes` (n, k) texts or None."""

    ids: Array
    geoms: Array
    attributes: Array


@dataclass(frozen=True)
class Matches:
    """`links` (`old_entity_id, new_key, kind` = same, split or merge, `score` 0–1, `evidence`); ids of the ended and of the new, sorted."""

    links: pa.Table
    ended: tuple[str, ...]
    new: tuple[str, ...]


def match(vanished: Features, arrived: Features, rule: Matching) -> Matches:
    """Match vanished entities with arrived rows; the order of the input does not matter."""
    links = decide(compare(vanished, arrived, rule))
    same = links.filter(pc.equal(links["kind"], "same"))
    ended = set(vanished.ids) - set(same["old_entity_id"].to_pylist())
    new = set(arrived.ids) - set(same["new_key"].to_pylist())
    return Matches(links, tuple(sorted(ended)), tuple(sorted(new)))


def compare(vanished: Features, arrived: Features, rule: Matching) -> Evidence:
    """Return the evidence of all pairs of one dimension (points, lines, polygons) that are near enough to matter."""
    found = []
    for dimension, measure in enumerate((_points, _lines, _polygons)):
        old = np.flatnonzero(shapely.get_dimensions(vanished.geoms) == dimension)
        new = np.flatnonzero(shapely.get_dimensions(arrived.geoms) == dimension)
        if not (len(old) and len(new)):
            continue
        reach = rule.max_distance_m if dimension < 2 else 0.0
        boxes = shapely.bounds(vanished.geoms[old]) + np.array([-reach, -reach, reach, reach])
        left, right = shapely.STRtree(arrived.geoms[new]).query(shapely.box(*boxes.T))
        left, right = old[left], new[right]
        agreement = _agreement(vanished.attributes[left], arrived.attributes[right])
        facts = measure(vanished.geoms[left], arrived.geoms[right], agreement, rule)
        facts = facts.named(vanished.ids[left], arrived.ids[right])
        # What neither fits nor could be a part of the other is no evidence: neighbours that touch.
        found.append(facts.take(facts.is_alike | (np.maximum(facts.old_share, facts.new_share) >= 0.5)))
    return Evidence.joined(found)


def _agreement(old: Array, new: Array) -> Array:
    """Return the share of equal attributes, 1 where there are none to compare; missing equals missing."""
    if old.shape[1] == 0:
        return np.ones(len(old))
    equal: Array = np.asarray(old == new, dtype=bool).mean(axis=1)
    return equal


def _polygons(old: Array, new: Array, agreement: Array, rule: Matching) -> Evidence:
    old_area, new_area = shapely.area(old), shapely.area(new)
    common = shapely.area(shapely.intersection(old, new))
    iou = common / (old_area + new_area - common)
    offset = shapely.get_coordinates(shapely.centroid(old)) - shapely.get_coordinates(shapely.centroid(new))
    distance = np.hypot(*offset.T)
    score = np.where(iou >= rule.min_overlap, iou, 0.0)
    size = np.minimum(old_area, new_area) / np.maximum(old_area, new_area)
    moved = (score == 0) & (iou >= MIN_COMMON) & (distance <= rule.max_distance_m) & (size >= MIN_SHAPE)
    for i in np.flatnonzero(moved):
        laid = shapely.transform(new[i], lambda xy, by=offset[i]: xy + by)
        shared = shapely.area(shapely.intersection(old[i], laid))
        shape = shared / (old_area[i] + new_area[i] - shared)
        # A moved thing scores by how much of it is still in place, below any that stayed.
        score[i] = iou[i] if shape >= MIN_SHAPE else 0.0
    return _evidence(score, agreement, common / old_area, common / new_area, distance, areal=True)


def _lines(old: Array, new: Array, agreement: Array, rule: Matching) -> Evidence:
    old_length, new_length = shapely.length(old), shapely.length(new)
    old_in = shapely.length(shapely.intersection(old, shapely.buffer(new, rule.max_distance_m, quad_segs=4)))
    new_in = shapely.length(shapely.intersection(new, shapely.buffer(old, rule.max_distance_m, quad_segs=4)))
    old_share, new_share = old_in / old_length, new_in / new_length
    distance = shapely.hausdorff_distance(old, new)
    overlap = np.minimum(old_share, new_share) * np.minimum(old_length, new_length) / np.maximum(old_length, new_length)
    # Of two lines in the buffer the nearer one is meant: parallel carriageways are both in each other's.
    nearness = 1 / (1 + distance / rule.max_distance_m)
    score = np.where(overlap >= rule.min_overlap, overlap * nearness, 0.0)
    return _evidence(score, agreement, old_share, new_share, distance, areal=True)


def _points(old: Array, new: Array, agreement: Array, rule: Matching) -> Evidence:
    distance = shapely.distance(old, new)
    alike = (distance <= rule.max_distance_m) & (agreement == 1)
    score = np.where(alike, 1 / (1 + distance / rule.max_distance_m), 0.0)
    nothing = np.zeros(len(old))
    return _evidence(score, agreement, nothing, nothing, distance, areal=False)


def _evidence(score: Array, agreement: Array, old_share: Array, new_share: Array, distance: Array, *, areal: bool) -> Evidence:
    weighed = (1 - ATTRIBUTE_WEIGHT) * score + ATTRIBUTE_WEIGHT * agreement
    unnamed = np.full(len(score), "", dtype=object)
    return Evidence(unnamed, unnamed, score > 0, weighed, old_share, new_share, distance, np.full(len(score), areal))


def match_frames(vanished: DataFrame, arrived: DataFrame, rule: Matching) -> DataFrame:
    """Return the links between two frames: `old_entity_id, new_key, kind, score, evidence`; a pair without a link is not there.

    `vanished` has `entity_id`, `arrived` has `source_key`; both `bbox`, `geom` (EPSG:4490) and those of the rule's attributes that they
    share. Runs jobs on both. Pairs in which neither side has another candidate are settled in parallel; the rest, at most two million, on
    the driver. Distances are measured in the projection of the middle of the rows. Raises SY-C121.
    """
    spark = vanished.sparkSession
    names = [name for name in rule.attributes if name in vanished.columns and name in arrived.columns]
    sides = _side(vanished, "entity_id", names, old=True).unionByName(_side(arrived, "source_key", names, old=False))
    grid = grid_for(sides)
    if grid is None:
        return spark.createDataFrame([], LINK_DDL)
    x, y = grid.margin_deg(rule.max_distance_m)
    widened = sides.withColumn("bbox", F.when(F.col("is_old"), _widened(x, y)).otherwise(F.col("bbox")))
    compared = in_cells(widened, grid).groupBy("grid_cell").applyInArrow(_evidence_in_cell(grid, rule), _EVIDENCE_DDL).persist()
    alone = [F.col(f"{name}_pairs") == 1 for name in ("old", "new")]
    counted = compared.join(compared.groupBy("old_entity_id").agg(F.count("*").alias("old_pairs")), "old_entity_id").join(
        compared.groupBy("new_key").agg(F.count("*").alias("new_pairs")), "new_key"
    )
    columns = [name for name, *_ in (part.split() for part in _EVIDENCE_DDL.split(", "))]
    contested = counted.where(~(alone[0] & alone[1])).select(columns).limit(MAX_AMBIGUOUS + 1).toArrow()
    if contested.num_rows > MAX_AMBIGUOUS:
        raise SanyuError("SY-C121", limit=MAX_AMBIGUOUS)
    plain = counted.where(alone[0] & alone[1]).select(columns).mapInArrow(_decided_batches, LINK_DDL)
    links = plain.unionByName(spark.createDataFrame(decide(Evidence.from_arrow(contested)), LINK_DDL)).localCheckpoint()
    compared.unpersist()
    return links


def _side(rows: DataFrame, key: str, attributes: list[str], *, old: bool) -> DataFrame:
    texts = F.array(*(F.col(name).cast("string") for name in attributes)).cast("array<string>")
    return rows.where(F.col("geom").isNotNull() & F.col(key).isNotNull()).select(
        F.lit(old).alias("is_old"), F.col(key).alias("id"), "bbox", "geom", texts.alias("attributes")
    )


def _widened(x: float, y: float) -> Column:
    box = F.col("bbox")
    return F.struct(
        (box["xmin"] - x).alias("xmin"), (box["ymin"] - y).alias("ymin"), (box["xmax"] + x).alias("xmax"), (box["ymax"] + y).alias("ymax")
    )


def _evidence_in_cell(grid: Grid, rule: Matching) -> Callable[..., pa.Table]:
    """Return the function that compares the pairs which belong to one cell."""
    crs = coords.metric_crs(grid.lon, grid.lat)

    def run(cell: tuple[Any, ...], table: pa.Table) -> pa.Table:
        is_old = table["is_old"].to_numpy()
        ids, boxes = table["id"].to_numpy(), box_array(table["bbox"])
        geoms = coords.transform_geometries(shapely.from_wkb(table["geom"].to_numpy()), "EPSG:4490", crs)
        texts = table["attributes"].to_pylist()
        attributes = np.array(texts, dtype=object).reshape(len(texts), -1)
        old, new = (Features(ids[side], geoms[side], attributes[side]) for side in (is_old, ~is_old))
        found = compare(old, new, rule)
        old_box = dict(zip(old.ids, boxes[is_old], strict=True))
        new_box = dict(zip(new.ids, boxes[~is_old], strict=True))
        if not len(found.score):
            return found.to_arrow()
        first = np.array([old_box[i] for i in found.old_entity_id])
        second = np.array([new_box[i] for i in found.new_key])
        return found.take(owned(first, second, cell[0].as_py(), grid.size_deg)).to_arrow()

    return run


def _decided_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from decide(Evidence.from_arrow(pa.Table.from_batches([batch]))).cast(LINK_SCHEMA).to_batches()
