"""The row checks of the contracts, run on literal rows in DuckDB, whose dialect these expressions share with Spark."""

from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from schemas.fields import CREDIT_CODE, fields_of
from schemas.model import Contract, DType
from schemas.registry import contracts

TYPES = {
    DType.STRING: "varchar",
    DType.INTEGER: "integer",
    DType.LONG: "bigint",
    DType.DOUBLE: "double",
    DType.DATE: "date",
    DType.BOOLEAN: "boolean",
}
CHECKS = [(c, k.name) for c in contracts().values() for k in c.checks]


def passes(contract: Contract, check: str, **row: Any) -> bool | None:
    """Evaluate one check on a row; columns not given are null."""
    (rule,) = (k for k in contract.checks if k.name == check)
    columns = [f for f in fields_of(contract) if f.dtype in TYPES]
    values = ", ".join(f"cast(? as {TYPES[f.dtype]}) as {f.name}" for f in columns)
    found = duckdb.execute(f"select {rule.expression} from (select {values})", [row.get(f.name) for f in columns]).fetchone()
    assert found is not None
    told: bool | None = found[0]
    return told


@pytest.mark.parametrize(("contract", "name"), CHECKS, ids=lambda v: getattr(v, "name", v))
def test_a_check_reads_only_columns_of_its_table(contract: Contract, name: str) -> None:
    (rule,) = (k for k in contract.checks if k.name == name)
    read = {c.name for c in sqlglot.parse_one(rule.expression, read="spark").find_all(exp.Column)}
    assert read
    assert read <= {f.name for f in fields_of(contract)}


@pytest.mark.parametrize(
    ("contract", "name"), [c for c in CHECKS if c[1] not in ("says_where", "has_a_name", "balances")], ids=lambda v: getattr(v, "name", v)
)
def test_a_check_lets_pass_what_is_not_given(contract: Contract, name: str) -> None:
    assert passes(contract, name) is not False


@pytest.mark.parametrize(
    ("table", "check", "good", "bad"),
    [
        ("core.basemap__building", "height_fits_floors", {"height_m": 18.0, "floors_above": 6}, {"height_m": 9.0, "floors_above": 6}),
        ("core.basemap__building", "height_fits_floors", {"height_m": 3.0, "floors_above": 0}, {"height_m": 90.0, "floors_above": 2}),
        (
            "core.basemap__division",
            "level_fits_code",
            {"division_code": "330106000000", "division_level": 3},
            {"division_code": "330106001000", "division_level": 3},
        ),
        (
            "core.basemap__division",
            "level_fits_code",
            {"division_code": "330000000000", "division_level": 1},
            {"division_code": "330106001004", "division_level": 4},
        ),
        (
            "core.basemap__division",
            "validity_in_order",
            {"valid_from_on": "2020-01-01", "valid_to_on": "2021-01-01"},
            {"valid_from_on": "2020-01-01", "valid_to_on": "2020-01-01"},
        ),
        ("core.basemap__address", "says_where", {"road_name": "文三路", "door_number": "90号"}, {"road_name": "文三路"}),
        ("core.basemap__transit_route", "has_a_name", {"short_name": "B1"}, {}),
        (
            "core.basemap__transit_stop_time",
            "leaves_after_arriving",
            {"arrival_s": 90000, "departure_s": 90000},
            {"arrival_s": 90000, "departure_s": 89999},
        ),
        (
            "core.thematic__permit",
            "expires_after_issue",
            {"issued_on": "2024-06-01", "expires_on": "2024-06-01"},
            {"issued_on": "2024-06-01", "expires_on": "2023-06-01"},
        ),
        (
            "core.thematic__population",
            "sexes_sum_up",
            {"population_count": 5, "male_count": 2, "female_count": 3},
            {"population_count": 6, "male_count": 2, "female_count": 3},
        ),
        (
            "core.thematic__economic_indicator",
            "starts_in_period",
            {"period": "2024Q3", "period_start_on": "2024-07-01"},
            {"period": "2024Q3", "period_start_on": "2023-07-01"},
        ),
    ],
)
def test_good_rows_pass_and_bad_rows_do_not(table: str, check: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert passes(contracts()[table], check, **good) is True
    assert passes(contracts()[table], check, **bad) is False


# Codes printed by the firms themselves: Tencent, Huawei, Alibaba (China).
@pytest.mark.parametrize("code", ["9144030071526726XG", "914403001922038216", "91330100799655058B"])
def test_published_credit_codes_pass_and_any_one_wrong_character_is_found(code: str) -> None:
    firm = contracts()["core.thematic__legal_person"]
    assert passes(firm, "check_digit", credit_code=code) is True
    for place in range(18):
        wrong = code[:place] + ("1" if code[place] != "1" else "2") + code[place + 1 :]
        assert passes(firm, "check_digit", credit_code=wrong) is False, wrong


@pytest.mark.parametrize("code", ["91440300192203821", "91440300I922038216", "9144030019220382166", "91440300192203821o"])
def test_what_is_no_credit_code_does_not_have_its_form(code: str) -> None:
    pattern = CREDIT_CODE.pattern
    found = duckdb.execute("select regexp_matches(?, ?), regexp_matches('914403001922038216', ?)", [code, pattern, pattern]).fetchone()
    assert found == (False, True)
