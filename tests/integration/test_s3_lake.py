"""A lake on an object store (moto on loopback): small files, leases, ledger, landing and reading by the same code as on a disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

import sanyu
from sanyu.lake import Lake
from sanyu.lake.lease import holder, lease
from sanyu.lake.ledger import LedgerRow
from sanyu.lake.s3 import S3Store
from sanyu.lake.store import open_store
from sanyu.landing.landing import land
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Contract
from schemas.source import Source
from tests.unit.lake import tables

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "sanyu-test"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("SANYU_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    return Settings.load(lake=f"s3a://{BUCKET}/{request.node.name[:60]}/lake")


@pytest.fixture
def store(settings: Settings) -> S3Store:
    found = open_store(settings.lake, settings)
    assert isinstance(found, S3Store)
    return found


def test_conditional_writes_have_one_winner(store: S3Store) -> None:
    assert store.put_if_absent("a/one.json", b"1")
    assert not store.put_if_absent("a/one.json", b"2")
    blob = store.read("a/one.json")
    assert blob is not None
    assert store.replace_if("a/one.json", b"3", blob.etag)
    assert not store.replace_if("a/one.json", b"4", blob.etag)
    assert not store.replace_if("a/none.json", b"5", blob.etag)
    assert store.get("a/one.json") == b"3"
    assert store.get("a/none.json") is None


def test_listing_and_deleting_keep_to_the_prefix(store: S3Store) -> None:
    for key in ("a/b/1", "a/b/c/2", "a/bb/3"):
        store.put(key, b"x")
    assert store.keys() == ["a/b/1", "a/b/c/2", "a/bb/3"]
    assert store.folders("a") == ["b", "bb"]
    assert store.exists("a/b")
    assert not store.exists("a/x")
    store.delete("a/b")
    assert store.keys() == ["a/bb/3"]


def test_files_are_uploaded_and_fetched_anew_when_they_changed(store: S3Store, tmp_path: Path) -> None:
    file = tmp_path / "roads.csv"
    for content in (b"one", b"two"):
        file.write_bytes(content)
        store.upload(file, "landing/roads.csv")
        assert store.local("landing/roads.csv").read_bytes() == content
    with pytest.raises(FileNotFoundError):
        store.local("landing/none.csv")


def test_a_missing_bucket_is_named(settings: Settings) -> None:
    with pytest.raises(SanyuError, match=r"SY-L012.*bucket no-such-bucket"):
        open_store("s3a://no-such-bucket/lake", settings).keys()


HOLDER = """
import sys
from schemas.messages import SanyuError
from sanyu.lake.lease import lease
from sanyu.lake.store import open_store
with lease(open_store(sys.argv[1]), "core/x", "night run", ttl_s=2) as held:
    print(held.token, flush=True)
    sys.stdin.readline()
    try:
        held.check()
        print("held", flush=True)
    except SanyuError as error:
        print(error.code, flush=True)
"""


def test_a_paused_holder_on_the_object_store_is_told_that_it_was_replaced(store: S3Store) -> None:
    command = [sys.executable, "-c", HOLDER, store.url]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "1"
            with pytest.raises(SanyuError, match=r"SY-L002.*night run"), lease(store, "core/x", "day run"):
                pass
            process.send_signal(signal.SIGSTOP)
            with lease(store, "core/x", "day run", wait_s=20, poll_s=0.1) as held:
                assert held.token == 2
                process.send_signal(signal.SIGCONT)
                process.stdin.write("check\n")
                process.stdin.flush()
                assert process.stdout.readline().strip() == "SY-L003"
                held.check()
        finally:
            process.kill()
    record = holder(store, "core/x")
    assert record is not None
    assert record.token == 2


def test_a_table_is_read_from_the_object_store_as_from_a_disk(settings: Settings) -> None:
    lake = sanyu.open(settings.lake)
    tables.write(lake.store)
    table = lake.table(tables.NAME)
    window = (120.0, 30.0, 120.05, 30.05)
    assert [(t.name, t.rows) for t in lake.tables()] == [(tables.NAME, 4)]
    assert set(table.to_arrow()["stamp_id"].to_pylist()) == tables.CURRENT
    assert list(table.to_geopandas(bbox=window)["stamp_id"]) == ["new"]
    assert [r[0] for r in table.to_duckdb(["stamp_id"], bbox=window, at="2025-06-01").fetchall()] == ["old"]
    assert table.bbox_files((0, 0, 1, 1)) == (0, 1)
    assert table.path.startswith("s3a://")
    with pytest.raises(SanyuError, match="SY-L004"):
        lake.table("core.basemap__watr")


def test_the_ledger_is_kept_on_the_object_store(settings: Settings) -> None:
    ledger = Lake(settings.lake, settings).ledger
    for batch in ("b1", "b2"):
        ledger.append(LedgerRow("r", "2026-01-01T00:00:00+00:00", "core", "roads", batch, "core.basemap__road_segment", 1, 1))
    assert ledger.is_done("roads", "b1", "core.basemap__road_segment")
    assert not ledger.is_done("roads", "b3", "core.basemap__road_segment")


def test_a_delivery_is_landed_on_the_object_store_once(store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("lon,lat,name\n120.1,30.1,西湖\n")
    (tmp_path / "b.csv").write_text("")
    name = "core.basemap__place"
    contracts = {name: Contract(name=name, title_zh="", grain="", description="", columns=(), attribute=AttributeStamp(theme_code="place"))}
    source = Source.model_validate(
        {
            "source": {"name": "places", "title": "", "domain": "basemap", "licence": "", "attribution": ""},
            "read": {"path": "*.csv", "format": "csv", "x": "lon", "y": "lat"},
            "delivery": {"edition_at": "2026-01-01"},
            "into": [{"contract": name, "columns": {"place_name": "name"}}],
        }
    )
    landed = land(store, source, tmp_path, contracts)
    assert (landed.is_new, landed.row_count, landed.failed_files) == (True, 1, ("b.csv",))
    assert landed.parts[0].uri.startswith(f"s3a://{BUCKET}/")
    folder = f"landing/places/{landed.batch_id}"
    assert store.get(f"{folder}/files/a.csv") == (tmp_path / "a.csv").read_bytes()
    assert json.loads(store.get(f"{folder}/manifest.json") or b"")["batch_id"] == landed.batch_id
    again = land(store, source, tmp_path, contracts)
    assert (again.is_new, again.parts) == (False, landed.parts)
