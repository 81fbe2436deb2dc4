import json
import re

import numpy as np
import pandas as pd
import pytest

from demo import gazetteer
from demo.gazetteer import faults, national


@pytest.fixture(scope="module")
def city() -> gazetteer.Gazetteer:
    return gazetteer.build()


@pytest.fixture(scope="module")
def truth(city: gazetteer.Gazetteer) -> gazetteer.Truth:
    return gazetteer.truth(city, per_kind=24)


def test_the_same_seed_gives_the_same_tables(city, truth):
    again = gazetteer.build()
    assert again.table.equals(city.table)
    assert again.element_aliases.equals(city.element_aliases)
    pd.testing.assert_frame_equal(gazetteer.truth(again, per_kind=24).queries, truth.queries)


def test_every_fault_has_its_share_of_queries(truth):
    counts = truth.queries["kind"].value_counts()
    assert set(faults.FAULTS) <= set(counts.index)
    assert (counts[list(faults.FAULTS)] == 24).all()


def test_what_is_expected_is_in_the_gazetteer_and_what_is_absent_is_not(city, truth):
    known = dict(zip(city.table["entity_id"].to_pylist(), city.table["address_text"].to_pylist(), strict=True))
    asked = truth.queries
    answered = asked[asked["expected_id"].notna()]
    assert len(answered) > 600
    assert all(known[i] == text for i, text in zip(answered["expected_id"], answered["expected_standard"], strict=True))
    absent = asked[asked["kind"] == "absent_school"]
    names = set(city.table["name"].to_pylist())
    assert len(absent) > 15
    assert not any(re.search("[^省城区道]+区第.+", text)[0] in names for text in absent["query"] if re.search("[^省城区道]+区第.+", text))


def test_refused_queries_have_no_expected_coordinate_but_what_is_held_out(truth):
    refused = truth.queries[(truth.queries["expected_status"] == "U") & ~truth.queries["kind"].str.startswith("absent")]
    assert len(refused) > 100
    assert refused["lon"].isna().all()
    assert refused["expected_class"].notna().all()


def test_tied_queries_name_at_least_two_candidates(truth):
    tied = truth.queries[truth.queries["expected_status"] == "T"]
    assert len(tied) > 15
    assert all(len(json.loads(text)["candidates"]) > 1 for text in tied["pieces"])


def test_spans_of_running_text_are_where_they_say(truth):
    for text, spans in zip(truth.stories["text"], truth.stories["spans"], strict=True):
        for span in json.loads(spans):
            assert text[span["start"] : span["end"]] == span["text"]


def test_lanes_of_two_districts_share_names(city):
    table = city.table.to_pandas()
    roads = table[table["kind"] == "road"]
    twins = roads[roads.duplicated("road_name", keep=False)]
    assert len(twins) >= 8
    assert (twins.groupby("road_name")["district_name"].nunique() == 2).all()


def test_the_county_before_the_reform_has_other_codes_for_the_same_ground(city):
    frame = city.divisions.to_pandas()
    before, now = frame[frame["name"] == "新港县"].iloc[0], frame[frame["name"] == "新港区"].iloc[0]
    assert (before["division_code"], now["division_code"]) == ("390121000000", "390104000000")
    assert before["valid_to_on"] == now["valid_from_on"]
    assert before["geom"] == now["geom"]


def test_reverse_points_outside_have_no_division(truth):
    outside = truth.reverse["expected_code"] == "outside_area"
    assert 0.05 < outside.mean() < 0.2
    assert truth.reverse.loc[outside, "expected_division_code"].isna().all()
    old = truth.reverse[(truth.reverse["at"] == "2020-06-01") & truth.reverse["expected_division_code"].fillna("").str.startswith("390121")]
    assert len(old) >= 1


@pytest.mark.parametrize(
    ("number", "text"), [(3, "三"), (10, "十"), (12, "十二"), (20, "二十"), (105, "一百零五"), (110, "一百一十"), (1005, "一千零五")]
)
def test_numbers_in_chinese(number, text):
    assert faults.chinese(number) == text


def test_faults_leave_sections_and_numbers_alone():
    pieces = [("road", "东湖西路"), ("door", "12号")]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        for kind in ("homophone", "lookalike", "dropped", "swapped", "repeated"):
            changed = faults.FAULTS[kind](pieces, rng)
            if changed is not None:
                assert changed[0][1].startswith("东")
                assert changed[0][1].endswith("西路")
                assert changed[1] == ("door", "12号")


def test_national_queries_ask_alone_only_for_districts_of_one_name():
    frame = pd.DataFrame(
        [("浙江省", "杭州市", "西湖区", "330106"), ("江西省", "南昌市", "西湖区", "360103"), ("浙江省", "杭州市", "余杭区", "330110")],
        columns=["province", "city", "district", "code"],
    )
    asked = national.queries(frame, seed=1, count=80)
    alone = asked[asked["kind"] == "district_only"]
    assert set(alone["district"]) == {"余杭区"}
    assert asked["division_code"].str.fullmatch("[0-9]{12}").all()


def test_a_dense_city_has_about_as_many_doors_as_asked():
    city = gazetteer.build(doors=20_000)
    table = city.table.to_pandas()
    doors = table[table["kind"] == "door"]
    assert 18_000 < len(doors) < 22_000
    assert not doors.duplicated(["district_name", "road_name", "door_number"]).any()
