"""The map preview in a real browser without network: it draws, asks for nothing, and complains of nothing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.image
import numpy as np
import pytest
import shapely
from websockets.sync.client import ClientConnection, connect

from sanyu.serve.layers import MapLayer
from sanyu.serve.preview import render

pytestmark = pytest.mark.server

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1400,900"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0"),
)


class Page:
    """A page of headless Chromium that resolves no host name; keeps requests, console errors and exceptions."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.number, self.requests, self.errors = socket, 0, [], []  # type: ignore[var-annotated]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message.get("id") == self.number:
                return message.get("result", {})
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(
                    params["exceptionDetails"].get("text", "") + str(params["exceptionDetails"].get("exception", {}).get("description"))
                )
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] == "error":
                self.errors.append(str([a.get("value", a.get("description")) for a in params["args"]]))

    def value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, path: Path, seconds: float = 90) -> None:
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.value("document.documentElement.dataset.ready") == "yes":
                return
            time.sleep(0.2)
        raise AssertionError(f"the map was not drawn within {seconds} s: {self.errors} {self.value('document.body.innerText')}")

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not on this machine (apt-get install chromium)")
    command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"]
    log = tmp_path / "chromium.log"
    with log.open("wb") as sink:
        browser = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        with connect(_page_url(log), max_size=None, open_timeout=30) as socket:
            yield Page(socket)
    finally:
        browser.terminate()
        browser.wait(timeout=30)


def _page_url(log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.search(r"DevTools listening on ws://([^/]+)/", log.read_text("utf-8", "replace"))
        if found:
            with urllib.request.urlopen(f"http://{found[1]}/json/list") as answer:
                return next(t["webSocketDebuggerUrl"] for t in json.load(answer) if t["type"] == "page")
        time.sleep(0.1)
    raise AssertionError("Chromium did not start: " + log.read_text("utf-8", "replace")[-500:])


@pytest.fixture
def small_city() -> list[MapLayer]:
    building = gpd.GeoDataFrame(
        {"name": ["塔楼"], "class_code": ["office"], "floors_above": [9]},
        geometry=[shapely.box(120.001, 30.001, 120.004, 30.004)],
        crs="EPSG:4490",
    )
    road = gpd.GeoDataFrame(
        {"name": ["<script>alert(1)</script>"], "class_code": ["primary"]},
        geometry=[shapely.LineString([(120, 30), (120.01, 30.01)])],
        crs="EPSG:4490",
    )
    place = gpd.GeoDataFrame({"name": ["Tea"], "class_code": ["food"]}, geometry=[shapely.Point(120.008, 30.002)], crs="EPSG:4490")
    return [
        MapLayer("core.basemap__building", "Buildings", building),
        MapLayer("core.basemap__road_segment", "Roads", road),
        MapLayer("core.basemap__place", "Places", place),
    ]


def _pixels(png: bytes) -> np.ndarray:
    return (matplotlib.image.imread(io.BytesIO(png))[:, :, :3] * 255).round().astype(int)


def test_the_map_draws_every_layer_and_makes_no_network_request(page: Page, small_city: list[MapLayer], tmp_path: Path) -> None:
    page.open(render(small_city, tmp_path / "map.html", "Small city", "Release r1", ["© Nobody"]))
    assert [url for url in page.requests if not url.startswith(("file:", "blob:", "data:"))] == []
    assert page.errors == []
    ground = np.abs(_pixels(page.screenshot())[60:-60, 330:-80] - np.array([243, 240, 232])).sum(axis=2)
    assert (ground > 30).mean() > 0.02
    assert page.value("document.getElementById('panel').innerText").split("\n")[0] == "Small city"
    assert "© Nobody" in page.value("document.getElementById('sources').innerText")


def test_text_of_the_data_is_never_run_as_a_script(page: Page, small_city: list[MapLayer], tmp_path: Path) -> None:
    page.open(
        render(small_city, tmp_path / "map.html", "</script><script>document.title='owned'</script>", "", ["<img src=x onerror=alert(1)>"])
    )
    assert page.value("document.title").startswith("</script>")
    assert page.errors == []
