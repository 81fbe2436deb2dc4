"""The mining shelf for notebooks: `mining.local_moran(frame, "value")`, `mining.dbscan(frame, eps_m=50, min_points=10)`.

Every tool takes a Spark, pandas or GeoPandas frame and returns the same kind. `mining.tools()` lists them with their parameters; their
pages are in docs/mining. Beside the tools: rules of weights (`Knn`, `DistanceBand`, `Kernel`, `Contiguity`) and the edge tables they
make, pictures, and what the tools are built of. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.mining.shelf.tool import Tool

_SHELF = "transforms.mining"
_BESIDE = {
    **dict.fromkeys(("Contiguity", "DistanceBand", "Kernel", "Knn", "Weights"), "weights.weights"),
    **dict.fromkeys(("contiguity", "distance_band", "kernel", "knn"), "weights.weights_tools"),
    **dict.fromkeys(("plot_local", "plot_map"), "pictures.pictures"),
    "plot": "pictures.plot",
    **dict.fromkeys(("find_tool", "tools"), "shelf.tool"),
    "hot_spot_category": "cube.categories",
    "noted": "shelf.frames",
    "space_time_cube": "cube.cube_tools",
}


def __getattr__(name: str) -> Any:
    if name in _BESIDE:
        return getattr(importlib.import_module(f"{_SHELF}.{_BESIDE[name]}"), name)
    if not name.startswith("_") and name in (known := _known()):
        return known[name].function
    raise AttributeError(f"module 'sanyu.mining' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_BESIDE, *_known()})


def _known() -> dict[str, Tool]:
    from transforms.mining.shelf.tool import tools

    return dict(tools())
