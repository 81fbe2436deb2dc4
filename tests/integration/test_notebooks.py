"""The notebooks run from top to bottom, on the lake in `SANYU_LAKE` or else on a small one made here; they are kept without outputs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake
from nbclient import NotebookClient

from sanyu.lake import Lake
from sanyu.lake.ledger import LedgerRow
from sanyu.settings import Settings
from schemas.basemap.building import CONTRACT as BUILDING
from schemas.basemap.division import CONTRACT as DIVISION
from schemas.fields import fields_of
from schemas.model import Contract

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
STARTS = [datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
# The kernel's own parts warn of themselves, and its child processes can't be held to this run's filters.
pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore")]


def _rows(contract: Contract, extra: list[dict[str, Any]]) -> pa.Table:
    kinds: dict[str, pa.DataType] = {
        "string": pa.string(),
        "long": pa.int64(),
        "integer": pa.int32(),
        "double": pa.float64(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "date": pa.date32(),
        "binary": pa.binary(),
        "boolean": pa.bool_(),
        "array<string>": pa.list_(pa.string()),
        "map<string,string>": pa.map_(pa.string(), pa.string()),
    }
    box = pa.struct([(edge, pa.float64()) for edge in ("xmin", "ymin", "xmax", "ymax")])
    schema = pa.schema([(f.name, kinds.get(f.dtype.value, box)) for f in fields_of(contract)])
    rows = []
    for number, values in enumerate(extra):
        shape = shapely.box(120 + number / 100, 30, 120.005 + number / 100, 30.005)
        xmin, ymin, xmax, ymax = shape.bounds
        row = {"entity_id": f"e{number}", "stamp_id": f"s{number}", "source_name": "survey", "source_key": str(number), "cell": number}
        row |= {"bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}, "geom": shapely.to_wkb(shape, flavor="iso")}
        rows.append(row | {"valid_from_at": STARTS[number % 2], "recorded_at": STARTS[1], "security_label": "public"} | values)
    return pa.Table.from_pylist(rows, schema)


@pytest.fixture(scope="module")
def lake_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    named = os.environ.get("SANYU_LAKE")
    if named:
        return named
    folder = tmp_path_factory.mktemp("lake")
    buildings = [
        {"division_code": "330106001001", "class_code": "residential", "height_m": 9.0 * n, "valid_to_at": None} for n in (1, 2, 3)
    ]
    write_deltalake(str(folder / BUILDING.path), _rows(BUILDING, [*buildings, {"valid_to_at": STARTS[1], "valid_from_at": STARTS[0]}]))
    write_deltalake(str(folder / DIVISION.path), _rows(DIVISION, [{"division_code": "330106001001", "name": "社区", "division_level": 5}]))
    error = {"field": "height_m", "check": "range", "code": "SY-Q004", "value": "-1", "message": "height_m: -1", "message_zh": "高度"}
    quarantined = pa.Table.from_pylist([{"source_name": "survey", "errors": [error]}])
    write_deltalake(str(folder / "quarantine/basemap/building"), quarantined)
    Lake(folder, Settings.load(lake=str(folder))).ledger.append(
        LedgerRow("run", "2026-01-01T00:00:00+00:00", "load", "survey", "b", BUILDING.name, rows_in=4, rows_loaded=3, rows_quarantined=1)
    )
    return str(folder)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_from_top_to_bottom(path: Path, lake_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_LAKE", lake_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", str(path.parent.parent))
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    client.execute()
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert sum(out.output_type in ("execute_result", "stream", "display_data") for out in outputs) >= 8


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert cells and all(c.outputs == [] and c.execution_count is None for c in cells)


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS
