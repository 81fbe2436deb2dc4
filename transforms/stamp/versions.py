"""What a batch changes in a bitemporal table: which rows are new, which versions end, which were wrong.

`valid` time is the world's, `recorded`/`superseded` the lake's. The rules, per entity:

1. content equal to the version that is open now: unchanged, whatever start of validity the source repeats; under another key, the open
   version takes that key over, because a key is an address in the source and no property of the thing;
2. news of an edition later than the start of the open version: a new version from its own start, or from the edition where the source only
   repeats an old start (a registration date does not date a change of name);
3. same start, other content, no later edition: a correction; the old row is superseded and the new one takes its interval;
4. late news (its start lies before a later version): it is cut in where it belongs; the version that covered that time is shortened, by
   superseding it and inserting the shortened copy, so that the former belief stays readable;
5. a `full` snapshot ends at its edition what it no longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from transforms.stamp.identity import stamp_id_sql

END, CORRECT, INSERT, UNCHANGED, REKEY = "end", "correct", "insert", "unchanged", "rekey"
FEW_ROWS = 200_000  # about 50 MB of keys and hashes in memory
# The time code of a row that begins at the edition and not at its own start, as precise as the code it had; in Beijing time, whatever
# the session's zone.
_LOCAL = "cast(timestamp_ntz'1970-01-01 00:00:00' + make_dt_interval(0, 8, 0, unix_seconds(valid_from_at)) as string)"
TIME_CODE_SQL = f"substring(regexp_replace({_LOCAL}, '[^0-9]', ''), 1, length(time_code))"
# Of a row of `decide`: late news cuts a version that had ended already.
IS_SHORTENED = f"(decision = '{END}' and old_to is not null)"


@dataclass(frozen=True)
class Instants:
    """The batch's edition (start of validity of rows that bring none) and the transaction time, both as UTC instants in ISO text."""

    edition_at: str
    recorded_at: str

    @property
    def edition(self) -> Column:
        return F.lit(self.edition_at).cast("timestamp")

    @property
    def recorded(self) -> Column:
        return F.lit(self.recorded_at).cast("timestamp")


@dataclass(frozen=True)
class Known:
    """What one look at a table found for a small delivery: the believed `versions` of rows that bear one of its keys or are one of the
    entities that its rows would be as new ones (`ids`). `at` is the Delta version of the look: what is committed since is not in it."""

    versions: DataFrame
    ids: DataFrame
    at: int


_VERSION = ("source_key", "entity_id", "valid_from_at", "valid_to_at", "stamp_id", "row_hash")


def look(rows: DataFrame, live: DataFrame, at: int) -> Known:
    """Read the versions that a delivery of at most `FEW_ROWS` rows can concern, streaming the table past its keys once."""
    keys = F.broadcast(rows.select("source_key", F.lit(True).alias("is_key")).distinct())
    ids = rows.select("entity_id").distinct().localCheckpoint()
    found = (
        live.select(*_VERSION)
        .join(keys, "source_key", "left")
        .join(F.broadcast(ids.withColumn("is_id", F.lit(True))), "entity_id", "left")
        .where("is_key or is_id")
        .select(*_VERSION)
    )
    return Known(found.localCheckpoint(), ids, at)


def changed_keys(rows: DataFrame, live: DataFrame, count: int) -> DataFrame:
    """Return the `source_key` of rows whose content is not that of the open version which bears their key (rule 1); shuffles keys only.

    `count` is the number of the rows: where they are few, the table is only streamed past them.
    """
    pair = ["source_key", "row_hash"]
    delivered = rows.select(*pair)
    opened = live.where("valid_to_at is null").select(*pair).join(few(delivered, count), pair, "left_semi")
    return delivered.join(opened, pair, "left_anti").select("source_key")


def few(frame: DataFrame, count: int) -> DataFrame:
    """Return a frame of `count` narrow rows with the hint to broadcast it where they are few, which Spark often cannot know."""
    return F.broadcast(frame) if count <= FEW_ROWS else frame


def decide(incoming: DataFrame, live: DataFrame, instants: Instants, count: int = 0) -> DataFrame:
    """Return one row per incoming entity: `entity_id, effective_from, effective_to, decision, old_stamp_id, old_to, is_last`.

    `is_last` rows come in or after the start of the version that is open, so that the entity's other versions have no say in them.

    `incoming` has `entity_id, source_key, valid_from_at, row_hash`, one row per entity, `count` of them if known; `live` (believed rows)
    has these, `stamp_id` and `valid_to_at`.
    """
    news = incoming.select(
        "entity_id", F.col("source_key").alias("new_key"), F.col("valid_from_at").alias("new_from"), F.col("row_hash").alias("new_hash")
    )
    old = live.select("entity_id", F.struct("valid_from_at", "valid_to_at", "stamp_id", "row_hash", "source_key").alias("old"))
    gathered = (
        old.join(few(news.select("entity_id"), count), "entity_id", "left_semi")
        .join(news, "entity_id", "right")
        .groupBy("entity_id", "new_key", "new_from", "new_hash")
        .agg(F.array_sort(F.collect_list("old")).alias("versions"))
    )
    opened = F.expr("try_element_at(filter(versions, v -> v.valid_to_at is null), 1)")
    late_start = (instants.edition > F.col("opened.valid_from_at")) & (F.col("new_from") <= F.col("opened.valid_from_at"))
    placed = gathered.withColumn("opened", opened).withColumn("at", F.when(late_start, instants.edition).otherwise(F.col("new_from")))
    covering = F.expr("try_element_at(filter(versions, v -> v.valid_from_at <= at and (v.valid_to_at is null or at < v.valid_to_at)), 1)")
    following = F.expr("array_min(transform(filter(versions, v -> v.valid_from_at > at), v -> v.valid_from_at))")
    found = placed.withColumn("covering", covering).withColumn("following", following)
    is_repeated = F.col("opened.row_hash") == F.col("new_hash")
    decision = (
        F.when(is_repeated & (F.col("opened.source_key") != F.col("new_key")), REKEY)
        .when(is_repeated, UNCHANGED)
        .when(F.col("covering.row_hash") == F.col("new_hash"), UNCHANGED)
        .when(F.col("covering").isNull(), INSERT)
        .when(F.col("covering.valid_from_at") == F.col("at"), CORRECT)
        .otherwise(END)
    )
    return found.select(
        "entity_id",
        F.col("at").alias("effective_from"),
        F.coalesce("covering.valid_to_at", "following").alias("effective_to"),
        decision.alias("decision"),
        F.when(decision == REKEY, F.col("opened.stamp_id")).otherwise(F.col("covering.stamp_id")).alias("old_stamp_id"),
        F.col("covering.valid_to_at").alias("old_to"),
        F.coalesce(F.col("opened.valid_from_at") <= F.col("at"), F.lit(False)).alias("is_last"),
    )


def decided_by(incoming: DataFrame, known: Known, instants: Instants, count: int) -> DataFrame | None:
    """Return what `decide` does from what one look found; None where an entity may have versions that were not looked for."""
    decided = decide(incoming, known.versions, instants, count).localCheckpoint()
    unsure = decided.where("not is_last").join(known.ids, "entity_id", "left_anti")
    return decided if unsure.isEmpty() else None


def merge_rows(
    incoming: DataFrame, live: DataFrame | None, decided: DataFrame, fields: tuple[str, ...], instants: Instants, *, ended: DataFrame | None
) -> DataFrame:
    """Return the rows of one MERGE: `merge_key` (stamp id of the believed row to touch, null to insert) and all table fields.

    `live` may be left out where `decided` shortens no version that has ended already, which is nearly always and saves a scan of the table.
    `ended` has `stamp_id` of open versions that a full snapshot no longer holds. A touched row brings only what is set on it.
    """
    changed = decided.where(~F.col("decision").isin(UNCHANGED, REKEY))
    inserts = (
        incoming.join(changed.select("entity_id", "effective_from", "effective_to"), "entity_id")
        .withColumn("valid_from_at", F.col("effective_from"))
        .withColumn("valid_to_at", F.coalesce("effective_to", "valid_to_at"))
        .withColumn("closed_at", F.when(F.col("valid_to_at").isNotNull(), instants.recorded))
        .withColumn("stamp_id", F.expr(stamp_id_sql()))
        .withColumn("time_code", F.expr(TIME_CODE_SQL))
        .select(F.lit(None).cast("string").alias("merge_key"), *fields)
    )
    old = changed.where(F.col("old_stamp_id").isNotNull())
    shortened = F.expr(IS_SHORTENED)
    closes = old.where((F.col("decision") == END) & F.col("old_to").isNull()).select(
        F.col("old_stamp_id").alias("merge_key"), F.col("effective_from").alias("valid_to_at"), instants.recorded.alias("closed_at")
    )
    wrongs = old.where((F.col("decision") == CORRECT) | shortened).select(
        F.col("old_stamp_id").alias("merge_key"), instants.recorded.alias("superseded_at")
    )
    renamed = decided.where(F.col("decision") == REKEY).select("entity_id", F.col("old_stamp_id").alias("merge_key"))
    rekeys = incoming.select("entity_id", "source_key").join(renamed, "entity_id").select("merge_key", "source_key")
    rows = inserts
    if live is not None:
        recut = (
            live.join(old.where(shortened).select(F.col("old_stamp_id").alias("stamp_id"), "effective_from"), "stamp_id")
            .withColumn("valid_to_at", F.col("effective_from"))
            .withColumn("recorded_at", instants.recorded)
            .withColumn("closed_at", instants.recorded)
            .withColumn("stamp_id", F.expr(stamp_id_sql()))  # as it was, but where the row's digest is now of a later version
            .select(F.lit(None).cast("string").alias("merge_key"), *fields)
        )
        rows = rows.unionByName(recut)
    for touched in (closes, wrongs, rekeys):
        rows = rows.unionByName(touched, allowMissingColumns=True)
    if ended is not None:
        gone = ended.select(
            F.col("stamp_id").alias("merge_key"), instants.edition.alias("valid_to_at"), instants.recorded.alias("closed_at")
        )
        rows = rows.unionByName(gone, allowMissingColumns=True)
    return rows
