"""The address engine against its truth sets and its peers, and its speed: `python -m bench.address [PART …]`.

All parts write their tables to docs/address-score.md. `batch` makes an index of a million
doors on its first run (90 s, 3 GB) and keeps it in the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench import address_peers
from demo import gazetteer
from demo.gazetteer import faults, queries
from sanyu.address.batch import Options, run
from sanyu.address.engine import AddressEngine
from sanyu.address.national import division_folder, install_divisions, national_divisions
from sanyu.address.tablefiles import rows_of
from transforms.address import scoring
from transforms.address.reverse import ReverseIndex
from transforms.address.scoring import Measure

OTHER_SEED = 7
DOCS = Path(__file__).parent.parent / "docs" / "address-score.md"
PEERS_KNOWN = "address-parse (npm) .957/.012, cpca .915/.008"


def clocked(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call gives, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def engine_of(city: gazetteer.Gazetteer) -> AddressEngine:
    return AddressEngine.build(city.table, aliases=city.aliases, element_aliases=city.element_aliases, divisions=city.divisions)


def score() -> tuple[str, list[Measure], str]:
    """Score functions 1 to 8 on the demo city."""
    city = gazetteer.build()
    truth = gazetteer.truth(city)
    asked = truth.queries
    engine = engine_of(city)
    engine.match("预热")
    inputs = [row.query if row.query is not None else json.loads(row.fields) for row in asked.itertuples()]
    matches, wall, cpu = clocked(lambda: engine.match_many(inputs))
    judged = scoring.answers(asked, matches)
    kinds = [*queries.MISSING, *faults.FAULTS]
    measures = scoring.fault_measures(judged, kinds)
    measures.append(Measure("match, queries per CPU-second, one core", len(asked) / cpu, 2000))
    measures.append(Measure("match, queries per second of wall time", len(asked) / wall))
    measures += scoring.refusal_measures(judged)
    groups = {
        "aliases": "alias",
        "element aliases": "element",
        "fields": "fields",
        "offsets": "offset",
        "interpolated doors": "interpolated",
    }
    measures += scoring.kind_measures(judged, {**groups, "crossings, existing or not": "crossing"})
    measures += _texts(engine, truth)
    measures += _tfidf(city, asked[asked["kind"].isin(kinds)])
    measures += _elsewhere(kinds)
    table = scoring.by_kind(judged)
    lines = ["| kind | queries | right | other thing given | class right | coordinate |", "|---|---|---|---|---|---|"]
    for row in table.itertuples():
        shares = (row.is_right, row.is_neighbour, row.is_class_right, row.has_coordinate)
        lines.append(f"| {row.kind} | {row.queries} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    return "Demo city", measures, "\n".join(lines) + f"\n\n{_when()}"


def _elsewhere(kinds: list[str]) -> list[Measure]:
    """Score a city of another seed, whose names nobody has looked at."""
    city = gazetteer.build(seed=OTHER_SEED)
    asked = gazetteer.truth(city, seed=OTHER_SEED, per_kind=120).queries
    inputs = [row.query if row.query is not None else json.loads(row.fields) for row in asked.itertuples()]
    judged = scoring.answers(asked, engine_of(city).match_many(inputs))
    measures = scoring.fault_measures(judged, kinds) + scoring.refusal_measures(judged)
    return [dataclasses.replace(measure, name=f"another city: {measure.name}") for measure in measures]


def _texts(engine: AddressEngine, truth: gazetteer.Truth) -> list[Measure]:
    """Score tagging, sameness and extraction as far as the engine offers them."""
    measures = []
    tagged = truth.tagged
    f1 = scoring.span_f1(tagged["spans"], [engine.parse(text).elements for text in tagged["text"]])
    measures.append(Measure("element tagging, 8 merged labels, span F1", f1[2], 0.80))
    if hasattr(engine, "same"):
        said = [
            str(getattr(engine.same(a, b), "relation", engine.same(a, b))) for a, b in zip(truth.pairs["a"], truth.pairs["b"], strict=True)
        ]
        measures.append(Measure("same, partial or different", float(np.mean(truth.pairs["expected"].to_numpy() == np.array(said)))))
    if hasattr(engine, "extract"):
        found = [[(hit.start, hit.end) for hit in engine.extract(text)] for text in truth.stories["text"]]
        measures.append(Measure("places in running text, span F1", scoring.extraction_f1(truth.stories["spans"], found)[2]))
    return measures


def _tfidf(city: gazetteer.Gazetteer, asked: pd.DataFrame) -> list[Measure]:
    table = city.table.to_pandas()
    found, _, cpu = clocked(lambda: address_peers.tfidf_top1(table["address_text"].tolist(), asked["query"].tolist()))
    right = pd.Series(table["entity_id"].to_numpy()[found] == asked["expected_id"].to_numpy()).groupby(asked["kind"].to_numpy()).mean()
    return [
        Measure("peer TF-IDF + pinyin here: top-1, all", float(right.mean())),
        Measure(f"peer TF-IDF + pinyin here: worst kind ({right.idxmin()})", float(right.min())),
        Measure("peer TF-IDF + pinyin here: queries per CPU-second", len(asked) / cpu),
    ]


def districts() -> pd.DataFrame:
    """Return province, city, district and 6-digit code of the country's districts."""
    install_divisions(division_folder())
    table = national_divisions(division_folder())
    if table is None:
        raise RuntimeError("the national divisions are not installed")
    frame = table.to_pandas()
    name = dict(zip(frame["division_code"], frame["name"], strict=True))
    part = frame[frame["division_level"] == 3]
    code = part["division_code"]
    return pd.DataFrame(
        {
            "province": (code.str[:2].str.ljust(12, "0")).map(name),
            "city": (code.str[:4].str.ljust(12, "0")).map(name).fillna(""),
            "district": part["name"],
            "code": code.str[:6],
        }
    ).reset_index(drop=True)


def divisions() -> tuple[str, list[Measure], str]:
    """Score division parsing against the peers: the same addresses, and province, city and district asked of all."""
    truth = gazetteer.national_truth(districts())
    texts = truth["text"].tolist()
    engine = AddressEngine.build()
    known = {row.code: (row.province, row.city, row.district) for row in districts().itertuples()}

    def told(asked: list[str]) -> list[tuple[str, str, str]]:
        return [known.get((code or "")[:6], ("", "", "")) for code in engine.division_codes(asked)]

    told(texts[:20])
    rounds = 5
    (found, *_), wall, cpu = clocked(lambda: [told(texts) for _ in range(rounds)])
    wall, cpu = wall / rounds, cpu / rounds
    right, wrong = scoring.division_shares(truth, pd.DataFrame(found, columns=["province", "city", "district"]))
    measures = [
        Measure("division parsing, all levels right", right, 0.970, peer=PEERS_KNOWN),
        Measure("division parsing, wrong district", wrong, 0.008, is_least=False, peer=PEERS_KNOWN),
        Measure("division parsing, addresses per CPU-second (50,000 on two cores)", len(texts) / cpu, 25_000),
        Measure("division parsing, addresses per second of wall time, one process", len(texts) / wall),
    ]
    lines = ["| parser | all levels right | wrong district | addresses per CPU-second |", "|---|---|---|---|"]
    lines.append(f"| **Sanyu** | {right:.4f} | {wrong:.4f} | {len(texts) / cpu:,.0f} |")
    with tempfile.TemporaryDirectory() as work:
        for name, (parsed, seconds) in address_peers.parsed_by_peers(texts, Path(work)).items():
            shares = scoring.division_shares(truth, parsed)
            lines.append(f"| {name} | {shares[0]:.4f} | {shares[1]:.4f} | {len(texts) / max(seconds, 1e-9):,.0f} |")
    return "Divisions of the country", measures, "\n".join(lines) + "\n"


def reverse() -> tuple[str, list[Measure], str]:
    """Score reverse geocoding against brute force, and measure it on a million points."""
    city = gazetteer.build()
    points = gazetteer.truth(city, per_kind=200).reverse
    index = ReverseIndex.build(city.table, city.roads, city.divisions)
    parts = []
    for crs, part in points.groupby("crs"):
        found = index.query(part["lon"].to_numpy(), part["lat"].to_numpy(), str(crs), at=part["at"].to_numpy().astype("datetime64[D]"))
        parts.append(pd.concat([part.reset_index(drop=True), found.to_pandas()], axis=1))
    both = pd.concat(parts)
    inside = both[both["expected_code"].isna()]
    rng = np.random.default_rng(0)
    count = 1_000_000
    home = city.table.column("lon").to_numpy(), city.table.column("lat").to_numpy()
    at = rng.integers(0, len(home[0]), count)
    lon, lat = home[0][at] + rng.normal(0, 3e-4, count), home[1][at] + rng.normal(0, 3e-4, count)
    index.query(lon[:1000], lat[:1000])
    _, wall, cpu = clocked(lambda: index.query(lon, lat, threads=2))
    measures = [
        Measure(
            "reverse, division on the day right",
            float((both["division_code"].fillna("") == both["expected_division_code"].fillna("")).mean()),
        ),
        Measure("reverse, nearest road right", float((inside["road_name"] == inside["expected_road"]).mean())),
        Measure("reverse, nearest address right", float((inside["entity_id"] == inside["expected_id"]).mean())),
        Measure("reverse, points per second, two threads", count / wall, 150_000, peer="STRtree ~100 k/CPU-s, district only"),
        Measure("reverse, points per CPU-second", count / cpu),
    ]
    return "Reverse", measures, ""


def million() -> Path:
    """Return the folder of an index of a million doors and of 100,000 addresses (rows.parquet), made on the first call (90 s, 3 GB)."""
    folder = address_peers.peer_folder().parent / "address-million-1"
    if not (folder / "index.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        city = gazetteer.build(scale="medium", doors=1_000_000)
        texts = _rows(city, 100_000)
        pq.write_table(pa.table({"id": np.arange(len(texts)), "address": texts}), folder / "rows.parquet")
        engine_of(city).save(folder)
    return folder


def batch() -> tuple[str, list[Measure], str]:
    """Match 100,000 rows of a Parquet file against a million doors into another, in two processes, and single calls one by one."""
    folder = million()
    rows = pq.read_table(folder / "rows.parquet")
    cpu = _cpu()
    start = time.perf_counter()
    engine = AddressEngine.load(folder)
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "out.parquet"
        held: list[float] = []
        options = Options(workers=2, progress=lambda rows: held.append(_held()))
        report = run(engine, rows_of(folder / "rows.parquet"), "address", [out], options)
        wall, cpu = time.perf_counter() - start, _cpu() - cpu
        given = pq.read_table(out)
    in_order = given.num_rows == rows.num_rows and given["id"].equals(rows["id"])
    texts = rows["address"].to_pylist()
    engine.match_many(texts[:2000])
    single = [clocked(functools.partial(engine.match, text))[2] * 1e3 for text in texts[2000:5000]]
    measures = [
        Measure(
            "batch, a million doors: CPU per row including loading, reading and writing", cpu / len(texts) * 1e3, 0.4, False, unit=" ms"
        ),
        Measure("batch, a million doors: rows per second of wall time", len(texts) / wall, 5000),
        Measure("batch, a million doors: matched", report.statuses.get("M", 0) / len(texts)),
        Measure("batch, every row returned once and in order", float(in_order), 1),
        Measure("batch, memory of all processes, shared pages counted once", max(held), 4.0, is_least=False, unit=" GiB"),
        *(
            Measure(f"single match, a million doors, CPU time, percentile {p:g}", float(np.percentile(single, p)), bar, False, unit=" ms")
            for p, bar in ((50, None), (95, 20.0), (99, None), (100, None))
        ),
    ]
    told = f"{len(set(texts)):,} distinct texts out of {len(texts):,}; two forked processes, Parquet to Parquet. "
    return "Batch", measures, told + _when()


def _when() -> str:
    return f"{date.today()}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end.\n"


def _held() -> float:
    """Return the GiB that this process and its children hold now, a page that several share being counted once (proportional set size)."""
    kib = 0
    for process in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        with contextlib.suppress(OSError):
            kib += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text("ascii"), re.M)[1])  # type: ignore[index]
    return kib / 2**20


def _cpu() -> float:
    """Return the CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _rows(city: gazetteer.Gazetteer, count: int) -> list[str]:
    """Return addresses of random doors and places with a district, half of them with a fault."""
    rng = np.random.default_rng(0)
    asker = queries.Asker(city.base, rng)
    table = city.base.table[city.base.table["kind"].isin(["door", "building", "place"])]
    kinds = list(faults.FAULTS)
    texts = []
    for row in table.sample(count, random_state=0).itertuples(index=False):
        pieces = asker.pieces(row, ("city", "district", "township") if rng.random() < 0.5 else ("district",))
        fault = faults.FAULTS[kinds[int(rng.integers(len(kinds)))]] if rng.random() < 0.5 else None
        texts.append(queries.text_of((fault(pieces, rng) if fault else None) or pieces))
    return texts


def write(title: str, measures: list[Measure], detail: str) -> None:
    """Put a section into the score page, in place of its last state."""
    text = DOCS.read_text("utf-8") if DOCS.exists() else "# Score of the address engine\n\nWritten by `python -m bench.address`.\n"
    head, *sections = text.split("\n## ")
    kept = {section.split("\n", 1)[0]: section.split("\n", 1)[1] for section in sections}
    kept[title] = "\n" + scoring.markdown(measures) + ("\n" + detail if detail else "")
    DOCS.write_text(head.rstrip() + "\n" + "".join(f"\n## {name}\n\n{body.strip()}\n" for name, body in kept.items()), "utf-8")


def main() -> None:
    from bench.address_hangzhou import hangzhou
    from bench.address_service import service
    from bench.address_sf import sanfrancisco

    parts = {"score": score, "divisions": divisions, "reverse": reverse, "sanfrancisco": sanfrancisco, "hangzhou": hangzhou}
    parts |= {"batch": batch, "service": service}
    for name in sys.argv[1:] or parts:
        title, measures, detail = parts[name]()
        print(f"\n{title}\n{scoring.markdown(measures)}\n{detail}", flush=True)
        if measures:
            write(title, measures, detail)


if __name__ == "__main__":
    main()
