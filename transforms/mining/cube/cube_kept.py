"""What a run over a cube leaves for the next one: its bins with events, and the sums of neighbourhoods, as one Arrow table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.mining.cube.cube import Bins, Cube, CubeRule, cube_of_bins
from transforms.mining.cube.hot_spots import LocalSums

LATTICES = ("square", "hexagon", "beidou")


@dataclass(frozen=True)
class Kept:
    """A cube on a lattice and, for hot spots, the sums of its neighbourhoods."""

    cube: Cube
    local: LocalSums | None = None

    def to_arrow(self) -> pa.Table | None:
        """Return one row per cell: its place, the steps, values and counts of its bins with events, its sums; None for other cells."""
        cube, cells = self.cube, self.cube.cells
        if cells.rule.kind not in LATTICES:
            return None
        row, step = np.nonzero(cube.counts)
        ends = np.concatenate([[0], np.cumsum((cube.counts > 0).sum(axis=1))])
        columns = {
            "cell_column": pa.array(cells.columns),
            "cell_row": pa.array(cells.rows),
            "steps": _lists(ends, step.astype(np.int32)),
            "values": _lists(ends, cube.values[row, step]),
            "counts": _lists(ends, cube.counts[row, step]),
        }
        if self.local is not None:
            borders = np.arange(len(cells) + 1) * cube.shape[1]
            columns |= {"totals": _lists(borders, self.local.totals.ravel()), "sizes": _lists(borders, self.local.sizes.ravel())}
        edges = cube.edges.astype("datetime64[us]").astype(np.int64).tolist()
        return pa.table(columns, metadata={"edges": json.dumps(edges), "crs": cells.rule.crs or ""})

    @classmethod
    def from_arrow(cls, table: pa.Table, rule: CubeRule) -> Kept:
        """Return what `to_arrow` wrote of a cube of this rule."""
        table = table.combine_chunks()
        edges = np.array(json.loads(table.schema.metadata[b"edges"]), np.int64).astype("datetime64[us]")
        times = np.asarray(table.column("steps").combine_chunks().value_lengths())
        columns, rows = (np.repeat(table.column(name).to_numpy(), times) for name in ("cell_column", "cell_row"))
        steps, values, counts = (_flat(table, name) for name in ("steps", "values", "counts"))
        cube = cube_of_bins(rule, edges, Bins(steps.astype(np.int64), values, counts, columns, rows))
        if "totals" not in table.column_names:
            return cls(cube)
        totals, sizes = (_flat(table, name).reshape(cube.shape) for name in ("totals", "sizes"))
        return cls(cube, LocalSums(totals, sizes))


def crs_of(table: pa.Table) -> str | None:
    """Return the metric system of the cube that a table keeps."""
    return str(table.schema.metadata[b"crs"].decode()) or None


def _lists(borders: npt.NDArray[Any], values: npt.NDArray[Any]) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array(borders.astype(np.int64)), pa.array(values))


def _flat(table: pa.Table, name: str) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = np.array(table.column(name).combine_chunks().flatten())
    return found
