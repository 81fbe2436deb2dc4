"""What a batch changes in a bitemporal table, rule by rule, on literal rows."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as F

from transforms.stamp.identify import _with_known_ids
from transforms.stamp.versions import CORRECT, END, INSERT, REKEY, UNCHANGED, Instants, decide, decided_by, look, merge_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIELDS = (
    *("entity_id", "source_key", "stamp_id", "valid_from_at", "valid_to_at", "recorded_at", "closed_at", "superseded_at"),
    "row_hash",
    "time_code",
)
DDL = (
    "entity_id string, source_key string, stamp_id string, valid_from_at timestamp, valid_to_at timestamp, recorded_at timestamp, "
    "closed_at timestamp, superseded_at timestamp, row_hash string, time_code string"
)


def day(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) if text else None


def rows(spark: SparkSession, *given: tuple[str, str, str, str | None]) -> DataFrame:
    """Make rows of (entity, content, valid from, valid to)."""
    made = [
        (
            entity,
            f"key-{entity}",
            f"{entity}-{content}-{start}",
            day(start),
            day(end),
            day("2020-01-01"),
            None,
            None,
            content,
            start.replace("-", ""),
        )
        for entity, content, start, end in given
    ]
    return spark.createDataFrame(made, DDL)


def decided(spark: SparkSession, live: DataFrame, news: DataFrame, edition: str) -> dict[str, tuple[str, dt.date, dt.date | None]]:
    found = decide(news, live, Instants(f"{edition}T00:00:00+00:00", "2026-06-01T00:00:00+00:00")).collect()
    return {
        r["entity_id"]: (r["decision"], r["effective_from"].date(), r["effective_to"].date() if r["effective_to"] else None) for r in found
    }


DATE = dt.date.fromisoformat


@pytest.mark.parametrize(
    ("live", "news", "edition", "expected"),
    [
        pytest.param(None, ("a", "x", "2024-01-01", None), "2024-01-01", (INSERT, DATE("2024-01-01"), None), id="new entity"),
        pytest.param(
            [("a", "x", "2024-01-01", None)],
            ("a", "x", "2025-01-01", None),
            "2025-01-01",
            (UNCHANGED, DATE("2025-01-01"), None),
            id="equal content is unchanged",
        ),
        pytest.param(
            [("a", "x", "2024-01-01", None)],
            ("a", "y", "2025-01-01", None),
            "2025-01-01",
            (END, DATE("2025-01-01"), None),
            id="a change ends the open version at the edition",
        ),
        pytest.param(
            [("a", "x", "2024-01-01", None)],
            ("a", "y", "2024-01-01", None),
            "2024-01-01",
            (CORRECT, DATE("2024-01-01"), None),
            id="same start in the same edition is a correction",
        ),
        pytest.param(
            [("a", "x", "2024-01-01", None)],
            ("a", "y", "2024-01-01", None),
            "2025-01-01",
            (END, DATE("2025-01-01"), None),
            id="a repeated old start does not date a later change",
        ),
        pytest.param(
            [("a", "x", "2024-01-01", "2025-01-01"), ("a", "y", "2025-01-01", None)],
            ("a", "y", "2024-01-01", None),
            "2026-01-01",
            (UNCHANGED, DATE("2026-01-01"), None),
            id="content of the open version is unchanged whatever start is repeated",
        ),
        pytest.param(
            [("a", "y", "2025-01-01", None)],
            ("a", "x", "2024-01-01", None),
            "2024-01-01",
            (INSERT, DATE("2024-01-01"), DATE("2025-01-01")),
            id="late news before the first version ends where that begins",
        ),
        pytest.param(
            [("a", "x", "2024-01-01", "2025-01-01"), ("a", "y", "2025-01-01", None)],
            ("a", "z", "2024-06-01", None),
            "2024-06-01",
            (END, DATE("2024-06-01"), DATE("2025-01-01")),
            id="late news is cut into the version that covered it",
        ),
    ],
)
def test_decision(
    spark: SparkSession,
    live: list[tuple[str, str, str, str | None]] | None,
    news: tuple[str, str, str, str | None],
    edition: str,
    expected: tuple[str, dt.date, dt.date | None],
) -> None:
    known = rows(spark, *live) if live else rows(spark, ("other", "x", "2024-01-01", None))
    assert decided(spark, known, rows(spark, news), edition) == {"a": expected}


def test_a_change_and_an_end_touch_only_their_own_rows(spark: SparkSession) -> None:
    live = rows(spark, ("a", "x", "2024-01-01", None), ("b", "x", "2024-01-01", None), ("c", "x", "2024-01-01", None))
    news = rows(spark, ("a", "y", "2025-01-01", None), ("b", "x", "2025-01-01", None))
    instants = Instants("2025-01-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    gone = live.where("entity_id = 'c'").select("stamp_id")
    made = merge_rows(news, live, decide(news, live, instants), FIELDS, instants, ended=gone).collect()
    touched = {r["merge_key"]: (r["valid_to_at"], r["superseded_at"]) for r in made if r["merge_key"]}
    inserted = [(r["entity_id"], r["row_hash"], r["valid_from_at"], r["valid_to_at"]) for r in made if not r["merge_key"]]
    edition = dt.datetime(2025, 1, 1)
    assert touched == {"a-x-2024-01-01": (edition, None), "c-x-2024-01-01": (edition, None)}
    assert inserted == [("a", "y", edition, None)]


@pytest.mark.parametrize(("code", "expected"), [("20200101", "20250101"), ("202001", "202501"), ("20200101000000", "20250101080000")])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_version_that_begins_at_the_edition_has_its_time_code(spark: SparkSession, code: str, expected: str, zone: str) -> None:
    live, news = rows(spark, ("a", "x", "2024-01-01", None)), rows(spark, ("a", "y", "2020-01-01", None)).selectExpr("* except (time_code)")
    news = news.selectExpr("*", f"'{code}' as time_code")
    instants = Instants("2025-01-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", zone)
    try:
        made = merge_rows(news, live, decide(news, live, instants), FIELDS, instants, ended=None).where("merge_key is null").collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", before)
    assert [r["time_code"] for r in made] == [expected]


def test_late_news_supersedes_the_covering_version_and_keeps_a_shortened_copy(spark: SparkSession) -> None:
    live = rows(spark, ("a", "x", "2024-01-01", "2025-01-01"), ("a", "y", "2025-01-01", None))
    news = rows(spark, ("a", "z", "2024-06-01", None))
    instants = Instants("2024-06-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    made = merge_rows(news, live, decide(news, live, instants), FIELDS, instants, ended=None).collect()
    assert [(r["merge_key"], r["superseded_at"]) for r in made if r["merge_key"]] == [("a-x-2024-01-01", dt.datetime(2026, 6, 1))]
    assert sorted((r["row_hash"], r["valid_from_at"].date(), r["valid_to_at"].date()) for r in made if not r["merge_key"]) == [
        ("x", DATE("2024-01-01"), DATE("2024-06-01")),
        ("z", DATE("2024-06-01"), DATE("2025-01-01")),
    ]


def test_equal_content_under_another_key_only_gives_the_open_version_that_key(spark: SparkSession) -> None:
    live = rows(spark, ("a", "w", "2023-01-01", "2024-01-01"), ("a", "x", "2024-01-01", None), ("b", "x", "2024-01-01", None))
    news = rows(spark, ("a", "x", "2025-01-01", None), ("b", "x", "2025-01-01", None))
    news = news.withColumn("source_key", F.expr("if(entity_id = 'a', 'renumbered', source_key)"))
    instants = Instants("2025-01-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    found = decide(news, live, instants)
    assert {r["entity_id"]: r["decision"] for r in found.collect()} == {"a": REKEY, "b": UNCHANGED}
    (made,) = merge_rows(news, live, found, FIELDS, instants, ended=None).collect()
    assert {k: v for k, v in made.asDict().items() if v is not None} == {"merge_key": "a-x-2024-01-01", "source_key": "renumbered"}


def _histories(seed: int, count: int) -> list[tuple[str, str, str, dt.datetime | None, dt.datetime | None, str]]:
    """Return versions of entities that change their key now and then, and end; an entity is called after the key that it came with."""
    draw = random.Random(seed)
    made, free = [], []
    for number in range(count):
        key = free.pop() if free and draw.random() < 0.3 else f"k{number}"  # a key of something that has ended names another thing
        entity, start = f"{key}-{number}" if draw.random() < 0.2 else f"id-{key}", 0
        for version in range(draw.randint(1, 3)):
            end = start + draw.randint(1, 300)
            is_open = version == 2 or draw.random() < 0.4
            span = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=d) for d in (start, end)]
            made.append((entity, key, f"{entity}-{version}-{number}", span[0], None if is_open else span[1], draw.choice("xyz")))
            if is_open:
                break
            start = end + draw.choice([0, 20])
            key = f"k{number}b{version}" if draw.random() < 0.3 else key
        else:
            free.append(key)
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_one_look_decides_is_what_the_whole_table_does(spark: SparkSession, seed: int) -> None:
    history = _histories(seed, 300)
    live = spark.createDataFrame(
        history, "entity_id string, source_key string, stamp_id string, valid_from_at timestamp, valid_to_at timestamp, row_hash string"
    )
    draw = random.Random(seed)
    keys = draw.sample(sorted({row[1] for row in history} | {f"new{n}" for n in range(40)}), 150)
    given = [
        (f"id-{key}", key, dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=draw.randint(0, 900)), draw.choice("xyz"))
        for key in keys
    ]
    rows = spark.createDataFrame(given, "entity_id string, source_key string, valid_from_at timestamp, row_hash string")
    known = look(rows, live, 0)
    news = _with_known_ids(rows, live, 150).dropDuplicates(["entity_id"]).localCheckpoint()
    assert _with_known_ids(rows, known.versions, 150).exceptAll(_with_known_ids(rows, live, 150)).isEmpty()
    instants = Instants("2021-06-01T00:00:00+00:00", "2026-06-01T00:00:00+00:00")
    wanted = {row["entity_id"]: row for row in decide(news, live, instants, 150).collect()}
    found = decide(news, known.versions, instants, 150).localCheckpoint()
    unsure = {row[0] for row in found.where("not is_last").join(known.ids, "entity_id", "left_anti").select("entity_id").collect()}
    got = {row["entity_id"]: row for row in found.collect() if row["entity_id"] not in unsure}
    assert got == {entity: row for entity, row in wanted.items() if entity not in unsure}
    assert len({row["decision"] for row in got.values()}) > 3
    assert 0 < len(unsure) < 0.3 * len(wanted)
    assert decided_by(news, known, instants, 150) is None
    sure = decided_by(news.where(~F.col("entity_id").isin(*unsure)), known, instants, 150)
    assert sure is not None
    assert {row["entity_id"]: row for row in sure.collect()} == got
