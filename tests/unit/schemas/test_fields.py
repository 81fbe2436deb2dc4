"""The field dictionary: one quantity, one name, and names that follow the rule."""

from schemas import fields, mining, ops, raw, stamp
from schemas.model import DType
from schemas.registry import contracts

SUFFIX = {"_on": DType.DATE, "_at": DType.TIMESTAMP, "_code": DType.STRING, "_name": DType.STRING, "_text": DType.STRING}
UNIT = {"_m": "m", "_kmh": "km/h", "_s": "s", "_cny": "CNY", "_bytes": "byte"}


def test_every_column_of_every_contract_is_in_a_dictionary() -> None:
    known = {**ops.OWN, **fields.OWN, **mining.dictionary(), **{f.name: f for f in stamp.STAMP}}
    used = {c.name: c.field for t in contracts().values() for c in t.columns}
    assert len(used) > 80
    assert not set(used) - set(known)


def test_one_name_means_one_type_and_unit_in_all_tables() -> None:
    seen: dict[str, set[tuple[DType, str | None]]] = {}
    for table in contracts().values():
        for f in fields.fields_of(table):
            seen.setdefault(f.name, set()).add((f.dtype, f.unit))
    assert {name: kinds for name, kinds in seen.items() if len(kinds) > 1} == {}


def test_names_end_in_what_they_hold() -> None:
    for f in (*fields.OWN.values(), *ops.OWN.values()):
        for suffix, dtype in SUFFIX.items():
            assert not f.name.endswith(suffix) or f.dtype is dtype, f.name
        for suffix, unit in UNIT.items():
            assert not f.name.endswith(suffix) or f.unit == unit, f.name
        assert (f.dtype is DType.BOOLEAN) == f.name.startswith(("is_", "has_")), f.name


def test_every_dictionary_field_is_used_by_a_contract() -> None:
    used = {c.name for t in contracts().values() for c in t.columns}
    assert set(fields.OWN) - used == set()


def test_a_name_from_the_wild_finds_its_field() -> None:
    assert fields.nearest("building:levels") is fields.FLOORS_ABOVE
    assert fields.nearest(" 统一社会信用代码") is fields.CREDIT_CODE
    assert fields.nearest("HEIGHT") is fields.HEIGHT_M
    assert fields.nearest("no_such_column") is None


def test_a_raw_table_has_no_stamp_and_a_core_table_ends_in_geom() -> None:
    assert [f.name for f in fields.fields_of(raw.raw_contract("basemap", "demo"))] == [f.name for f, _ in raw.COLUMNS]
    building = [f.name for f in fields.fields_of(contracts()["core.basemap__building"])]
    assert building[:2] == ["entity_id", "stamp_id"]
    assert building[-1] == "geom"
    assert building.count("class_code") == 1


def test_a_stamp_column_that_the_contract_lists_comes_with_its_pattern() -> None:
    division = {f.name: f for f in fields.fields_of(contracts()["core.basemap__division"])}
    road = {f.name: f for f in fields.fields_of(contracts()["core.basemap__road_segment"])}
    assert division["division_code"].pattern == fields.TWELVE_DIGITS
    assert road["division_code"].pattern is None
