"""Lists of distances, times and sizes as a person writes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.messages import SanyuError

Floats = npt.NDArray[np.float64]


def steps(tool: str, name: str, given: str | Sequence[float]) -> Floats:
    """Return an ascending list of numbers above 0 from numbers or a text such as `100,200`; SY-N036."""
    try:
        values = np.array([float(v) for v in (given.split(",") if isinstance(given, str) else given)], np.float64)
    except ValueError:
        values = np.empty(0)
    if not len(values) or not np.isfinite(values).all() or values[0] <= 0 or (np.diff(values) <= 0).any():
        raise SanyuError("SY-N036", tool=tool, name=name, value=given)
    return values
