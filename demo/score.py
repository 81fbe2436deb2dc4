"""How well the lake did with the demo city, held against the truth that the generator wrote beside the data.

Only `lake.table(...)` is asked, so no JVM starts. Recall is the share of planted bad rows that are in quarantine under their file and row,
precision the share of quarantined rows that were planted; an identity is kept if a thing bears one `entity_id` in both editions; a false
merge is a thing that bears the `entity_id` of another thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from demo import events
from demo.view import Anys, Tables, View, load_truth
from schemas.messages import language

METRES_PER_DEGREE = 111_320.0
# Half of the last decimal that sources publish, and the arithmetic of projections: nothing else may be left.
COORDINATE_LIMIT_M = 0.001
# Two surveys of one building differ by centimetres, two buildings by metres.
MEASURED_ANEW_DEG = 5e-6


@dataclass(frozen=True)
class Measure:
    """One figure: `found` of `expected` (`value` is their share, or a measured size in `unit`), and the limit it must keep.

    `limit` is a least share, or with `at_most` a greatest; None means that the figure is for information. `applies` is False where the
    truth of the edition tells nothing of the kind, so that there is nothing to score; where it applies and nothing was there to measure,
    it fails.
    """

    name: str
    title: str
    title_zh: str
    found: int
    expected: int
    value: float
    limit: float | None = None
    at_most: bool = False
    unit: str = ""
    applies: bool = True

    @property
    def passed(self) -> bool | None:
        """Whether the limit is kept; None without a limit or where the measure does not apply."""
        if self.limit is None or not self.applies:
            return None
        if not self.expected:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def shown(self) -> str:
        """Return the figure as people read it."""
        if not self.expected:
            return "–"
        return f"{self.value:.6f} {self.unit}" if self.unit else f"{self.value:.2%}"


@dataclass(frozen=True)
class Score:
    """All measures of one edition, and frames to look closer.

    `by_reason` (reason, expected, found, right_code, share), `by_table` (source, contract, expected, found), `missed` (planted rows that
    are not in quarantine), `surplus` (quarantined rows that nobody planted).
    """

    edition: int
    measures: tuple[Measure, ...]
    by_reason: pd.DataFrame
    by_table: pd.DataFrame
    missed: pd.DataFrame
    surplus: pd.DataFrame

    @property
    def passed(self) -> bool:
        """Whether no limit is broken and something was measured."""
        verdicts = [m.passed for m in self.measures if m.passed is not None]
        return bool(verdicts) and all(verdicts)

    def measure(self, name: str) -> Measure:
        """Return the measure; KeyError if there is none of that name."""
        for m in self.measures:
            if m.name == name:
                return m
        raise KeyError(name)

    def rows(self, lang: str | None = None) -> list[tuple[str, str, str, str, str]]:
        """Return the table to print, of what applies: title, found, expected, figure with its limit, verdict (ok, FAILED or blank)."""
        chinese = (lang or language()) == "zh"
        table = []
        for m in (m for m in self.measures if m.applies):
            sign = "≤" if m.at_most else "≥"
            limit = "" if m.limit is None else f" ({sign} {m.limit:g} {m.unit})" if m.unit else f" ({sign} {m.limit:.1%})"
            verdict = {True: "ok", False: "FAILED", None: ""}[m.passed]
            table.append((m.title_zh if chinese else m.title, f"{m.found:,}", f"{m.expected:,}", m.shown() + limit, verdict))
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return the score for JSON."""
        names = ("found", "expected", "value", "applies", "passed")
        measures = {m.name: {name: getattr(m, name) for name in names} for m in self.measures}
        return {"edition": self.edition, "passed": self.passed, "measures": measures, "by_reason": self.by_reason.to_dict("records")}


def score(lake: Tables, truth_dir: Path, *, mined: bool = False) -> Score:
    """Hold the lake against the truth of an edition. SY-M003 where the truth is not there; a table that the lake lacks counts as empty.

    With `mined` hot spots have been sought: that the lake has none is then a failure; otherwise they are scored where it has some.
    """
    told, facts = load_truth(truth_dir)
    view = View(lake, facts)
    planted, rejected = _rejects(view, told)
    missed, surplus = planted[~planted["found"]], rejected[~rejected["planted"]]
    by_reason = planted.groupby("reason").agg(expected=("found", "size"), found=("found", "sum"), right_code=("right", "sum")).reset_index()
    by_reason["share"] = by_reason["found"] / by_reason["expected"]
    by_table = _counts(view, told["counts"])
    right_counts = int((by_table["expected"] == by_table["found"]).sum())
    any_rejects = len(planted) + len(rejected) > 0
    found, right = int(planted["found"].sum()), int(planted["right"].sum())
    told_of = {name: len(rows) > 0 for name, rows in told.items()}
    measures = (
        _share("rejects_recall", "bad rows found", "坏行检出", found, len(planted), limit=0.99, applies=len(planted) > 0),
        _share("rejects_reason", "… for the right reason", "……且原因正确", right, len(planted), limit=0.99, applies=len(planted) > 0),
        _share(
            "rejects_precision", "rejected rows that were bad", "拒收行确为坏行", len(rejected) - len(surplus), len(rejected),
            limit=0.99, applies=any_rejects,
        ),
        _share("files_refused", "bad files refused", "坏文件拒读", *_files(view, told["files"]), applies=told_of["files"]),
        _share(
            "duplicates", "duplicates merged", "重复合并", *_duplicates(view, told["duplicates"]), limit=0.99, applies=told_of["duplicates"]
        ),
        _share("rows_loaded", "tables with the right row count", "行数正确的表", right_counts, len(by_table), applies=told_of["counts"]),
        *_identities(view, told["identities"]),
        *_coordinates(view, told["coordinates"]),
        _share(
            "divisions", "division codes right", "区划代码正确", *_divisions(view, told["divisions"]), limit=0.999,
            applies=told_of["divisions"],
        ),
        _share("edges", "sheet edges closed", "图幅接边闭合", *_edges(view, told["edges"]), limit=0.99, applies=told_of["edges"]),
        *_hot_spots(lake, told["hot_spots"], mined),
    )  # fmt: skip
    columns = ["source", "contract", "file", "row_number", "key", "reason", "codes"]
    return Score(
        int(facts["edition"]), measures, by_reason, by_table, missed[columns].reset_index(drop=True), surplus.reset_index(drop=True)
    )


def _rejects(view: View, told: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return planted rows with `found` and `right` (for one of the reasons told), and quarantined rows with `planted`."""
    rejected = _quarantined(view, told["counts"])
    codes = dict(zip(zip(rejected["source"], rejected["name"], rejected["row_number"], strict=True), rejected["found_codes"], strict=True))
    planted = told["rejects"].copy()
    places = list(zip(planted["source"], _name(planted["file"]), planted["row_number"], strict=True))
    planted["found"] = np.array([place in codes for place in places], dtype=bool)
    planted["right"] = np.array(
        [bool(set(expected.split("|")) & set(codes.get(place, ()))) for place, expected in zip(places, planted["codes"], strict=True)],
        dtype=bool,
    )
    known = set(places)
    rejected["planted"] = np.array(
        [place in known for place in zip(rejected["source"], rejected["name"], rejected["row_number"], strict=True)], dtype=bool
    )
    return planted, rejected


def _share(name: str, title: str, title_zh: str, found: int, expected: int, *, limit: float | None = 1.0, applies: bool = True) -> Measure:
    return Measure(name, title, title_zh, found, expected, found / expected if expected else 0.0, limit, applies=applies)


def _name(files: pd.Series) -> pd.Series:
    """Return the last component: the lake may know a file by another folder."""
    return files.astype(str).str.rsplit("/", n=1).str[-1]


def _quarantined(view: View, counts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the edition's batches left in quarantine: source, name, row_number, found_codes.

    A source that delivers the same files again has no new batch: its last one up to the edition's day counts.
    """
    columns = ["source_name", "batch_id", "file_name", "row_number", "errors", "recorded_at"]
    parts = []
    for contract in counts["contract"].unique():
        frame = view.table(f"quarantine.{contract.split('.', 1)[1]}", columns)
        if len(frame):
            parts.append(frame[frame["source_name"].isin(set(counts["source"]))])
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    frame = frame[frame["batch_id"].astype(str).str[:8] <= view.last_day].sort_values("recorded_at", kind="stable")
    frame = frame[frame["batch_id"] == frame.groupby("source_name")["batch_id"].transform("last")]
    codes = [_codes(errors) for errors in frame["errors"]]
    rows = frame.assign(source=frame["source_name"], name=_name(frame["file_name"]), found_codes=codes)
    rows = rows[["source", "name", "row_number", "found_codes"]].drop_duplicates(["source", "name", "row_number"])
    return rows.astype({"row_number": "int64"})


def _codes(errors: Any) -> list[str]:
    """Return the message codes of a row, and the reader's own that an unreadable row carries as its value."""
    found: list[str] = []
    for error in errors if errors is not None else ():
        found.append(str(error["code"]))
        if error["code"] == "SY-Q007" and error["value"]:
            found.append(str(error["value"]).split(" ", 1)[0])
    return found


def _files(view: View, files: pd.DataFrame) -> tuple[int, int]:
    refused = view.table("raw.ops__file", ["source_name", "file_name", "status"])
    refused = refused[refused["status"] != "ok"]
    known = set(zip(refused["source_name"], _name(refused["file_name"]), strict=True))
    return sum((s, n) in known for s, n in zip(files["source"], _name(files["file"]), strict=True)), len(files)


def _counts(view: View, counts: pd.DataFrame) -> pd.DataFrame:
    found = []
    for row in counts.itertuples():
        rows = view.rows(row.contract)
        found.append(int((rows["source_name"] == row.source).sum()))
    return pd.DataFrame({"source": counts["source"], "contract": counts["contract"], "expected": counts["loaded"], "found": found})


def _duplicates(view: View, duplicates: pd.DataFrame) -> tuple[int, int]:
    """Count repeated rows that are one row in the lake: one row of the key, or one at the place where it was measured twice."""
    found = 0
    for contract, told in duplicates.groupby("contract"):
        rows = view.rows(contract)
        near = (told["kind"] == "near").to_numpy()
        counts = rows["source_key"].value_counts()
        found += sum(int(counts.get(key, 0)) == 1 for key in told["key"][~near])
        if near.any() and len(rows):
            tree = shapely.STRtree(shapely.points(rows["lon"].fillna(999.0), rows["lat"].fillna(999.0)))
            spots = shapely.points(told["lon"].to_numpy()[near], told["lat"].to_numpy()[near])
            which = tree.query(spots, predicate="dwithin", distance=MEASURED_ANEW_DEG)[0]
            found += int((np.bincount(which, minlength=len(spots)) == 1).sum())
    return found, len(duplicates)


def _identities(view: View, told: pd.DataFrame) -> tuple[Measure, ...]:
    """Measure identities across the editions, and false merges over the things of the edition."""
    kept = same = wrong = things = 0
    for contract, rows in told.groupby("contract"):
        first, second = _entities(view, contract, rows, 1), _entities(view, contract, rows, 2)
        if view.edition == 1:
            here = pd.Series(first[pd.notna(first)])[~_repeated(rows, 1)[pd.notna(first)]]
            wrong, things = wrong + int(here.duplicated(keep=False).sum()), things + len(here)
            continue
        stays = (rows["kind"] == "same").to_numpy()
        same, kept = same + int(stays.sum()), kept + int((stays & pd.notna(first) & (first == second)).sum())
        owner = {e: k for e, k in zip(first, rows.index, strict=True) if pd.notna(e)}
        counted = (stays | (rows["kind"] == "new").to_numpy()) & pd.notna(second)
        shared = pd.Series(second[counted]).duplicated(keep=False).to_numpy()
        taken = np.array([e in owner and owner[e] != k for e, k in zip(second[counted], rows.index[counted], strict=True)], dtype=bool)
        wrong, things = wrong + int((shared | taken).sum()), things + int(counted.sum())
    return (
        _share("identities_kept", "identities kept", "实体标识保持", kept, same, limit=0.99, applies=len(told) > 0 and view.edition > 1),
        Measure(
            "false_merges", "false merges", "错误合并", wrong, things, wrong / things if things else 0.0, 0.001,
            at_most=True, applies=len(told) > 0,
        ),
    )  # fmt: skip


def _entities(view: View, contract: str, rows: pd.DataFrame, edition: int) -> Anys:
    if view.edition < edition:
        return np.full(len(rows), None, dtype=object)
    found = view.places(contract, rows, f"_{edition}", edition)
    entities = np.array([*view.rows(contract, edition)["entity_id"], None], dtype=object)
    return np.asarray(entities[found])


def _repeated(rows: pd.DataFrame, edition: int) -> Anys:
    """Tell which rows name a thing of the edition again (a parent that was split is named for each of its parts)."""
    return np.asarray(rows.duplicated([f"key_{edition}", f"lon_{edition}", f"lat_{edition}"]).to_numpy())


def _coordinates(view: View, told: pd.DataFrame) -> tuple[Measure, ...]:
    """Measure how far undone datums land from the truth, in metres; things that are not there count as not found."""
    worst, found = 0.0, 0
    for contract, rows in told.groupby("contract"):
        lake = view.rows(contract)
        at = view.places(contract, rows)
        there = at >= 0
        dx = (lake["lon"].to_numpy()[at[there]] - rows["lon"].to_numpy()[there]) * np.cos(np.radians(rows["lat"].to_numpy()[there]))
        dy = lake["lat"].to_numpy()[at[there]] - rows["lat"].to_numpy()[there]
        off = np.hypot(dx, dy) * METRES_PER_DEGREE
        found += int(np.isfinite(off).sum())
        worst = max(worst, float(np.nanmax(off, initial=0.0)))
    return (
        Measure(
            "coordinates_error", "largest error after undoing GCJ-02 and BD-09", "GCJ-02、BD-09 还原最大误差", found, len(told), worst,
            COORDINATE_LIMIT_M, at_most=True, unit="m", applies=len(told) > 0,
        ),
        _share("coordinates_found", "positions there", "坐标齐全", found, len(told), limit=0.999, applies=len(told) > 0),
    )  # fmt: skip


def _divisions(view: View, told: pd.DataFrame) -> tuple[int, int]:
    right = 0
    for contract, rows in told.groupby("contract"):
        codes = np.array([*view.rows(contract)["division_code"], None], dtype=object)
        right += int((codes[view.places(contract, rows)] == rows["division_code"].to_numpy()).sum())
    return right, len(told)


def _edges(view: View, edges: pd.DataFrame) -> tuple[int, int]:
    """Count pairs of segments whose nearest ends are one point."""
    contract = "core.basemap__road_segment"
    keys = [*edges["key_1"], *edges["key_2"]]
    if not keys:
        return 0, 0
    listed = ", ".join(f"'{k}'" for k in keys)
    frame = view.table(contract, ["source_key", "geom"], where=f"source_key IN ({listed}) AND source_name = 'demo_road'")
    lines = dict(zip(frame["source_key"], shapely.from_wkb(frame["geom"].to_numpy()), strict=True)) if len(frame) else {}
    closed = 0
    for a, b in zip(edges["key_1"], edges["key_2"], strict=True):
        if a in lines and b in lines:
            closed += bool(set(_ends(lines[a])) & set(_ends(lines[b])))
    return closed, len(edges)


def _hot_spots(lake: Tables, discs: pd.DataFrame, mined: bool) -> tuple[Measure, ...]:
    """Measure the planted hot spots by cells; they apply once hot spots of events have been sought (chain `event_evolution`)."""
    rows = events.score_of_lake(lake, discs)
    sought = len(rows) > 0 or (mined and len(discs) > 0)
    core, named = int(rows["core_cells"].sum()), int(rows["found_cells"].sum())
    inside = int((rows["recall"] * rows["core_cells"]).sum().round()) if core else 0
    right = int((rows["precision"].fillna(0.0) * rows["found_cells"]).sum().round()) if named else 0
    return (
        _share("hot_spots_recall", "planted hot spots named (cells)", "热点单元检出", inside, core, limit=0.8, applies=sought),
        _share("hot_spots_precision", "… and named cells that were planted", "……检出单元确为热点", right, named, limit=0.6, applies=sought),
    )


def _ends(line: shapely.Geometry) -> list[tuple[float, float]]:
    parts = shapely.get_parts(line)
    return [(round(x, 9), round(y, 9)) for part in parts for x, y in (part.coords[0], part.coords[-1])]
