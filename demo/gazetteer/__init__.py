"""A seeded gazetteer of the demo city with the truth that an address engine is measured on: what is asked, and what is right.

The same seed gives the same tables. `small` has 20,000 addresses; `doors=1_000_000` lines the streets of the medium city with doors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from demo.city import SEED, world
from demo.gazetteer import base, dense, illegal, names, national, queries, siblings, spatial, texts

__all__ = ["Gazetteer", "Truth", "build", "national_truth", "truth"]


@dataclass(frozen=True)
class Gazetteer:
    """Arrow tables; `geom` is ISO WKB in EPSG:4490.

    `table`: entity_id, kind (division, road, estate, door, building, place), address_text, elements, division_code, lon, lat, geom;
    `aliases`: alias, entity_id, kind, valid_from_on, valid_to_on;
    `element_aliases`: element, level, alias, kind, valid_from_on, valid_to_on;
    `roads`: entity_id, name, geom;
    `divisions`: division_code, division_level, parent_code, name, name_pinyin, valid_from_on, valid_to_on, geom.
    """

    table: pa.Table
    aliases: pa.Table
    element_aliases: pa.Table
    roads: pa.Table
    divisions: pa.Table
    base: base.Base
    outline: shapely.Geometry

    def save(self, folder: Path) -> None:
        """Write the tables as Parquet files of their names."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("table", "aliases", "element_aliases", "roads", "divisions"):
            pq.write_table(getattr(self, name), folder / f"{name}.parquet")


@dataclass(frozen=True)
class Truth:
    """What is right: `queries` (columns of `queries.COLUMNS`), `pairs`, `stories`, `tagged`, `reverse`."""

    queries: pd.DataFrame
    pairs: pd.DataFrame
    stories: pd.DataFrame
    tagged: pd.DataFrame
    reverse: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write the tables as CSV files of their names, UTF-8."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("queries", "pairs", "stories", "tagged", "reverse"):
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False)


def build(seed: int = SEED, scale: str = "small", doors: int | None = None, progress: Callable[[str], None] | None = None) -> Gazetteer:
    """Build the gazetteer of a scale; `doors` puts that many doors along its roads in place of the houses' own."""
    say = progress or (lambda _: None)
    say("city")
    city = world.create(seed, scale)
    say("gazetteer")
    made = base.build(city, seed) if doors is None else dense.build(city, seed, doors)
    say("aliases")
    return Gazetteer(
        table=_arrow(made.table),
        aliases=_arrow(names.aliases(made, seed)),
        element_aliases=_arrow(names.element_aliases(made, seed)),
        roads=_arrow(made.roads),
        divisions=_arrow(made.divisions),
        base=made,
        outline=city.outline,
    )


def _arrow(frame: pd.DataFrame) -> pa.Table:
    frame = frame.copy()
    if "geom" in frame:
        frame["geom"] = shapely.to_wkb(frame["geom"].to_numpy())
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for i, field in enumerate(table.schema):
        wanted = pa.date32() if field.name.endswith("_on") else pa.string() if pa.types.is_null(field.type) else field.type
        table = table.set_column(i, field.name, table.column(i).cast(wanted))
    return table


def truth(gazetteer: Gazetteer, seed: int = SEED, per_kind: int = 360) -> Truth:
    """Return labelled queries and texts: `per_kind` of each kind as far as the city has as many."""
    made = gazetteer.base
    aliases, elements = gazetteer.aliases.to_pandas(), gazetteer.element_aliases.to_pandas()
    rows = queries.faulty(made, seed, per_kind) + spatial.interpolated(made, seed, per_kind)
    rows += siblings.present(made, seed, per_kind) + siblings.absent(made, seed, per_kind)
    rows += siblings.by_alias(made, aliases, elements, seed, per_kind) + siblings.by_fields(made, seed, per_kind)
    rows += illegal.queries(made, seed, per_kind)
    rows += spatial.crossings(made, seed, per_kind) + spatial.offsets(made, seed, per_kind)
    asked = pd.DataFrame(rows, columns=list(queries.COLUMNS))
    # A door to be interpolated is also one that must not be taken for its neighbour: one label per text, the first.
    asked = asked[~asked["query"].duplicated() | asked["query"].isna()]
    asked = asked.astype({"lon": float, "lat": float, "tolerance_m": float}).reset_index(drop=True)
    return Truth(
        queries=asked.astype(object).where(asked.notna(), None).astype({"lon": float, "lat": float, "tolerance_m": float}),
        pairs=texts.pairs(made, seed, per_kind),
        stories=texts.stories(made, seed, per_kind),
        tagged=texts.tagged(made, asked, seed, per_kind * 4),
        reverse=spatial.reverse_points(made, gazetteer.outline, seed, per_kind * 5),
    )


def national_truth(divisions: pd.DataFrame, seed: int = SEED, count: int = 4000) -> pd.DataFrame:
    """Return the truth set of division parsing from the country's districts: province, city, district, code (6 digits)."""
    return national.queries(divisions, seed, count)


def shares(frame: pd.DataFrame) -> dict[str, int]:
    """Return the number of queries of each kind."""
    return {str(kind): int(n) for kind, n in zip(*np.unique(frame["kind"].to_numpy(str), return_counts=True), strict=True)}
