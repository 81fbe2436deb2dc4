"""How a batch's frames come about: parsed parts → raw rows → stamped rows → screened rows, and what is split off on the way.

The frames are pure transforms put together; this module adds only which of them apply to a source, and keeps the one frame that several
actions need in Spark's storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from quality.arrow import arrow_schema
from quality.checks import screened
from sanyu.lake.store import literal
from schemas.model import Contract, GeometryKind, History
from schemas.source import Into, Source
from schemas.stamp import table_fields
from transforms.conform.mapping import plan_mapping
from transforms.stamp.division import Division
from transforms.stamp.space import SpacePlan
from transforms.stamp.stamp import Delivered, Making, mapped, marked, repeated, restamped, stamped


@dataclass(frozen=True)
class Part:
    """One parsed Parquet part and the file that it came from, with the reference system that the file declares."""

    uri: str
    file_name: str
    crs: str | None


def raw_rows(spark: SparkSession, parts: Sequence[Part], source: Source, batch_id: str) -> DataFrame:
    """Return the raw rows of a batch: what the readers wrote, with source, batch, file and declared system beside each row."""
    by_folder: dict[tuple[str, str | None], list[str]] = {}
    for part in parts:
        by_folder.setdefault((part.file_name, part.crs), []).append(part.uri)
    names = spark.createDataFrame(
        [(uri.rsplit("/", 2)[-2] + "/" + uri.rsplit("/", 1)[-1], file, crs) for (file, crs), uris in by_folder.items() for uri in uris],
        "part string, file_name string, crs string",
    )
    read = spark.read.parquet(*sorted({literal(part.uri) for part in parts})).withColumn(
        "part", F.regexp_extract(F.col("_metadata.file_path"), "([^/]+/[^/]+)$", 1)
    )
    return read.join(F.broadcast(names), "part").select(
        F.lit(source.name).alias("source_name"),
        F.lit(batch_id).alias("batch_id"),
        "file_name",
        "row_number",
        "feature_id",
        "attributes",
        "geom",
        "crs",
        "error_code",
        "error_params",
    )


def only_rows(spark: SparkSession, raw: DataFrame, rows: Sequence[tuple[str, int]]) -> DataFrame:
    """Return the raw rows with these files and row numbers."""
    return raw.join(F.broadcast(spark.createDataFrame(list(rows), "file_name string, row_number bigint")), ["file_name", "row_number"])


@dataclass(frozen=True)
class Counts:
    """Rows of one target by what becomes of them; `selected` is their sum."""

    selected: int
    good: int
    rejected: int
    duplicate: int
    reasons: dict[str, int]
    warnings: dict[str, int]


class Screening:
    """The stamped and checked rows of one target, held in Spark's storage until released."""

    def __init__(self, rows: DataFrame, held: Sequence[DataFrame] = ()) -> None:
        self._rows = rows
        self._held = tuple(held)
        self.good = rows.where("not is_duplicate and size(errors) = 0")
        self.rejected = rows.where("not is_duplicate and size(errors) > 0")
        # A rejected row's thing has not ended. The key of a near-duplicate that gave way has: which of a pair gives way can differ between
        # deliveries, and the one kept is then matched with the entity that the other was.
        self.keys = rows.where("source_key is not null and not is_duplicate").select("source_key").distinct()

    def counts(self) -> Counts:
        """Count everything in one pass."""
        kind = F.expr("case when is_duplicate then 'duplicate' when size(errors) > 0 then 'rejected' else 'good' end")
        found = (
            self._rows.select(
                kind.alias("kind"),
                F.expr("errors[0].code || ' ' || errors[0].field || ' ' || errors[0].check").alias("reason"),
                F.expr("transform(warnings, w -> w.field || ' ' || w.check)").alias("warned"),
            )
            .groupBy("kind", "reason", "warned")
            .count()
            .collect()
        )
        by_kind = {k: sum(r["count"] for r in found if r["kind"] == k) for k in ("good", "rejected", "duplicate")}
        reasons: dict[str, int] = {}
        warnings: dict[str, int] = {}
        for row in found:
            if row["kind"] == "rejected":
                reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["count"]
            for name in (row["warned"] or ()) if row["kind"] == "good" else ():
                warnings[name] = warnings.get(name, 0) + row["count"]
        return Counts(sum(by_kind.values()), by_kind["good"], by_kind["rejected"], by_kind["duplicate"], reasons, warnings)

    def release(self) -> None:
        for frame in self._held:
            frame.unpersist()


@dataclass(frozen=True)
class Target:
    """One `[[into]]` of a source with all that decides what its rows become."""

    source: Source
    into: Into
    contract: Contract
    known_columns: tuple[str, ...]
    extent: tuple[float, float, float, float] | None
    divisions: tuple[Division, ...]
    waived: tuple[str, ...] = ()

    @property
    def space(self) -> SpacePlan:
        geometry = self.contract.geometry
        return SpacePlan(
            kind=geometry.kind if geometry else None,
            required=bool(geometry and geometry.required),
            multi=geometry is None or geometry.multi,
            crs=self.source.read.crs,
            operation=self.source.read.datum_operation,
            # A row outside the extent has no geometry, so one that is released from that check must be looked at without it.
            extent=None if "extent" in self.waived else self.into.extent or self.extent,
            to_point=self.into.geometry == "point",
            divisions=self.divisions if self.contract.space.division == "within" else (),
        )


def screen(raw: DataFrame, target: Target, batch: Delivered) -> Screening:
    """Stamp and check a batch's raw rows for one target, and set duplicates aside."""
    contract, into = target.contract, target.into
    mapping = plan_mapping(target.source, into, contract, target.known_columns)
    making = Making(mapping, target.space, batch, arrow_schema(contract).remove_metadata())
    rows = screened(stamped(raw, making), contract, target.waived).persist()
    held = [rows]
    if into.match_sheet_edges_m is not None:
        rows = _with_matched_edges(rows, raw, making, target).persist()
        held.append(rows)
    # Everything beyond reads the held rows again and joins what is found, which is little, to them: the rows are never shuffled whole.
    rows = marked(rows, repeated(rows, newest_wins=into.order_by is not None).toArrow())
    if into.near_duplicate_iou is not None and contract.geometry and contract.geometry.kind is GeometryKind.POLYGON:
        from transforms.entity.duplicates import near_duplicates

        near = near_duplicates(rows, into.near_duplicate_iou)
        rows = near.withColumn("is_duplicate", F.expr("is_duplicate or duplicate_of is not null")).drop("duplicate_of")
    return Screening(rows, held)


def _with_matched_edges(rows: DataFrame, raw: DataFrame, making: Making, target: Target) -> DataFrame:
    """Return the rows with the ends of lines joined across files; lines that moved are stamped and checked as if delivered so."""
    from transforms.entity.edges import moved_lines

    moved = moved_lines(rows, target.into.match_sheet_edges_m or 0.0).localCheckpoint()
    again = screened(restamped(mapped(raw, making), making, moved), target.contract, target.waived)
    still = rows.join(F.broadcast(moved.drop("moved_geom")), ["file_name", "row_number"], "left_anti")
    return still.unionByName(again)


def to_quarantine(screening: Screening, raw: DataFrame, contract: Contract, run_id: str, recorded_at: str) -> DataFrame:
    """Return the rejected rows as they came, with what was wrong."""
    why = screening.rejected.select("file_name", "row_number", "errors")
    return (
        raw.join(F.broadcast(why), ["file_name", "row_number"])
        .withColumn("run_id", F.lit(run_id))
        .withColumn("contract", F.lit(contract.name))
        .withColumn("recorded_at", F.lit(recorded_at).cast("timestamp"))
        .withColumn("released_at", F.lit(None).cast("timestamp"))
        .withColumn("release_note", F.lit(None).cast("string"))
    )


def table_rows(screening: Screening, contract: Contract) -> DataFrame:
    """Return the good rows with exactly the table's columns."""
    return screening.good.select(*(f.name for f in table_fields(contract)))


def is_full(source: Source, contract: Contract, failed_files: Sequence[str]) -> bool:
    """Tell whether what the batch lacks has ended: only if it is declared full and every file could be read."""
    return source.delivery.snapshot == "full" and not failed_files and contract.history is History.ENTITY


def bridge_rows(
    links: DataFrame, contract: Contract, source_name: str, batch_id: str, recorded_at: str
) -> list[dict[str, str | float | None]]:
    """Return what matching found as rows of `raw.ops__bridge`; the links of one batch are few, they are the edits."""
    return [
        {
            "contract": contract.name,
            "source_name": source_name,
            "source_key": row["new_key"],
            "entity_id": row["old_entity_id"],
            "kind": row["kind"],
            "batch_id": batch_id,
            "recorded_at": recorded_at,
            "score": row["score"],
            "evidence": row["evidence"],
        }
        for row in links.orderBy("new_key", "old_entity_id").collect()
    ]
