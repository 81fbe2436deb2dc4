"""Identity through time: which live entity each delivered row is.

A row whose source key is known keeps its entity. A row with an unknown key may still be a known thing whose key or geometry changed: it is
matched with the live entities that a full snapshot no longer names, by geometry and attributes (`transforms.entity.matching`).
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.model import Contract
from transforms.stamp.identity import stamp_id_sql
from transforms.stamp.versions import few


@dataclass(frozen=True)
class Identified:
    """`rows` with their lasting `entity_id`, None where there are none; `ended`, stamp ids of open versions that are gone; `links`, what
    was matched and how (`old_entity_id, new_key, kind, score, evidence`), None where nothing had to be matched."""

    rows: DataFrame | None
    ended: DataFrame | None
    links: DataFrame | None


def identify(
    contract: Contract,
    rows: DataFrame | None,
    delivered_keys: DataFrame,
    live: DataFrame,
    bearers: DataFrame,
    edition_at: str,
    *,
    full: bool,
    count: int,
) -> Identified:
    """Give rows the entity ids of the live entities that they are.

    `rows` have all table fields with the entity id that they would get as new, `count` of them, None if there are none;
    `delivered_keys` (column `source_key`) are all keys of the delivery, also those of rejected rows, because a thing whose row is bad has
    not ended; `live` are the source's believed rows, `bearers` all or some of them, at least those that bear one of the rows' keys.

    What is found is computed here and cut off from what it came from (`localCheckpoint`): each frame is used many times beyond, and a plan
    that holds the table's scan once for every use takes longer to plan than a small delivery takes to run.
    """
    keyed = _with_known_ids(rows, bearers, count).localCheckpoint() if rows is not None else None
    if not full:
        return Identified(None if keyed is None else _restamped(keyed), None, None)
    open_rows = live.where("valid_to_at is null and valid_from_at < timestamp'" + edition_at + "'")
    vanished = open_rows.join(delivered_keys, "source_key", "left_anti").localCheckpoint()
    if keyed is None:
        return Identified(None, vanished.select("stamp_id"), None)
    unknown = keyed.where("not is_known")
    if contract.matching is None or vanished.isEmpty() or unknown.isEmpty():
        return Identified(_restamped(keyed), vanished.select("stamp_id"), None)
    from transforms.entity.matching import match_frames

    links = match_frames(vanished, unknown, contract.matching)
    same = links.where("kind = 'same'").select(F.col("new_key").alias("source_key"), F.col("old_entity_id").alias("kept_id"))
    renamed = keyed.join(F.broadcast(same), "source_key", "left").withColumn("entity_id", F.coalesce("kept_id", "entity_id"))
    kept = same.select(F.col("kept_id").alias("entity_id"))
    return Identified(_restamped(renamed), vanished.join(kept, "entity_id", "left_anti").select("stamp_id"), links)


def _with_known_ids(rows: DataFrame, live: DataFrame, count: int) -> DataFrame:
    """Add `is_known` and take over the entity that bore the source key last."""
    newest = Window.partitionBy("source_key").orderBy(F.col("valid_to_at").isNull().desc(), F.col("valid_from_at").desc(), "entity_id")
    bearers = (
        live.select("source_key", "entity_id", "valid_from_at", "valid_to_at")
        .join(few(rows.select("source_key"), count), "source_key", "left_semi")
        .withColumn("rank", F.row_number().over(newest))
        .where("rank = 1")
        .select("source_key", F.col("entity_id").alias("known_id"))
    )
    return (
        rows.join(bearers, "source_key", "left")
        .withColumn("is_known", F.col("known_id").isNotNull())
        .withColumn("entity_id", F.coalesce("known_id", "entity_id"))
        .drop("known_id")
    )


def _restamped(rows: DataFrame) -> DataFrame:
    return rows.withColumn("stamp_id", F.expr(stamp_id_sql())).drop("is_known", "kept_id")
