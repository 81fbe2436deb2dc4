"""The address service under load: p95 at 50 requests a second on loopback, over a base of a million doors.

The service runs in a process of its own (`sanyu address --index … serve`), the requests come from this one at their appointed times whether
or not earlier ones are answered (open loop), so that a stall shows in every request that it held up. Texts are those of the batch bench:
random doors and places, half of them with a fault.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from demo import gazetteer
from transforms.address.scoring import Measure

KEY = "bench-key-of-the-address-service"
RATE, SECONDS = 50, 20


def service(doors: int = 1_000_000) -> tuple[str, list[Measure], str]:
    """Return the latencies of single matches, and of calls with 100 addresses, at a fixed rate."""
    from bench.address import _rows, engine_of

    with tempfile.TemporaryDirectory() as work:
        city = gazetteer.build(scale="medium", doors=doors)
        texts = _rows(city, RATE * SECONDS)
        engine_of(city).save(work)
        del city
        return measured(work, texts)


def measured(folder: str, texts: list[str]) -> tuple[str, list[Measure], str]:
    """Serve the engine of a folder and ask it for the texts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["address", "--index", folder, "serve", "--port", str(port), "--key-env", "BENCH_KEY", "--per-second", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from cli import main; main()", *words],
        env={**os.environ, "BENCH_KEY": KEY},
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_up(url))
        before = _cpu_s(process.pid)
        waits, answers = asyncio.run(_asked(url, [{"address": text} for text in texts], RATE))
        spent = _cpu_s(process.pid) - before
        many, _ = asyncio.run(_asked(url, [{"addresses": texts[i : i + 100]} for i in range(0, 500, 100)], 1))
        memory = _resident_gib(process.pid)
    finally:
        process.terminate()
        process.wait(30)
    p50, p95, p99 = np.percentile(waits, [50, 95, 99])
    measures = [
        Measure("service, a million doors, 50 requests/s on loopback: p95", p95, 20, is_least=False, unit=" ms"),
        Measure("… p50", p50, unit=" ms"),
        Measure("… p99", p99, unit=" ms"),
        Measure("… CPU time of the service per request", 1000 * spent / len(texts), unit=" ms"),
        Measure("… answered", len(answers), len(texts)),
        Measure("… matched", float(np.mean([answer == "M" for answer in answers]))),
        Measure("a call with 100 addresses: median", float(np.median(many)), unit=" ms"),
        Measure("memory of the service", memory, unit=" GiB"),
    ]
    how = "at real-time priority (chrt -r 1)" if os.sched_getscheduler(0) == os.SCHED_RR else "at normal priority"
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return "Service", measures, f"Client and service ran {how}; {load} during the run.\n"


def _cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has had (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_gib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30


async def _up(url: str) -> None:
    async with httpx.AsyncClient() as client:
        until = time.monotonic() + 180
        while time.monotonic() < until:
            try:
                if (await client.get(f"{url}/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.3)
    raise TimeoutError(url)


async def _asked(url: str, bodies: list[dict[str, object]], rate: float) -> tuple[list[float], list[str]]:
    """Send each body at its time; return milliseconds from that time to the answer, and the statuses."""
    waits: list[float] = []
    answers: list[str] = []
    async with httpx.AsyncClient(headers={"X-API-Key": KEY}, timeout=30, limits=httpx.Limits(max_connections=50)) as client:

        async def one(body: dict[str, object], at: float) -> None:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            response = await client.post(f"{url}/match", json=body)
            waits.append(1000 * (time.perf_counter() - at))
            answers.extend(result["status"] for result in response.json()["results"])

        for body in bodies[:5]:
            await one(body, time.perf_counter())
        waits.clear()
        answers.clear()
        start = time.perf_counter() + 0.1
        await asyncio.gather(*(one(body, start + i / rate) for i, body in enumerate(bodies)))
    return waits, answers


if __name__ == "__main__":
    from bench.address import write
    from transforms.address.scoring import markdown

    title, measures, detail = service(*(int(n) for n in sys.argv[1:2]))
    print(f"{title}\n{markdown(measures)}\n{detail}")
    write(title, measures, detail)
