"""Density along streets: one straight street, a Y by hand, mass, and fronts that are stepped metre by metre through random networks."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from scipy import sparse
from scipy.integrate import quad

from schemas.messages import SanyuError
from transforms.mining.density.kde import KERNELS
from transforms.mining.density.network import lixels_of, network_of
from transforms.mining.density.network_kde import density, mass, network_kde
from transforms.mining.pictures.plot import plot
from transforms.mining.shelf.frames import noted

EAST, NORTH = 500_000.0, 3_350_000.0
KERNELS_1D = {
    "quartic": lambda u: 15 / 16 * (1 - u * u) ** 2 * (abs(u) <= 1),
    "gaussian": lambda u: np.exp(-u * u / 2) / np.sqrt(2 * np.pi) * (abs(u) <= 4) / 0.999936657516334,
    "epanechnikov": lambda u: 3 / 4 * (1 - u * u) * (abs(u) <= 1),
    "triangular": lambda u: (1 - abs(u)) * (abs(u) <= 1),
    "uniform": lambda u: 0.5 * (abs(u) <= 1),
}


def streets(*lines: Any) -> gpd.GeoDataFrame:
    """Return streets by their vertices, in metres from a corner in the 120° belt, known as a, b, c …"""
    found = [shapely.LineString(np.add(line, (EAST, NORTH))) for line in lines]
    return gpd.GeoDataFrame({"entity_id": [chr(97 + n) for n in range(len(found))]}, geometry=found, crs="EPSG:4549")


def events(*places: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame({"x_m": [EAST + x for x, _ in places], "y_m": [NORTH + y for _, y in places]})


def by_lixel(found: pd.DataFrame, segment: str) -> pd.Series:
    return found[found["segment_id"] == segment].set_index("lixel_number")["density_km"]


@pytest.mark.parametrize("split", ["discontinuous", "continuous"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_on_a_straight_street_it_is_the_kernel_in_one_dimension(kernel: Any, split: Any) -> None:
    road = streets([(0, 0), (330, 0)], [(330, 0), (1000, 0)])  # a junction of two is none
    found = network_kde(events((500.0, 3.0)), network=road, bandwidth_m=100.0, lixel_m=10.0, kernel=kernel, split=split)
    far = 400.0 if kernel == "gaussian" else 100.0
    assert len(found) == 2 * far / 10
    starts = found["lixel_number"] * 10 + np.where(found["segment_id"] == "b", 330, 0)
    wanted = [quad(lambda s: KERNELS_1D[kernel]((s - 500) / 100) / 100, a, a + 10, epsabs=1e-14)[0] * 100 for a in starts]
    assert found["density_km"].to_numpy() == pytest.approx(np.array(wanted), rel=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_holds_half_its_mass_on_each_side(kernel: str) -> None:
    number = KERNELS.index(kernel)
    assert mass(0.0, 50.0, number) == 0.0
    assert mass(200.0, 50.0, number) == pytest.approx(0.5, abs=1e-15)


def test_a_fork_by_hand() -> None:
    fork = streets([(0, 0), (100, 0)], [(100, 0), (200, 100)], [(100, 0), (200, -100)])
    given = {"network": fork, "bandwidth_m": 40.0, "lixel_m": 20.0, "kernel": "uniform"}
    # One row 20 m before the crossing of three streets; uniform: 1/80 per metre, 12.5 per km. Past the crossing 20 m are left.
    halves = network_kde(events((80.0, 0.0)), **given)
    assert by_lixel(halves, "a").to_dict() == pytest.approx({2: 12.5, 3: 12.5, 4: 12.5})
    piece = 100 * np.sqrt(2) / 8  # the diagonals have eight lixels each, the second is reached in part
    share = (20 - piece) / piece
    for street in "bc":
        assert by_lixel(halves, street).to_dict() == pytest.approx({0: 6.25, 1: 6.25 * share})
    # Continuous: 2/3 of the kernel goes on into each, 1/3 of it comes back as a reduction, so that all three agree at the crossing.
    smooth = network_kde(events((80.0, 0.0)), **given, split="continuous")
    assert by_lixel(smooth, "a").to_dict() == pytest.approx({2: 12.5, 3: 12.5, 4: 12.5 * 2 / 3})
    for street in "bc":
        assert by_lixel(smooth, street).to_dict() == pytest.approx({0: 12.5 * 2 / 3, 1: 12.5 * 2 / 3 * share})


def test_a_row_at_a_crossing_goes_alike_into_all_its_streets() -> None:
    cross = streets([(0, 0), (100, 0)], [(100, 0), (200, 0)], [(100, 0), (100, 90)])
    for split in ("discontinuous", "continuous"):
        found = network_kde(events((100.0, 0.0)), network=cross, bandwidth_m=40.0, lixel_m=50.0, kernel="uniform", split=split)
        assert found["density_km"].to_numpy() * found["length_m"].to_numpy() == pytest.approx(np.full(3, 1000 / 3))


def test_streets_meet_at_shared_vertices_and_not_where_they_only_cross() -> None:
    met = network_of(streets([(0, 0), (100, 0), (200, 0)], [(100, -50), (100, 0), (100, 50)]), "t")
    bridge = network_of(streets([(0, 0), (200, 0)], [(100, -50), (100, 50)]), "t")
    assert (len(met.row), len(met.out_from) - 1, met.row.tolist()) == (4, 5, [0, 0, 1, 1])
    assert (len(bridge.row), len(bridge.out_from) - 1) == (2, 4)


def test_lixels_follow_their_street_and_cover_it_once() -> None:
    net = network_of(streets([(0, 0), (30, 0), (30, 40), (90, 120)], [(30, 40), (30, 200)], [(0, 0), (0, 1)]), "t")
    lixels = lixels_of(net, 13.0)
    lines = lixels.lines(np.arange(len(lixels.edge)))
    assert shapely.length(lines) == pytest.approx(lixels.length_m)  # straight shortcuts would be shorter
    whole = shapely.union_all(net.lines())
    assert shapely.length(shapely.difference(whole, shapely.union_all(shapely.buffer(lines, 1e-6)))) == pytest.approx(0, abs=1e-5)
    some = np.array([1, 4, len(lines) - 1])
    assert shapely.equals(lixels.lines(some), lines[some]).all()


@pytest.fixture
def tangle() -> gpd.GeoDataFrame:
    """Return streets of whole metres with circles, a loop, twins, dead ends and crossings of three to five."""
    return streets(
        [(0, 0), (30, 0)],
        [(30, 0), (60, 0)],
        [(30, 0), (30, 20)],
        [(30, 20), (60, 20), (60, 0)],
        [(60, 0), (60, -15)],
        [(30, 20), (30, 44)],
        [(60, 0), (75, 0), (75, 20), (60, 20)],
        [(30, 0), (18, 0), (18, -9), (30, -9), (30, 0)],
        [(30, 0), (30, -5), (45, -5), (60, -5), (60, 0)],
    )


def stepped(net: Any, edge: int, at: int, h: float, kernel: str, split: str, cells: int) -> np.ndarray:
    """Return the density per metre of cells of one metre: a front in each direction, moved by a matrix one metre at a time."""
    length = np.round(net.length_m).astype(int)
    first = np.r_[0, np.cumsum(length)]
    total = first[-1]

    def arc(e: int, cell: int, back: bool) -> int:
        return int(first[e] + cell + (total if back else 0))

    steps: list[tuple[int, int, float]] = []
    halves = net.ends.ravel()
    for e, long in enumerate(length):
        for back in (False, True):
            for cell in range(long):
                ahead = cell - 1 if back else cell + 1
                if 0 <= ahead < long:
                    steps.append((arc(e, ahead, back), arc(e, cell, back), 1.0))
                    continue
                came = 2 * e + (0 if back else 1)  # the half that leads back
                meeting = np.flatnonzero(halves == halves[came]).tolist()
                for half in meeting:
                    n = len(meeting)
                    share = (2 / n - (half == came)) if split == "continuous" else (0.0 if half == came else 1 / (n - 1))
                    begin = length[half // 2] - 1 if half % 2 else 0
                    steps.append((arc(half // 2, begin, bool(half % 2)), arc(e, cell, back), share))
    rows, columns, shares = zip(*steps, strict=True)
    step = sparse.csr_matrix((shares, (rows, columns)), shape=(2 * total, 2 * total))
    front = np.zeros(2 * total)
    if 0 < at < length[edge]:
        front[[arc(edge, at, False), arc(edge, at - 1, True)]] = 1.0
    else:
        meeting = np.flatnonzero(halves == net.ends[edge][0 if at == 0 else 1]).tolist()
        for half in meeting:
            front[arc(half // 2, length[half // 2] - 1 if half % 2 else 0, bool(half % 2))] += 2 / len(meeting)
    out = np.zeros(total)
    for metre in range(cells):
        held = quad(lambda s: KERNELS_1D[kernel](s / h) / h, metre, metre + 1, epsabs=1e-14)[0]
        out += held * (front[:total] + front[total:])
        front = step @ front
    return out


@pytest.mark.parametrize("split", ["discontinuous", "continuous"])
@pytest.mark.parametrize(("kernel", "h"), [("quartic", 90.0), ("epanechnikov", 70.0), ("gaussian", 15.0)])
def test_fronts_stepped_through_the_streets_give_the_same(tangle: gpd.GeoDataFrame, kernel: Any, h: float, split: Any) -> None:
    net = network_of(tangle, "t")
    lixels = lixels_of(net, 1.0)
    reach = int(4 * h if kernel == "gaussian" else h)
    for edge, at in ((1, 11), (0, 0), (3, 25), (7, 40), (2, 20), (5, 7)):
        found, _ = density(lixels, [edge], [float(at)], [1.0], h, kernel, is_continuous=split == "continuous")
        assert found == pytest.approx(stepped(net, edge, at, h, kernel, split, reach), rel=1e-9, abs=1e-14)


def crooked(wide: int, step: float, shaken: float) -> list[Any]:
    """Return the streets of a chessboard whose corners are shaken, so that no two ways are of one length."""
    rng = np.random.default_rng(9)
    marks = np.arange(wide) * step
    corners = np.stack(np.meshgrid(marks, marks, indexing="ij"), axis=-1) + rng.uniform(-shaken, shaken, (wide, wide, 2))
    return [line.tolist() for line in (*corners, *corners.transpose(1, 0, 2))]


def walked(net: Any, lixels: Any, edge: int, at: float, h: float, split: str) -> np.ndarray:
    """Return the density of a quartic kernel by walking every path there is, each with its own length."""
    out, halves = np.zeros(len(lixels.edge)), net.ends.ravel()

    def walk(half: int, d: float, share: float) -> None:
        e = half // 2
        size, count, end = net.length_m[e] / lixels.count[e], lixels.count[e], d + net.length_m[e]
        for j in range(count):
            low, high = (min(max(d + (j + k) * size, 0.0), h) for k in (0, 1))
            out[lixels.first[e] + (count - 1 - j if half % 2 else j)] += share * (mass(high, h, 0) - mass(low, h, 0)) / size
        if end >= h:
            return
        meeting = np.flatnonzero(halves == halves[half ^ 1]).tolist()
        n = len(meeting)
        for other in meeting:
            part = 2 / n - (other == half ^ 1) if split == "continuous" else (0.0 if other == half ^ 1 else 1 / (n - 1))
            if part:
                walk(other, end, share * part)

    walk(2 * edge, -at, 1.0)
    walk(2 * edge + 1, at - net.length_m[edge], 1.0)
    return out


@pytest.mark.parametrize("split", ["discontinuous", "continuous"])
def test_paths_of_any_length_that_go_on_together_are_those_that_go_alone(split: Any) -> None:
    net = network_of(streets(*crooked(4, 40.0, 9.0)), "t")
    assert len(net.row) == 24
    lixels = lixels_of(net, 5.0)
    for edge, at in ((4, 11.3), (13, 30.1), (20, 3.0)):
        alone = walked(net, lixels, edge, at, 160.0, split)
        together, _ = density(lixels, [edge], [at], [1.0], 160.0, is_continuous=split == "continuous")
        assert np.abs(together - alone).max() < 1e-5 * alone.max()


@pytest.mark.parametrize("lixel_m", [1.0, 7.0, 1000.0])
def test_mass_is_the_number_of_rows_and_what_dead_ends_lose_is_told(tangle: gpd.GeoDataFrame, lixel_m: float) -> None:
    rng = np.random.default_rng(5)
    places = pd.DataFrame({"x_m": EAST + rng.uniform(0, 75, 40), "y_m": NORTH + rng.uniform(-15, 44, 40), "w": rng.uniform(0.5, 2, 40)})
    sums = {}
    for split in ("discontinuous", "continuous"):
        with noted() as notes:
            found = network_kde(places, network=tangle, bandwidth_m=60.0, lixel_m=lixel_m, split=split, weight="w")
        assert notes["row_count"] == 40
        sums[split] = (found["density_km"] * found["length_m"]).sum() / 1000
        assert sums[split] + notes["lost_count"] == pytest.approx(places["w"].sum(), rel=1e-5)
        assert (notes["lost_count"] == 0) == (split == "continuous")
    assert sums["discontinuous"] < 0.99 * places["w"].sum()
    ring = streets([(0, 0), (300, 0), (300, 300)], [(300, 300), (0, 300), (0, 0)], [(0, 0), (300, 300)])
    spread = network_kde(events((40.0, 0.0), (300.0, 200.0)), network=ring, bandwidth_m=250.0)
    assert (spread["density_km"] * spread["length_m"]).sum() / 1000 == pytest.approx(2.0, rel=1e-4)


def test_the_order_of_rows_and_streets_changes_no_bit(tangle: gpd.GeoDataFrame) -> None:
    rng = np.random.default_rng(6)
    places = pd.DataFrame({"x_m": EAST + rng.uniform(0, 75, 60), "y_m": NORTH + rng.uniform(-15, 44, 60)})
    one = network_kde(places, network=tangle, bandwidth_m=60.0)
    two = network_kde(places.sample(frac=1, random_state=1), network=tangle.sample(frac=1, random_state=2), bandwidth_m=60.0)
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_kinds_of_frames_give_the_same_and_far_rows_are_counted(tangle: gpd.GeoDataFrame) -> None:
    places = events((20.0, 4.0), (33.0, 30.0), (500.0, 500.0))
    with noted() as notes:
        plain = network_kde(places, network=tangle, bandwidth_m=40.0, snap_m=20.0)
    assert (notes["row_count"], notes["dropped_count"]) == (2, 1)
    geo = gpd.GeoDataFrame(geometry=gpd.points_from_xy(places["x_m"], places["y_m"]), crs="EPSG:4549")
    here = network_kde(geo.to_crs("EPSG:4490"), network=tangle, bandwidth_m=40.0, snap_m=20.0)
    assert here.crs.to_epsg() == 4490
    assert here["density_km"].to_numpy() == pytest.approx(plain["density_km"].to_numpy(), rel=1e-6)
    lines = here.to_crs("EPSG:4549").geometry
    assert lines.length.to_numpy() == pytest.approx(here["length_m"].to_numpy(), abs=1e-5)
    degrees = tangle.to_crs("EPSG:4490")
    wkb = pd.DataFrame({"entity_id": degrees["entity_id"], "geom": degrees.geometry.to_wkb()})
    same = network_kde(places, network=wkb, bandwidth_m=40.0, snap_m=20.0)
    assert same["density_km"].to_numpy() == pytest.approx(plain["density_km"].to_numpy(), rel=1e-6)


def test_what_cannot_be_answered_is_refused(tangle: gpd.GeoDataFrame) -> None:
    near, given = events((20.0, 4.0)), {"network": tangle, "bandwidth_m": 40.0}
    square = gpd.GeoDataFrame({"entity_id": ["sq"]}, geometry=[shapely.box(EAST, NORTH, EAST + 9, NORTH + 9)], crs="EPSG:4549")
    with pytest.raises(SanyuError, match=r"SY-N040.*'sq'"):
        network_kde(near, network=square, bandwidth_m=40.0)
    with pytest.raises(SanyuError, match="SY-N041"):
        network_kde(events((900.0, 900.0)), **given)
    with pytest.raises(SanyuError, match="SY-N032"):
        network_kde(near, network=tangle.iloc[:0], bandwidth_m=40.0)
    with pytest.raises(SanyuError, match="SY-N032"):
        network_kde(near.iloc[:0], **given)
    with pytest.raises(SanyuError, match="SY-N030"):
        network_kde(near, network=tangle, bandwidth_m=0.0)
    with pytest.raises(SanyuError, match="SY-N035"):
        network_kde(near, **given, split="simple")  # type: ignore[arg-type]
    with pytest.raises(SanyuError, match="SY-N010"):
        network_kde(near, network=pd.DataFrame({"entity_id": ["a"], "lon": [120.0], "lat": [30.0]}), bandwidth_m=40.0)


def test_a_continuous_kernel_whose_parts_no_longer_cancel_is_refused() -> None:
    ways = crooked(40, 5.0, 1.0)
    given = {"network": streets(*ways), "bandwidth_m": 150.0}
    with pytest.raises(SanyuError, match="SY-N042"):
        network_kde(events((101.0, 100.3)), **given, split="continuous")
    found = network_kde(events((101.0, 100.3)), **given)
    assert (found["density_km"] * found["length_m"]).sum() / 1000 == pytest.approx(1, rel=1e-4)  # its corners are no dead ends


def test_the_picture_is_of_streets_in_their_colours(tangle: gpd.GeoDataFrame) -> None:
    found = network_kde(events((20.0, 4.0), (33.0, 30.0)), network=tangle, bandwidth_m=40.0)
    figure = plot(found)
    drawn = figure.axes[0].collections[0]
    assert len(drawn.get_paths()) == len(found)
    assert sorted(drawn.get_array()) == pytest.approx(sorted(found["density_km"]))
    assert "per km" in figure.axes[1].get_xlabel()
