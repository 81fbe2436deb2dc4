"""Folders of lakes with unusual names: written and read back by every engine, or refused before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.results import Told, stamped
from sanyu.lake import Lake, duck
from sanyu.lake.commit import Account, Facts, Write
from sanyu.lake.lease import lease
from sanyu.lake.store import open_store
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.registry import find_contract

# Beside each stands a folder that the name would match if it were taken for a pattern.
GOOD = [
    "plain", "a b", " a ", "城市数据", "é", "e\u0301", "😀", "a'b", 'a"b', "a#b", "a?b", "a*b", "a+b", "a=b", "a{b}c", "a{b", "~a", "a~b",
    "a&b", "a:b", "a;b", "a,b", "a<b>", "a$b", "a!b", "a@b", "a(b)", "a..b", ".hidden", "_under", "-a", "a" * 200,
]  # fmt: skip
BAD = {
    "100%": "%", "a%b": "%", "a%20b": "%", "a%2Fb": "%", "a[b]c": "[", "a[b": "[", "a]b": "]", "a\\b": r"\\", "a|b": "|", "a^b": "^",
    "a`b": "`", "a\nb": r"\n", "a\tb": r"\t", "a\x7fb": r"\x7f", os.fsdecode(b"a\xffb"): r"\udcff",
}  # fmt: skip
CONTRACT = find_contract("mart.mining__global_statistic")
NOW = "2026-01-02T03:04:05+00:00"


def commit(lake: Lake, values: list[float], number: int) -> None:
    write = Write("mine_moran_1", f"batch-{number}", "run-1", number)
    found = pa.table({"tool_name": ["moran"] * len(values), "statistic": values, "name": [f"k{i}" for i in range(len(values))]})
    rows = stamped(found, CONTRACT, write, Told(NOW, CONTRACT.security_label, {"input_table": "core.basemap__place"}, "name"))
    lake.write(CONTRACT, Facts(rows, rows.num_rows), write, Account("mine", NOW, rows.num_rows))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_written_below_such_a_folder_is_read_back_by_every_engine(tmp_path: Path, name: str) -> None:
    for other in ("a1b", "acb", "ab"):
        (tmp_path / other).mkdir()
    lake = Lake(tmp_path / name)
    commit(lake, [1.0, 2.0], 1)
    commit(lake, [3.0, 4.0, 5.0], 2)
    path = lake.store.uri(CONTRACT.path)
    assert (tmp_path / name / CONTRACT.path / "_delta_log").is_dir()
    want = [3.0, 4.0, 5.0]
    assert sorted(lake.table(CONTRACT.name).to_arrow(["statistic"])["statistic"].to_pylist()) == want
    assert sorted(DeltaTable(path).to_pyarrow_table(columns=["statistic"])["statistic"].to_pylist()) == want
    assert sorted(row[0] for row in duck.connect(lake.store).sql(f"SELECT statistic FROM {duck.scan(path)}").fetchall()) == want
    assert lake.table(CONTRACT.name).to_geopandas(["statistic"])["statistic"].sum() == 12
    lake.store.put("landing/x/manifest.json", b"{}")
    with lease(lake.store, "core/x", "a") as held:
        held.check()
    assert open_store(lake.url).keys("landing") == ["landing/x/manifest.json"]
    assert isinstance(lake.duckdb, duckdb.DuckDBPyConnection)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("below", ["", "lake"])
def test_a_folder_that_some_engine_cannot_read_is_refused_before_anything_is_written(tmp_path: Path, name: str, below: str) -> None:
    with pytest.raises(SanyuError) as refused:
        open_store(tmp_path / name / below)
    assert refused.value.code == "SY-L061"
    assert refused.value.exit_code == 2
    assert f"the character {BAD[name]}, with" in refused.value.message("en")
    refused.value.message("zh").encode()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["s3a://bucket/a%b", "s3a://bucket/a?b", "s3://bucket/a#b", "s3a://bucket/a[b]", "s3a://bucket/a\\b"])
def test_such_a_prefix_of_a_bucket_is_refused_without_a_request(url: str) -> None:
    with pytest.raises(SanyuError, match="SY-L061"):
        open_store(url, Settings(s3_endpoint="http://127.0.0.1:9"))
