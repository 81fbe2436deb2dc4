"""Pictures of clusters and of the K envelope, for notebooks and result pages."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.mining.frames import frame_kind
from transforms.mining.metres import points


def plot_clusters(frame: Any, *, id_column: str | None = None, ax: Any = None) -> Any:
    """Draw rows by `cluster_id` (noise grey and small, border rows hollow) in metres and return the axes; a Spark frame is collected."""
    import matplotlib.pyplot as plt

    axes = plt.subplots()[1] if ax is None else ax
    table = points(frame, ["cluster_id", "cluster_role"], id_column)
    x, y = table.column("x_m").to_numpy(), table.column("y_m").to_numpy()
    role = np.array(table.column("cluster_role").to_pylist())
    named = np.array([c or "" for c in table.column("cluster_id").to_pylist()])
    colour = plt.get_cmap("tab20")(np.unique(named, return_inverse=True)[1] % 20)
    colour[role == "noise"] = (0.83, 0.83, 0.83, 1.0)
    for name, size in (("noise", 3), ("border", 12), ("core", 12)):
        here = role == name
        drawn = axes.scatter(x[here], y[here], s=size, c=colour[here], label=f"{name} ({here.sum():,})", linewidths=0.8)
        if name == "border":
            drawn.set_facecolor("none")
            drawn.set_edgecolor(colour[here])
    axes.set(aspect="equal", xlabel="m", ylabel="m", title=f"{len(set(named) - {''}):,} clusters")
    axes.legend(loc="upper right")
    return axes


def plot_envelope(result: Any, *, ax: Any = None) -> Any:
    """Draw L(r) − r of a `ripley` result with the envelope of random patterns and return the axes."""
    import matplotlib.pyplot as plt

    axes = plt.subplots()[1] if ax is None else ax
    plain = result.toPandas() if frame_kind(result) == "spark" else result
    r = plain["distance_m"].to_numpy()
    if plain["l_low"].notna().any():
        axes.fill_between(r, plain["l_low"] - r, plain["l_high"] - r, color="lightgrey", label="random patterns")
    p = plain["p_overall"].iloc[0] if len(plain) else None
    axes.plot(r, plain["l_m"] - r, color="firebrick", label="observed" if p is None or np.isnan(p) else f"observed, p = {p:.3f}")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set(xlabel="r (m)", ylabel="L(r) − r (m)")
    axes.legend()
    return axes
