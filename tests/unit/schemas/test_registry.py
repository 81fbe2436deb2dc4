"""The registry: ours are all there, a user's file is taken or refused with its name."""

import ast
import re
from pathlib import Path

import pytest

from schemas.messages import SanyuError
from schemas.model import GeometryKind, History
from schemas.registry import contracts, find_contract, read_contracts

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "docs/contracts.md").read_text("utf-8"), re.S)


def example() -> str:
    assert EXAMPLE is not None
    return EXAMPLE.group(1)


def test_all_tables_of_the_first_issue_are_described() -> None:
    basemap = (
        "address address_alias address_element_alias boundary building division green_land place road_segment "
        "transit_route transit_stop transit_stop_time transit_trip water"
    )
    wanted = {f"core.basemap__{e}" for e in basemap.split()}
    wanted |= {f"core.thematic__{e}" for e in ("economic_indicator", "event", "legal_person", "permit", "population")}
    wanted |= {"mart.basemap__address_match", "mart.basemap__address_review"}
    wanted |= {"mart.basemap__division_profile", "mart.thematic__firm_profile"}
    wanted |= {f"raw.ops__{e}" for e in ("ledger", "file", "bridge")}
    assert {name for name, c in contracts().items() if c.domain != "mining"} == wanted


def test_a_contract_stands_in_the_file_that_its_name_says() -> None:
    for c in contracts().values():
        if c.layer == "core":
            source = (ROOT / "schemas" / c.domain / f"{c.entity}.py").read_text("utf-8")
            assert c.name in source
            said = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
            assert all(part in said for part in ("Source:", "Lateness:", "Left out:")), c.name


def test_what_matching_and_checks_name_are_columns_of_the_contract() -> None:
    for c in contracts().values():
        names = {column.name for column in c.columns}
        assert {k.field for k in c.checks} <= names, c.name
        assert set(c.matching.attributes if c.matching else ()) <= names, c.name
        assert c.matching is None or (c.geometry is not None and c.history is History.ENTITY)


def test_things_whose_keys_change_have_a_rule_to_know_them_again() -> None:
    for entity in ("building", "road_segment", "place", "water", "green_land", "boundary"):
        assert contracts()[f"core.basemap__{entity}"].matching is not None


def test_geometry_kinds() -> None:
    kinds = {c.entity: c.geometry.kind for c in contracts().values() if c.geometry}
    assert kinds["building"] is GeometryKind.POLYGON
    assert kinds["road_segment"] is GeometryKind.LINE
    assert kinds["water"] is GeometryKind.ANY
    assert "transit_trip" not in kinds


@pytest.mark.parametrize(
    ("asked", "near"), [("core.basemap__bulding", "core.basemap__building"), ("road_segmnt", "core.basemap__road_segment")]
)
def test_an_unknown_table_is_told_with_the_nearest_name(asked: str, near: str) -> None:
    with pytest.raises(SanyuError) as told:
        find_contract(asked)
    assert told.value.code == "SY-K001"
    assert told.value.params == {"name": asked, "near": near}


def test_the_example_of_the_docs_is_a_contract(tmp_path: Path) -> None:
    (tmp_path / "bench_seat.py").write_text(example(), "utf-8")
    (tmp_path / "_draft.py").write_text("this is no Python", "utf-8")
    found = contracts(tmp_path)
    assert set(found) - set(contracts()) == {"core.basemap__bench_seat"}
    assert find_contract("core.basemap__bench_seat", found).required == ("seat_count",)


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("CONTRACT = ", "TABLE = ", "SY-K004", "no CONTRACT"),
        ("core.basemap__bench_seat", "core.furniture__bench_seat", "SY-K004", "core.furniture__bench_seat"),
        ("grain=", "grian=", "SY-K004", "required"),
        ("(Column(", "((Column(", "SY-K004", "SyntaxError"),
        ("minimum=1, ", "code_list='shades', ", "SY-K004", "shades"),
        ("core.basemap__bench_seat", "core.basemap__building", "SY-K005", "schemas/basemap/building.py"),
    ],
)
def test_a_bad_contract_file_is_refused_with_its_name_and_the_reason(tmp_path: Path, old: str, new: str, code: str, said: str) -> None:
    assert old in example()
    (tmp_path / "bench_seat.py").write_text(example().replace(old, new), "utf-8")
    with pytest.raises(SanyuError) as told:
        contracts(tmp_path)
    assert told.value.code == code
    assert told.value.params["file"] == "bench_seat.py"
    assert said in str(told.value)


def test_a_broken_contract_of_the_user_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("CONTRACT = 1 / 0\n", "utf-8")
    found, wrong = read_contracts(tmp_path)
    assert "core.basemap__place" in found
    assert list(wrong) == ["broken.py"]
    assert "ZeroDivisionError" in str(wrong["broken.py"])
    with pytest.raises(SanyuError, match="SY-K004"):
        contracts(tmp_path)
