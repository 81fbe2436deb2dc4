"""The address service as it is run: `sanyu address serve` in a process of its own, on loopback; and a batch that is interrupted."""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from sanyu.address import lakeindex
from sanyu.address.engine import AddressEngine
from sanyu.lake import Lake
from sanyu.settings import Settings

KEY = "0123456789abcdef0123"
GAZETTEER = "entity_id,kind,district,road,door,division_code,lon,lat\n" + "".join(
    f"D{n},door,望海区,解放东路,{n}号,390102001001,{120 + n / 1000:.3f},30.1\n" for n in range(1, 201)
)
pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def gazetteer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gazetteer") / "doors.csv"
    path.write_text(GAZETTEER, "utf-8")
    return path


def _command(gazetteer: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", "from cli import main; main()", "address", "--gazetteer", str(gazetteer), *words]


@pytest.fixture(scope="module")
def server(gazetteer: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ("serve", "--port", str(port), "--key-env", "ADDRESS_KEY", "--per-second", "1000")
    process = subprocess.Popen(_command(gazetteer, *words), env={**os.environ, "ADDRESS_KEY": KEY}, stdout=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, "the service ended"
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(url)


def test_the_page_of_the_docs_names_no_other_host(server: str) -> None:
    page = httpx.get(f"{server}/docs")
    assert page.status_code == 200 and 'data-path="match"' in page.text
    assert re.findall(r"https?:|[\"'(]//", page.text) == []
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_many_clients_at_once_each_get_their_own_answers(server: str) -> None:
    def ask(number: int) -> tuple[int, list[str | None]]:
        with httpx.Client(headers={"X-API-Key": KEY}, timeout=30) as client:
            asked = [f"望海区解放东路{number}号", f"解放东路{number % 200 + 1}号"]
            results = client.post(f"{server}/match", json={"addresses": asked}).json()["results"]
            return number, [result["entity_id"] for result in results]

    with ThreadPoolExecutor(8) as pool:
        for number, found in pool.map(ask, range(1, 201)):
            assert found == [f"D{number}", f"D{number % 200 + 1}"]


def test_a_call_with_a_thousand_addresses_and_a_short_one_are_answered_side_by_side(server: str) -> None:
    headers = {"X-API-Key": KEY}
    with ThreadPoolExecutor(2) as pool, httpx.Client(headers=headers, timeout=60) as client:
        texts = [f"望海区解放東路{n % 200 + 1}號" for n in range(1000)]
        long = pool.submit(httpx.post, f"{server}/match", json={"addresses": texts}, headers=headers, timeout=60)
        assert client.post(f"{server}/match", json={"address": "解放东路7号"}).json()["results"][0]["entity_id"] == "D7"
        assert [r["entity_id"] for r in long.result().json()["results"]] == [f"D{n % 200 + 1}" for n in range(1000)]


def test_a_wrong_key_a_bad_body_and_a_broken_request_leave_the_service_up(server: str) -> None:
    assert httpx.post(f"{server}/match", json={"address": "x"}, headers={"X-API-Key": "wrong"}).status_code == 401
    assert httpx.post(f"{server}/match", content=b"{", headers={"X-API-Key": KEY}).status_code == 422
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"POST /match HTTP/1.1\r\nHost: x\r\nX-API-Key: " + KEY.encode() + b"\r\nContent-Length: 100\r\n\r\n{")
    assert httpx.get(f"{server}/health").json()["status"] == "ok"


def test_an_interrupted_batch_leaves_nothing_half_written(gazetteer: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("地址\n" + "".join(f"望海区解放东路{n % 200 + 1}号第{n}幢\n" for n in range(300_000)), "utf-8")
    out = tmp_path / "out"
    words = ("batch", str(source), "--column", "地址", "--out", str(out / "a.csv"), "--out", str(out / "a.geojson"), "--workers", "1")
    process = subprocess.Popen(_command(gazetteer, *words), stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 120
    while not (out.is_dir() and any(path.stat().st_size > 10_000 for path in out.iterdir())):
        assert process.poll() is None and time.monotonic() < until, "the batch ended, or wrote nothing"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in errors
    assert list(out.iterdir()) == []


def test_several_processes_match_a_batch_in_order(gazetteer: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("n,地址\n" + "".join(f"{n},解放东路{n % 200 + 1}号\n" for n in range(12_000)), "utf-8")
    words = ("batch", str(source), "--column", "地址", "--out", str(out), "--workers", "2", "--json")
    done = subprocess.run(_command(gazetteer, *words), check=True, capture_output=True, text=True, timeout=180)
    assert '"rows": 12000' in done.stdout
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["n"], row["match_entity_id"]) for row in rows] == [(str(n), f"D{n % 200 + 1}") for n in range(12_000)]


def test_an_index_in_an_object_store_is_published_and_fetched_whole(
    gazetteer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="addresses")
        url = "s3a://addresses/lake"
        lake = Lake(url, Settings.load(lake=url, s3_endpoint=endpoint))
        for number in ("one", "two"):
            built = tmp_path / number
            AddressEngine.build(gazetteer).save(built)
            lakeindex.publish(lake.store, built, lakeindex.IndexInfo(index_id=number, built_at="", versions={}, rows=200, shards={}))
            assert lakeindex.open_engine(lake).match("解放东路7号").entity_id == "D7"
        assert lakeindex.current(lake.store).index_id == "two"  # type: ignore[union-attr]
    finally:
        server.stop()
