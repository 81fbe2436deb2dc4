"""The map of a batch: a page that opens from disk and shows the rows with a location over the gazetteer's roads."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import shapely

from cli.show import say
from sanyu.address.tablefiles import CRS, Writer, shapes_of
from sanyu.serve.layers import MapLayer
from sanyu.serve.preview import render

MOST_ROWS = 50_000  # more would make the page slow to open; the tables contain all rows


MOST_ROADS = 20_000


class MapWriter(Writer):
    """A page with a map of the first rows that have a location; `roads` (name, geom as WKB) give orientation."""

    def __init__(self, path: Path, prefix: str, roads: pa.Table | None = None) -> None:
        super().__init__(path, prefix)
        self.roads = roads
        self.kept: list[gpd.GeoDataFrame] = []
        self.placed = 0

    def write(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        if self.placed >= MOST_ROWS:
            return
        named = {f"{self.prefix}standard": "name", f"{self.prefix}precision": "class_code", f"{self.prefix}score": "score"}
        columns = self.plain(table).select(list(named)).rename_columns(list(named.values())).to_pandas()
        frame = gpd.GeoDataFrame(columns, geometry=shapes_of(table, self.prefix), crs=CRS)
        known = frame[frame.geometry.notna()].head(MOST_ROWS - self.placed)
        self.placed += len(known)
        self.kept.append(known)

    def finish(self) -> None:
        title = say("Matched addresses", "匹配的地址")
        if self.placed:
            frame = gpd.GeoDataFrame(pd.concat(self.kept, ignore_index=True), crs=CRS)
            layers = [MapLayer("core.basemap__place", title, frame, count=self.placed)]
            if self.roads is not None and 0 < self.roads.num_rows <= MOST_ROADS:
                lines = shapely.from_wkb(self.roads["geom"].to_numpy(zero_copy_only=False))
                below = gpd.GeoDataFrame({"name": self.roads["name"].to_pylist()}, geometry=lines, crs=CRS)
                layers.append(MapLayer("core.basemap__road_segment", say("Roads of the gazetteer", "地名库道路"), below))
            subtitle = say(f"{self.placed:,} of {self.rows:,} rows on the map", f"地图上 {self.placed:,} / {self.rows:,} 行")
            render(layers, self.part, title, subtitle, [])
        else:
            text = say(f"None of the {self.rows:,} rows has a location", f"{self.rows:,} 行均无位置")
            self.part.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title>{title}</title><p>{text}</p>\n', "utf-8")
        super().finish()

    def close(self) -> None:
        return
