"""Entity and stamp ids: what they look like, and that the same input gives the same text."""

from __future__ import annotations

import re

import pyarrow as pa

from schemas.basemap.building import CONTRACT as BUILDING
from schemas.basemap.place import CONTRACT as PLACE
from schemas.model import Contract
from transforms.stamp.identity import entity_ids, stamp_ids

ID = re.compile(r"^(\d{6})-([0-9A-Z]+|-)-([A-Z_]+)-[0-9A-HJKMNP-TV-Z]{10}$")


def ids(
    keys: list[str], contract: Contract = BUILDING, division: str | None = "330102001001", grid: str | None = "N51H0051234567A"
) -> list[str]:
    count = len(keys)
    made = entity_ids(contract, pa.array([division] * count), pa.array([grid] * count), pa.array(["osm"] * count), pa.array(keys))
    return list(made.to_pylist())


def test_id_tells_division_grid_and_theme() -> None:
    [made] = ids(["way/1"])
    found = ID.match(made)
    assert found
    assert found.groups() == ("330102", "N51H0051234", "BUILDING")


def test_id_is_the_same_on_any_machine() -> None:
    """A changed id would give every thing in every lake a new identity."""
    assert ids(["way/1"]) == ["330102-N51H0051234-BUILDING-3C57FET9VC"]


def test_a_place_without_division_or_grid_has_an_id() -> None:
    assert ids(["x"], division=None, grid=None)[0].startswith("000000---BUILDING-")


def test_keys_and_contracts_tell_ids_apart() -> None:
    made = {*ids([f"way/{i}" for i in range(20_000)]), *ids(["way/1"], PLACE)}
    assert len(made) == 20_001
    assert all(ID.match(one) for one in made)


def test_stamp_changes_with_entity_start_and_content() -> None:
    base = ("e", 1_700_000_000_000_000, "h")
    rows = [base, ("f", *base[1:]), ("e", base[1] + 1, "h"), ("e", base[1], "i")]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    made = stamp_ids(*columns).to_pylist()
    assert len(set(made)) == 4
    instants = columns[1].cast(pa.timestamp("us", "UTC"))
    assert stamp_ids(columns[0], instants, columns[2]).to_pylist() == made
