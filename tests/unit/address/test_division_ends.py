"""A text that ends in a division's name, whole or short, is read to its end and not beyond."""

from __future__ import annotations

import pytest

from sanyu.address.engine import AddressEngine


@pytest.fixture(scope="module")
def engine() -> AddressEngine:
    return AddressEngine.build()


@pytest.mark.parametrize(("text", "code"), [("北京", "110000000000"), ("杭州", "330100000000"), ("浙江省杭州", "330100000000")])
def test_a_short_name_at_the_end_is_a_division(engine: AddressEngine, text: str, code: str) -> None:
    found = engine.parse(text)
    assert (found.division_code, found.rest) == (code, "")


def test_no_name_of_the_country_is_read_beyond_its_end(engine: AddressEngine) -> None:
    names = {name for name in engine._matcher.table._names if len(name) > 1}
    assert len(names) > 3_000
    for name in names:
        for element in engine.parse(name).elements:
            assert element.end <= len(name), name
