"""The pictures show what the results say."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from transforms.mining.centres_plot import plot_clusters, plot_envelope
from transforms.mining.dbscan import dbscan
from transforms.mining.ripley import ripley

mpl.use("Agg")


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(np.concatenate([rng.normal(0, 5, (60, 2)), rng.uniform(-100, 100, (40, 2))]), columns=["x_m", "y_m"])


def test_clusters_are_drawn_by_role(frame: pd.DataFrame) -> None:
    found = dbscan(frame, eps_m=4.0, min_points=5)
    axes = plot_clusters(found)
    drawn = {c.get_label().split(" ")[0]: len(c.get_offsets()) for c in axes.collections}
    assert drawn == found["cluster_role"].value_counts().to_dict()


def test_the_envelope_is_drawn_around_zero(frame: pd.DataFrame) -> None:
    found = ripley(frame, distances_m="5,10,20", simulations=19)
    axes = plot_envelope(found)
    assert axes.lines[0].get_ydata() == pytest.approx((found["l_m"] - found["distance_m"]).to_numpy())
    assert len(axes.collections) == 1
    assert not plot_envelope(ripley(frame, distances_m="5,10", simulations=0)).collections
