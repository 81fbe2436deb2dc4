"""Latin-script addresses on a small town: three streets east-west, three north-south, doors on some."""

from __future__ import annotations

import pyarrow as pa
import pyproj
import pytest
import shapely

from transforms.address.latin import LatinIndex
from transforms.address.latin_text import Street, parse_block, parse_latin, parse_street
from transforms.address.model import Status

GEOD = pyproj.Geod(ellps="GRS80")
LON = {"1st Street": -122.400, "2nd Street": -122.398, "3rd Street": -122.396}
LAT = {"Bay Street": 37.780, "Van Ness Avenue": 37.7815, "South Van Ness Avenue": 37.783}


def town() -> pa.Table:
    """Bay Street has numbers 100 at 1st to 300 at 3rd, odd on the north; the others have none. Two roads are named Oak."""
    rows = []
    for name, lon in LON.items():
        rows.append((name, "road", name, None, None, None, shapely.LineString([(lon, 37.778), (lon, 37.785)])))
    for name, lat in LAT.items():
        rows.append((name, "road", name, None, None, None, shapely.LineString([(-122.402, lat), (-122.394, lat)])))
    rows.append(("oak1", "road", "Oak Street", None, None, None, shapely.LineString([(-122.41, 37.78), (-122.41, 37.79)])))
    rows.append(("oak2", "road", "Oak Lane", None, None, None, shapely.LineString([(-122.42, 37.78), (-122.42, 37.79)])))
    for number in (100, 101, 150, 151, 200, 201, 250, 251, 300, 301):
        lon, lat = -122.400 + (number - 100) * 0.00002, 37.780 + (0.0002 if number % 2 else -0.0002)
        rows.append((f"d{number}", "door", "Bay Street", str(number), lon, lat, None))
    names = ("entity_id", "kind", "road_name", "door_number", "lon", "lat", "geom")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    columns["geom"] = [None if g is None else shapely.to_wkb(g) for g in columns["geom"]]
    return pa.table(columns)


@pytest.fixture(scope="module")
def index() -> LatinIndex:
    return LatinIndex.build(town(), ("CA", "SAN FRANCISCO"))


@pytest.mark.parametrize(
    ("text", "street"),
    [
        ("TAYLOR ST", Street("", "TAYLOR", "STREET")),
        ("S. Van Ness Ave.", Street("SOUTH", "VAN NESS", "AVENUE")),
        ("03RD ST", Street("", "3RD", "STREET")),
        ("Third Street", Street("", "3RD", "STREET")),
        ("The Embarcadero", Street("", "EMBARCADERO", "")),
        ("Broadway", Street("", "BROADWAY", "")),
        ("Mission Bay Blvd South", Street("SOUTH", "MISSION BAY", "BOULEVARD")),
        ("O'Farrell St", Street("", "OFARRELL", "STREET")),
        ("Saint Francis Pl", Street("", "ST FRANCIS", "PLACE")),
    ],
)
def test_streets_are_read_in_parts(text, street):
    assert parse_street(text) == street


@pytest.mark.parametrize(
    ("text", "number", "keys", "unit"),
    [
        ("151 Bay St Apt 4B, San Francisco, CA 94103", 151, ["BAY STREET"], "4B"),
        ("1500-1510 BAY STREET #12", 1500, ["BAY STREET"], "12"),
        ("Bay St & 3rd St", None, ["BAY STREET", "3RD STREET"], None),
        ("corner of Bay and 3rd", None, ["BAY", "3RD"], None),
        ("3rd Street", None, ["3RD STREET"], None),
    ],
)
def test_addresses_are_read_in_parts(text, number, keys, unit):
    found = parse_latin(text, ("CA", "SAN FRANCISCO"))
    assert (found.number, [s.key for s in found.streets], found.unit) == (number, keys, unit)


def test_a_block_is_read_in_parts():
    block = parse_block("TAYLOR ST: BAY ST to NORTH POINT ST (2500 - 2599)")
    assert (block.street.key, block.first.key, block.second.key, block.low, block.high) == (
        "TAYLOR STREET", "BAY STREET", "NORTH POINT STREET", 2500, 2599,
    )  # fmt: skip
    assert parse_block("TAYLOR ST") is None


def test_a_door_is_found_whatever_the_spelling(index):
    for text in ("151 Bay Street", "151 BAY ST.", "151 bay st, San Francisco CA 94103", "151 Bay"):
        found = index.match(text)
        assert (found.status, found.precision, found.entity_id) == (Status.MATCHED, "door", "d151")


def test_a_number_between_doors_is_interpolated(index):
    found = index.match("175 Bay St")
    assert (found.status, found.precision) == (Status.MATCHED, "interpolated")
    assert GEOD.inv(found.lon, found.lat, -122.3985, 37.78)[2] < 25


def test_a_street_without_doors_counts_as_its_parallels_do(index):
    found = index.match("250 Van Ness Ave")
    assert found.precision == "interpolated"
    assert GEOD.inv(found.lon, found.lat, -122.397, 37.7815)[2] < 25


def test_direction_and_type_are_never_overlooked(index):
    assert index.match("Van Ness Ave").standard == "Van Ness Avenue"
    assert index.match("South Van Ness Ave").standard == "South Van Ness Avenue"
    assert index.match("North Van Ness Ave").code == "SY-A053"
    assert index.match("12 Oak").status is Status.TIED


def test_numbered_streets_are_never_taken_for_their_neighbours(index):
    found = index.match("10 4th Street")
    assert (found.status, found.lon, found.code) == (Status.UNMATCHED, None, "SY-A053")


def test_a_slip_of_the_pen_is_forgiven(index):
    assert index.match("South Van Nes Ave").standard == "South Van Ness Avenue"


def test_crossings(index):
    found = index.match("Bay St & 2nd St")
    assert (found.precision, found.standard) == ("crossing", "Bay Street & 2nd Street")
    assert GEOD.inv(found.lon, found.lat, -122.398, 37.78)[2] < 1
    assert index.match("Oak Lane and Bay St").code == "SY-A052"


def test_a_far_number_is_not_guessed(index):
    found = index.match("9000 Bay St")
    assert (found.status, found.code, found.lon) == (Status.UNMATCHED, "SY-A054", None)


def test_a_block_places_what_no_door_tells(index):
    told = "VAN NESS AVE: 1ST ST to 2ND ST (700 - 799)"
    found = index.match("750 Van Ness Ave", block=told)
    assert GEOD.inv(found.lon, found.lat, -122.399, 37.7815)[2] < 15
    assert index.match("lot behind the shop", block=told).status is Status.MATCHED


@pytest.mark.parametrize("text", ["", "   ", "12345", "😀", "<b>x</b>" * 50, "'; DROP TABLE t; --", "a" * 10_000, "& & &"])
def test_no_address_is_refused_without_a_coordinate(index, text):
    found = index.match(text)
    assert found.status is Status.UNMATCHED
    assert found.lon is None
    assert found.code in ("SY-A012", "SY-A053")


def test_a_number_goes_to_the_house_on_its_side():
    houses = [shapely.box(-122.3987, 37.78015, -122.3983, 37.78035), shapely.box(-122.3987, 37.77965, -122.3983, 37.77985)]
    built = pa.table({"kind": ["building"] * 2, "geom": [shapely.to_wkb(house) for house in houses]})
    index = LatinIndex.build(pa.concat_tables([town(), built], promote_options="default"))
    odd, even = index.match("175 Bay St"), index.match("174 Bay St")
    assert houses[0].contains(shapely.Point(odd.lon, odd.lat))
    assert houses[1].contains(shapely.Point(even.lon, even.lat))
