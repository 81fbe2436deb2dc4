"""`sanyu mine kde --picture x.tif` on a lake: the file holds the grid of the table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from deltalake import write_deltalake

from cli.app import main
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from schemas.registry import find_contract

PLACE = find_contract("core.basemap__place")
CITY = 'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [119.0, 29.0, 121.0, 31.0]\n'


def test_the_density_is_written_as_a_geotiff_where_nothing_has_changed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/city.toml").write_text(CITY)
    lake = Lake(tmp_path / "lake")
    schema = arrow_schema(PLACE)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rng = np.random.default_rng(3)
    rows = []
    for n, (lon, lat) in enumerate(zip(rng.normal(120.1, 0.002, 60), rng.normal(30.2, 0.002, 60), strict=True)):
        box = {"xmin": lon, "ymin": lat, "xmax": lon, "ymax": lat}
        row = dict.fromkeys(schema.names) | {"entity_id": f"e{n}", "stamp_id": f"s{n}", "source_name": "a", "source_key": f"{n}"}
        rows.append(
            row | {"valid_from_at": at, "recorded_at": at, "security_label": "public", "bbox": box, "geom": shapely.Point(lon, lat).wkb}
        )
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    write_deltalake(lake.store.uri(PLACE.path), pa.Table.from_pylist(rows, schema=nullable))
    asked = ["--lake", lake.url, "mine", "kde", PLACE.name, "--cell_m", "40", "--bandwidth_m", "200", "--picture"]
    for name in ("first.tif", "again.tif"):
        main([*asked, name])
    table = lake.table("mart.mining__density").to_arrow(["x_m", "y_m", "density_km2"]).to_pandas()
    top = table.loc[table["density_km2"].idxmax()]
    for name in ("first.tif", "again.tif"):
        with rasterio.open(tmp_path / name) as written:
            assert written.crs.is_projected
            line, column = written.index(top["x_m"], top["y_m"])
            assert written.read(1)[line, column] == pytest.approx(top["density_km2"], rel=1e-6)
            assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
