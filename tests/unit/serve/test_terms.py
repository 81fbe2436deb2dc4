"""Licences as sources write them, and what several of them ask of one table."""

from __future__ import annotations

import pytest

from sanyu.serve.terms import licence, terms


@pytest.mark.parametrize(
    ("name", "spdx", "url"),
    [
        ("ODbL 1.0", "ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
        ("cc-by-sa-3.0", "CC-BY-SA-3.0", "https://creativecommons.org/licenses/by-sa/3.0/"),
        ("CC0-1.0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("PDDL-1.0 (to be confirmed)", None, "https://opendatacommons.org/licenses/pddl/1-0/"),
        ("Caltrain open feed terms (to be confirmed)", None, None),
        ("none", None, None),
    ],
)
def test_a_licence_is_known_by_its_name_and_certain_only_without_a_reservation(name: str, spdx: str | None, url: str | None) -> None:
    found = licence(name)
    assert (found.name, found.spdx, found.url) == (name, spdx, url)


def test_one_undemanding_licence_says_it_all() -> None:
    found = terms(["CC-BY-4.0", "CC-BY-4.0"], is_derived=True)
    assert (found.expression, found.statements) == ("CC-BY-4.0", ())


def test_an_unknown_licence_makes_the_whole_other() -> None:
    assert terms(["CC-BY-4.0", "terms of ours"], is_derived=False).expression == "other"
    assert terms([], is_derived=False).expression == "other"


def test_one_share_alike_licence_governs_what_is_derived() -> None:
    assert terms(["ODbL-1.0"], is_derived=True).statements == (
        "Share-alike: this table is a derived database and is offered under ODbL-1.0",
    )
    assert terms(["ODbL-1.0"], is_derived=False).statements == (
        "Share-alike: a database that is made from rows under ODbL-1.0 has to be offered under it",
    )


def test_two_share_alike_licences_are_a_conflict_that_is_told() -> None:
    (joint, conflict) = terms(["ODbL-1.0", "CC-BY-SA-3.0"], is_derived=True).statements
    assert joint.startswith("Derived from rows under CC-BY-SA-3.0 and ODbL-1.0")
    assert conflict.startswith("Share-alike licences differ: CC-BY-SA-3.0 and ODbL-1.0")
    assert conflict.endswith("ask the publishers before you pass this table on")


def test_limits_on_changes_and_commerce_are_told() -> None:
    found = terms(["CC BY-NC-ND 4.0"], is_derived=False).statements
    assert found == ("CC BY-NC-ND 4.0 forbids passing on changed data", "CC BY-NC-ND 4.0 forbids commercial use")
