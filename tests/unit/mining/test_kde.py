"""Kernel density against scikit-learn and scipy, its volume, and the file it is written to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import rasterio
from scipy.stats import gaussian_kde
from sklearn.neighbors import KernelDensity

from sanyu.serve.density import write_cog
from schemas.messages import SanyuError
from transforms.mining.density.kde import KERNELS, bandwidth, density, grid_of, kde


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    return pd.DataFrame({"x_m": rng.normal(500, 80, 200), "y_m": rng.normal(300, 80, 200), "w": rng.integers(1, 5, 200)})


@pytest.mark.parametrize(
    ("kernel", "peer"), [("gaussian", "gaussian"), ("epanechnikov", "epanechnikov"), ("triangular", "linear"), ("uniform", "tophat")]
)
def test_the_density_at_a_cell_is_that_of_scikit_learn(frame: pd.DataFrame, kernel: str, peer: str) -> None:
    grid = density(frame, cell_m=20.0, bandwidth_m=60.0, kernel=kernel)  # type: ignore[arg-type]
    lines, columns = np.indices(grid.values.shape)
    centres = np.column_stack([grid.west_m + (columns.ravel() + 0.5) * 20, grid.south_m + (lines.ravel() + 0.5) * 20])
    fitted = KernelDensity(bandwidth=60.0, kernel=peer).fit(frame[["x_m", "y_m"]].to_numpy())
    assert grid.values.ravel() / 200 == pytest.approx(np.exp(fitted.score_samples(centres)), rel=1e-6, abs=1e-13)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_volume_is_the_number_of_rows_or_their_weight(frame: pd.DataFrame, kernel: str) -> None:
    window = (-200.0, -400.0, 1200.0, 1000.0)
    grid = density(frame, cell_m=4.0, bandwidth_m=60.0, kernel=kernel, window=window)  # type: ignore[arg-type]
    weighed = density(frame, cell_m=4.0, bandwidth_m=60.0, kernel=kernel, window=window, weight="w")  # type: ignore[arg-type]
    assert grid.values.sum() * 16 == pytest.approx(200, rel=2e-3)
    assert weighed.values.sum() * 16 == pytest.approx(frame["w"].sum(), rel=2e-3)


def test_the_rules_scale_the_spread(frame: pd.DataFrame) -> None:
    x, y = frame["x_m"].to_numpy(), frame["y_m"].to_numpy()
    sigma = np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)
    assert bandwidth(x, y, "silverman") == pytest.approx(sigma * gaussian_kde(np.stack([x, y]), "silverman").factor)
    assert bandwidth(x, y, "scott") == pytest.approx(sigma * gaussian_kde(np.stack([x, y]), "scott").factor)
    assert 0 < bandwidth(x, y, "robust") < sigma


def test_the_table_and_the_file_hold_the_same_grid(frame: pd.DataFrame, tmp_path: Path) -> None:
    table, grid = kde(frame, cell_m=20.0, bandwidth_m=60.0), density(frame, cell_m=20.0, bandwidth_m=60.0)
    assert table["density_km2"].sum() == pytest.approx(grid.values.sum() * 1e6)
    with rasterio.open(write_cog(grid, tmp_path / "density.tif", "EPSG:4549")) as written:
        assert written.crs.to_epsg() == 4549
        top = table.loc[table["density_km2"].idxmax()]
        line, column = int((written.transform.f - top["y_m"]) // 20), int((top["x_m"] - written.transform.c) // 20)
        assert written.read(1)[line, column] == pytest.approx(top["density_km2"], rel=1e-6)
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_the_grid_comes_back_from_its_table(frame: pd.DataFrame) -> None:
    grid = density(frame, cell_m=20.0, bandwidth_m=60.0)
    again = grid_of(pa.Table.from_pandas(kde(frame, cell_m=20.0, bandwidth_m=60.0)), 20.0)
    assert (again.west_m, again.south_m) == (pytest.approx(grid.west_m), pytest.approx(grid.south_m))
    lines, columns = again.values.shape
    assert np.allclose(again.values, grid.values[:lines, :columns], rtol=1e-12)
    assert not grid.values[lines:].any()
    assert not grid.values[:, columns:].any()


def test_the_order_of_rows_changes_no_bit(frame: pd.DataFrame) -> None:
    mixed = frame.sample(frac=1, random_state=1)
    assert np.array_equal(density(frame, cell_m=20.0).values, density(mixed, cell_m=20.0).values)


def test_one_place_needs_a_bandwidth_and_an_unknown_kernel_is_refused() -> None:
    heap = pd.DataFrame({"x_m": [1.0, 1.0], "y_m": [2.0, 2.0]})
    with pytest.raises(SanyuError, match="SY-N034"):
        kde(heap, cell_m=1.0)
    assert kde(heap, cell_m=1.0, bandwidth_m=3.0)["density_km2"].max() > 0
    with pytest.raises(SanyuError, match="SY-N035"):
        kde(heap, cell_m=1.0, kernel="cosine")  # type: ignore[arg-type]
