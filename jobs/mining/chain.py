"""Run a chain: its steps in order, each as `jobs.mining.analysis` runs a tool, then the page that shows what was found."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.context import Loading
from jobs.mining.analysis import Analysis, MineReport
from jobs.mining.analysis import run as mine
from sanyu.lake.store import LocalStore
from sanyu.shipped import shipped
from schemas.chain import Chain, Step, load_chains
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.partition import condition_sql
from schemas.registry import find_contract
from transforms.mining.shelf.tool import find_tool

_MOST_OUTLINES = 80


@dataclass(frozen=True)
class ChainReport:
    """What a chain did, step by step, and where its page is (empty where a single step was run)."""

    chain: str
    steps: tuple[dict[str, Any], ...]
    page: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def chain_folder() -> Path:
    """Return the folder of the chains that come with Sanyu."""
    return shipped("chains")


def find_chain(name: str, folder: Path | None = None) -> Chain:
    """Return a chain by name; SY-N026 with the nearest name where there is none."""
    known = load_chains(folder or chain_folder())
    wanted = name.replace("-", "_")
    if wanted not in known:
        raise SanyuError("SY-N026", name=name, nearest=(difflib.get_close_matches(wanted, known, n=1, cutoff=0.0) or ["-"])[0])
    return known[wanted]


def run(loading: Loading, name: str, *, only: str | None = None, partition: str | None = None, folder: Path | None = None) -> ChainReport:
    """Run all steps of a chain, or the one named, and write the page after the last; a step whose input is as it was computes nothing.

    With a `partition` it runs over the rows of that partition of its table. The page is `chain/<name>/index.html` of the lake, of a
    partition `chain/<name>/<partition>/index.html`; where neither the chain nor any result is another, it stays as it is. SY-N024 to
    SY-N027, SY-K007 and SY-K008 (partition), and what the tools raise.
    """
    chain = find_chain(name, folder)
    if partition:
        chain = _of_partition(chain, partition, loading.contracts)
    if only is not None and only not in {s.name for s in chain.steps}:
        raise SanyuError("SY-N027", chain=chain.name, step=only, known=", ".join(s.name for s in chain.steps))
    reports: dict[str, MineReport] = {}
    for step in chain.steps:
        if only is None or step.name == only:
            reports[step.name] = mine(loading, analysis(chain, step))
    page = _page(loading, chain) if only is None or only == chain.steps[-1].name else ""
    return ChainReport(chain.name, tuple({"step": n, **r.as_dict()} for n, r in reports.items()), page)


def _of_partition(chain: Chain, key: str, known: Mapping[str, Contract]) -> Chain:
    if chain.partition is None:
        raise SanyuError("SY-K008", chain=chain.name, key=key)
    return chain.narrowed(key, condition_sql(find_contract(chain.partition.table, known), key))


def analysis(chain: Chain, step: Step) -> Analysis:
    """Return what a step asks for; its input's name follows from the chain alone, so that steps can run in processes of their own."""
    if step.after is None:
        return Analysis(step.tool, step.table, step.parameters, step.where)
    before = next(s for s in chain.steps if s.name == step.after)
    source, table = _result_of(chain, before)
    where = f"source_name = '{source}'" + (f" AND ({step.where})" if step.where else "")
    return Analysis(step.tool, table, step.parameters, where)


def _result_of(chain: Chain, step: Step) -> tuple[str, str]:
    """Return the `source_name` and the table of a step's rows."""
    asked, tool = analysis(chain, step), find_tool(step.tool)
    return asked.source_name(tool, tool.parsed(asked.parameters)), tool.result


def _page(loading: Loading, chain: Chain) -> str:
    """Write the page unless it shows this chain with these results already, and return where it is."""
    from sanyu.serve.chain_page import Found, page

    key, store, results = f"chain/{chain.name}/index.html", loading.lake.store, [_result_of(chain, step) for step in chain.steps]
    runs = [_newest_run(loading, source) for source, _ in results]
    edition = hashlib.sha256("|".join([chain.model_dump_json(), *(r.get("mining_run_id", "") for r in runs)]).encode()).hexdigest()[:12]
    if edition.encode() not in (store.get(key) or b""):
        loading.progress(f"page of {chain.name}")
        found = [
            Found(
                step,
                find_contract(table, loading.contracts),
                loading.lake.table(table).to_geopandas(where=f"source_name = '{source}'"),
                run,
            )
            for step, (source, table), run in zip(chain.steps, results, runs, strict=True)
        ]
        store.put(key, page(chain, found, f"{loading.recorded_at}, {edition}", _outlines(loading)).encode())
    return store.uri(key, scheme="path" if isinstance(store, LocalStore) else "s3a")


def _newest_run(loading: Loading, source: str) -> dict[str, Any]:
    """Return the row of the newest run of an analysis."""
    rows = loading.lake.table("mart.mining__run").to_arrow(where=f"result_source = '{source}'").sort_by("recorded_at")
    return dict(rows.slice(rows.num_rows - 1).to_pylist()[0]) if rows.num_rows else {}


def _outlines(loading: Loading) -> Any:
    """Return the divisions of the finest level that is still to be told apart on a map, None where the lake has none."""
    table = "core.basemap__division"
    if table not in loading.lake.names():
        return None
    rows = loading.lake.table(table).to_geopandas(columns=["division_level", "geom"])
    counts = rows["division_level"].value_counts()
    fit = counts[counts <= _MOST_OUTLINES]
    return rows[rows["division_level"] == fit.index.max()] if len(fit) else None
