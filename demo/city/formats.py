"""Write the files of a delivery, byte for byte the same from the same rows: no clock, no machine, no order of a hash shows in them."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import re
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import shapely

FIXED_DAY = "2026-01-01"
_ZIP_TIME = (2026, 1, 1, 0, 0, 0)
_DEGREES = 9  # decimals: 0.1 mm


@dataclass
class File:
    """One file of a source: published columns, `geom` in `crs` where there is geometry, and bookkeeping columns that begin with `_`."""

    path: str
    frame: pd.DataFrame
    crs: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> pd.DataFrame:
        return self.frame[[c for c in self.frame.columns if not c.startswith("_") and c != "geom"]]

    @property
    def first_row(self) -> int:
        """The number that readers give the first row: lines and sheet rows count the header, features do not."""
        return 2 if self.path.endswith((".csv", ".xlsx", ".zip")) else 1


def write(root: Path, file: File) -> None:
    """Write a file below `root` in the format that its name says."""
    path = root / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv":
            _csv(path, file)
        case ".xlsx":
            _xlsx(path, file)
        case ".geojson":
            _geojson(path, file)
        case ".topojson":
            _topojson(path, file)
        case ".shp":
            _shapefile(path, file)
        case _:
            _ogr(path, file)


def text(value: object) -> str:
    """Return a value as it stands in a text file; missing values are blank."""
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NaT else str(value)


def _csv(path: Path, file: File) -> None:
    ragged = file.frame["_ragged"].tolist() if "_ragged" in file.frame else [None] * len(file.frame)
    with path.open("w", encoding=file.options.get("encoding", "utf-8-sig"), newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(file.published.columns)
        for row, torn in zip(file.published.itertuples(index=False), ragged, strict=True):
            cells = [text(v) for v in row]
            writer.writerow([*cells, "补录"] if torn is True else cells)


def _xlsx(path: Path, file: File) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(file.options.get("sheet", "Sheet1"))
    sheet.append(list(file.published.columns))
    for row in file.published.itertuples(index=False):
        sheet.append([None if text(v) == "" else v.item() if isinstance(v, np.generic) else v for v in row])
    buffer = BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", f"{FIXED_DAY}T00:00:00Z".encode(), data)
            target.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data, zipfile.ZIP_DEFLATED)


def zip_tables(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write comma-separated tables into one zip (GTFS)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, frame in tables.items():
            body = frame[[c for c in frame.columns if not c.startswith("_")]].to_csv(index=False, lineterminator="\r\n")
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), body, zipfile.ZIP_DEFLATED)


def _geojson(path: Path, file: File) -> None:
    rows = file.published.to_dict("records")
    shapes = [None if s is None else json.loads(s) for s in _as_geojson(file.frame["geom"])]
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write('{"type":"FeatureCollection","features":[\n')
        for i, (row, shape) in enumerate(zip(rows, shapes, strict=True)):
            feature = {"type": "Feature", "properties": {k: _plain(v) for k, v in row.items()}, "geometry": shape}
            stream.write((",\n" if i else "") + json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
        stream.write("\n]}\n")


def _as_geojson(geoms: pd.Series) -> list[str | None]:
    rounded = shapely.transform(geoms.to_numpy(), lambda xy: np.round(xy, _DEGREES))
    return list(shapely.to_geojson(rounded))


def _plain(value: object) -> object:
    if text(value) == "":
        return None
    return value.item() if isinstance(value, np.generic) else value


def _topojson(path: Path, file: File) -> None:
    """Write polygons with an arc per ring, quantised to 1e-9 degrees (0.1 mm)."""
    scale = 10.0**-_DEGREES
    geoms = file.frame["geom"].to_numpy()
    origin = np.round(shapely.total_bounds(geoms[~shapely.is_missing(geoms)])[:2], 1)
    arcs: list[list[list[int]]] = []
    features = []
    for row, geom in zip(file.published.to_dict("records"), geoms, strict=True):
        feature: dict[str, Any] = {"type": None, "properties": {k: _plain(v) for k, v in row.items() if _plain(v) is not None}}
        if geom is not None:
            rings = [geom.exterior, *geom.interiors]
            feature |= {"type": "Polygon", "arcs": [[len(arcs) + i] for i in range(len(rings))]}
            for ring in rings:
                steps = np.round((np.asarray(ring.coords)[:, :2] - origin) / scale).astype(np.int64)
                arcs.append(np.diff(steps, axis=0, prepend=[[0, 0]]).tolist())
        features.append(feature)
    topology = {
        "type": "Topology",
        "transform": {"scale": [scale, scale], "translate": origin.tolist()},
        "objects": {"buildings": {"type": "GeometryCollection", "geometries": features}},
        "arcs": arcs,
    }
    path.write_text(json.dumps(topology, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


def _geo_frame(file: File) -> gpd.GeoDataFrame:
    published = file.published.copy()
    for name in published.columns:
        if published[name].dtype == object:
            published[name] = published[name].infer_objects()
    return gpd.GeoDataFrame(published, geometry=gpd.GeoSeries(list(file.frame["geom"]), index=published.index), crs=file.crs)


def _ogr(path: Path, file: File) -> None:
    driver = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".gml": "GML"}[path.suffix]
    # no index: it would put the rows of a FlatGeobuf in another order than the truth counts them
    extra: dict[str, Any] = {
        "GPKG": {"SPATIAL_INDEX": "NO"},
        "FlatGeobuf": {"SPATIAL_INDEX": "NO"},
        "GML": {"FORMAT": "GML3.2", "GML_ID": "feature"},
    }[driver]
    # a new file cannot be told from an old one of the same name by GDAL, which would append a layer
    path.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{FIXED_DAY}T00:00:00.000Z"})
    try:
        pyogrio.write_dataframe(
            _geo_frame(file), path, layer=file.options.get("layer", path.stem), driver=driver, promote_to_multi=False, **extra
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    path.with_suffix(".xsd").unlink(missing_ok=True)


def _shapefile(path: Path, file: File) -> None:
    """Write a shapefile with a DBF in GBK; `cpg=False` leaves out what tells the encoding, `lost` cuts off that many last shapes."""
    pyogrio.write_dataframe(
        _geo_frame(file),
        path,
        driver="ESRI Shapefile",
        encoding="GBK",
        promote_to_multi=False,
        DBF_DATE_LAST_UPDATE=FIXED_DAY,
        SPATIAL_INDEX="NO",
    )
    if not file.options.get("cpg", True):
        path.with_suffix(".cpg").unlink()
        with path.with_suffix(".dbf").open("r+b") as stream:
            stream.seek(29)
            stream.write(b"\0")
    if lost := file.options.get("lost", 0):
        index = np.frombuffer(path.with_suffix(".shx").read_bytes(), ">i4", offset=100).reshape(-1, 2)
        with path.open("r+b") as stream:
            stream.truncate(int(index[-lost, 0]) * 2 + 20)


def stamp_times(root: Path, edition_at: str) -> None:
    """Set the modification time of all files below `root`: what a source without a date of its own takes for its edition."""
    second = dt.datetime.fromisoformat(edition_at).timestamp()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            os.utime(path, (second, second))
