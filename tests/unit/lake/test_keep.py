"""Keeping a lake: what `verify` finds, `repair` makes again, `restore` puts back and `maintain` tidies; by the commands a person types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from cli.app import app
from sanyu import crash
from sanyu.lake import Lake
from sanyu.serve.publish import publish
from sanyu.serve.release import Release
from schemas.messages import SanyuError
from schemas.source import Source
from tests.unit.lake.test_writer import FACT, put

ROOT = Path(__file__).parents[3]
RUNNER = CliRunner()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake(tmp_path / "lake")
    put(found, {"1": 1, "2": 2})
    put(found, {"1": 5, "2": 2}, 2)
    return found


def told(lake: Lake, *words: str, code: int = 0) -> str:
    done = RUNNER.invoke(app, ["--lake", lake.url, *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def findings(lake: Lake, *tables: str) -> list[tuple[str, str]]:
    found = json.loads(told(lake, "verify", *tables, "--json", code=3 if _is_damaged(lake, tables) else 0))
    return [(f["where"], f["check"]) for f in found["findings"]]


def _is_damaged(lake: Lake, tables: tuple[str, ...]) -> bool:
    return RUNNER.invoke(app, ["--lake", lake.url, "verify", *tables]).exit_code == 3


def test_a_sound_lake_is_told_as_such(lake: Lake) -> None:
    assert "3 tables checked, nothing found" in told(lake, "verify")
    assert findings(lake) == []


def test_a_table_that_is_not_there_is_never_sound(lake: Lake) -> None:
    done = RUNNER.invoke(app, ["--lake", lake.url, "verify", "mart.thematic__readings"])
    assert done.exit_code != 0
    assert "SY-L004" in str(done.exception)


def test_a_flipped_bit_a_missing_file_and_a_torn_commit_are_found(lake: Lake) -> None:
    table = DeltaTable(f"{lake.url}/{FACT.path}")
    live = Path(lake.url) / FACT.path / table.file_uris()[0].rpartition("/")[2]
    data = bytearray(live.read_bytes())
    data[60] ^= 4
    live.write_bytes(data)
    assert findings(lake) == [(FACT.name, "sums")]
    live.unlink()
    assert findings(lake) == [(FACT.name, "files")]
    commit = max((Path(lake.url) / FACT.path / "_delta_log").glob("*.json"))
    commit.write_bytes(b"")
    assert (FACT.name, "log") in findings(lake)
    assert "_damaged" in told(lake, "repair", "table", FACT.name)


def test_a_ledger_that_was_lost_is_made_again_from_the_commits(lake: Lake) -> None:
    before = lake.table("raw.ops__ledger").to_arrow().sort_by("recorded_at").to_pylist()
    lake.store.delete("raw/ops/ledger")
    lake.store.delete("raw/ops/bridge")
    assert {check for _, check in findings(lake)} == {"ledger", "bridge"}
    assert "2 rows added to the ledger, 1 links to the bridge" in told(lake, "repair", "ledger")
    assert "0 rows added to the ledger, 0 links" in told(lake, "repair", "ledger")
    after = lake.table("raw.ops__ledger").to_arrow().sort_by("recorded_at").to_pylist()
    figures = ("run_id", "batch_id", "rows_in", "rows_loaded", "rows_unchanged", "rows_closed", "delta_version", "recorded_at")
    assert [[r[f] for f in figures] for r in after] == [[r[f] for f in figures] for r in before]
    assert findings(lake) == []


def test_numbers_of_deliveries_are_noted_again(lake: Lake) -> None:
    assert "meter: 2 deliveries registered again" in told(lake, "repair", "deliveries")
    assert "no delivery is missing" in told(lake, "repair", "deliveries")


def test_a_table_is_put_back_and_says_what_is_out_of_it(lake: Lake) -> None:
    first = lake.table(FACT.name).version - 1
    said = told(lake, "restore", FACT.name, "--version", str(first), "--note", "drill")
    assert "delivery 2 of meter is no longer in it" in said
    rows = lake.table(FACT.name).to_arrow(["reading_value"]).to_pylist()
    assert sorted(r["reading_value"] for r in rows) == [1.0, 2.0]
    assert (FACT.name, "ledger") in findings(lake)
    assert put(lake, {"1": 5, "2": 2}, 2).loaded == 2
    assert findings(lake) == []
    assert RUNNER.invoke(app, ["--lake", lake.url, "restore", FACT.name, "--version", "99"]).exit_code != 0


def test_maintenance_leaves_the_rows_and_drops_what_no_version_needs(lake: Lake) -> None:
    for number in range(3, 15):
        put(lake, {"1": number, "2": 2}, number)
    folder = Path(lake.url) / FACT.path
    before = sorted(lake.table(FACT.name).to_arrow().to_pylist(), key=lambda r: r["source_key"])
    assert len(list(folder.glob("*.parquet"))) > 10
    told(lake, "maintain", FACT.name, "--keep-hours", "0")
    assert len(list(folder.glob("*.parquet"))) == 1
    assert sorted(lake.table(FACT.name).to_arrow().to_pylist(), key=lambda r: r["source_key"]) == before
    assert list((folder / "_delta_log").glob("*.checkpoint*.parquet"))
    assert findings(lake) == []
    put(lake, {"1": 99, "2": 2}, 15)
    assert findings(lake) == []


def test_a_year_of_deliveries_does_not_grow_a_table(lake: Lake) -> None:
    folder = Path(lake.url) / FACT.path
    sizes = []
    for number in range(3, 123):
        put(lake, {str(k): number if k == number % 7 else 1 for k in range(7)}, number, source="daily")
        if number % 40 == 2:
            told(lake, "maintain", "--keep-hours", "0")
            # Commits and checkpoints go after Delta's log retention of 30 days.
            files = [p for p in folder.rglob("*.parquet") if p.parent.name != "_delta_log"]
            sizes.append((len(files), len(lake.store.keys("_sums")), len(list((Path(lake.url) / "raw/ops/ledger").glob("*.parquet")))))
    assert len(set(sizes)) == 1, sizes


def test_every_crash_point_is_in_the_code_and_is_known() -> None:
    text = "".join(p.read_text("utf-8") for room in ("jobs", "sanyu") for p in (ROOT / room).rglob("*.py") if p.name != "crash.py")
    assert set(re.findall(r'crash\.point\("([a-z.]+)"\)', text)) == set(crash.POINTS)


METER = Source.model_validate(
    {
        "source": {"name": "meter", "title": "Meters", "domain": "thematic", "licence": "CC0-1.0", "attribution": "© Meters"},
        "read": {"path": "*.csv"},
        "into": [{"contract": "core.thematic__event", "columns": {"name": "name"}}],
    }
)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_release_is_made_again_under_another_id_and_a_damaged_table_is_not_published(lake: Lake) -> None:
    def published() -> Release:
        return publish(lake, [FACT], {"meter": METER})

    first = published()
    assert published().changed is False
    (part,) = (Path(lake.url) / first.path).rglob("part-*.parquet")
    flip(part)
    assert ("release" in {check for _, check in findings(lake)}) is True
    second = published()
    assert (second.release_id, second.changed) == (f"{first.release_id}-r2", True)
    assert published().changed is False
    assert findings(lake) == []

    put(lake, {"1": 7, "2": 2}, 3)
    flip(Path(lake.url) / FACT.path / DeltaTable(f"{lake.url}/{FACT.path}").file_uris()[0].rpartition("/")[2])
    with pytest.raises(SanyuError, match="SY-P010"):
        published()
