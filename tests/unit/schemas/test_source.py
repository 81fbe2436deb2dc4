"""A source definition says where rows come from in one way, and never holds credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.kinds import Database, Files, kinds
from schemas.messages import SanyuError
from schemas.source import Source, load_source

URL = "jdbc:postgresql://127.0.0.1:5432/city"


def source(**read: Any) -> Source:
    about = {"name": "a", "title": "A", "domain": "basemap", "licence": "none", "attribution": "none"}
    return Source.model_validate({"source": about, "read": read, "into": [{"contract": "core.basemap__place", "columns": {"name": "n"}}]})


@pytest.mark.parametrize(
    ("read", "told"),
    [
        ({}, "`path` is missing"),
        ({"format": "csv"}, "`path` is missing"),
        ({"path": "a.csv", "url": URL}, '`url` is a field of kind = "database", and this source is kind = "files"'),
        (
            {"format": "jdbc", "url": URL, "table": "b", "path": "a.csv"},
            '`path` is a field of kind = "files", and this source is kind = "database"',
        ),
        ({"kind": "database", "url": URL, "table": "b", "layer": "x"}, '`layer` is a field of kind = "files"'),
        ({"kind": "files", "path": "a.csv", "fetch_size": 5}, '`fetch_size` is a field of kind = "database"'),
        ({"kind": "kafka", "topic": "a"}, "unknown kind of source; there are: files, database"),
        ({"path": "a.csv", "encodng": "gbk"}, "did you mean 'encoding'?"),
        ({"path": "a.csv", "max_seconds": "soon"}, "field read.max_seconds"),
        ({"format": "jdbc", "table": "b"}, "`url` is missing"),
        ({"format": "jdbc", "url": "postgresql://127.0.0.1/city", "table": "b"}, "no JDBC address"),
        ({"format": "jdbc", "url": URL}, "either `table` or `query`"),
        ({"format": "jdbc", "url": URL, "table": "b", "query": "select 1"}, "either `table` or `query`"),
        ({"format": "jdbc", "url": URL, "table": "b; drop table b"}, "pattern"),
        ({"format": "jdbc", "url": URL + "?ssl=true&password=x", "table": "b"}, "credentials in `url`"),
        ({"format": "jdbc", "url": "jdbc:postgresql://u:p@127.0.0.1/city", "table": "b"}, "credentials in `url`"),
        ({"format": "jdbc", "url": "jdbc:oracle:thin:scott/tiger@//127.0.0.1/city", "table": "b"}, "credentials in `url`"),
        ({"format": "jdbc", "url": "jdbc:sqlserver://127.0.0.1;user=sa;pwd=x", "table": "b"}, "credentials in `url`"),
    ],
)
def test_wrong_ways_to_say_where_rows_are_get_told(tmp_path: Path, read: dict[str, Any], told: str) -> None:
    lines = "\n".join(f'{key} = "{value}"' for key, value in read.items())
    path = tmp_path / "a.toml"
    path.write_text(
        '[source]\nname = "a"\ntitle = "A"\ndomain = "basemap"\nlicence = "none"\nattribution = "none"\n'
        f'[read]\n{lines}\n[[into]]\ncontract = "core.basemap__place"\ncolumns = {{ name = "n" }}\n'
    )
    with pytest.raises(SanyuError, match="SY-D002") as caught:
        load_source(path)
    assert told in str(caught.value)
    assert "tiger" not in str(caught.value)


def test_a_table_is_read_whole_and_shown_without_options() -> None:
    read = source(format="jdbc", url=URL + "?ssl=true", table="public.b").read
    assert (read.sql, read.origin) == ("select * from public.b", "postgresql://127.0.0.1:5432/city public.b")
    assert source(path=["a/*.csv", "b.csv"]).read.origin == "a/*.csv, b.csv"


def test_how_a_database_is_reached_does_not_change_what_its_rows_become() -> None:
    one = source(format="jdbc", url=URL, table="b", user_env="A", password_env="B", fetch_size=5)
    other = source(format="jdbc", url="jdbc:postgresql://10.0.0.1/city", table="b", driver="x.jar", changed_by="select 1")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != source(format="jdbc", url=URL, table="c").fingerprint


def changed(**sections: Any) -> Source:
    """Return a definition of files with two target tables, with other values in its sections."""
    definition: dict[str, Any] = {
        "source": {"name": "a", "title": "A", "domain": "basemap", "licence": "none", "attribution": "none"},
        "read": {"path": "*.csv", "crs": "EPSG:4490"},
        "delivery": {"edition_at": "2026-01-01"},
        "into": [
            {"contract": "core.basemap__place", "columns": {"name": "n", "class_code": {"expr": "c", "codes": {"x": "01", "y": "02"}}}},
            {"contract": "core.basemap__road_segment", "columns": {"name": "n"}},
        ],
    }
    for name, values in sections.items():
        definition[name] = list(values) if isinstance(values, list | tuple) else definition[name] | values
    return Source.model_validate(definition)


@pytest.mark.parametrize(
    "sections",
    [
        {"source": {"title": "Another", "title_zh": "另", "publisher": "Office", "licence": "CC0-1.0", "attribution": "© Office"}},
        {"delivery": {"schedule": "@daily"}},
        {"read": {"kind": "files"}},
        {"into": list(reversed(changed().model_dump(exclude_unset=True)["into"]))},
        {
            "into": [
                {
                    "columns": {"class_code": {"codes": {"y": "02", "x": "01"}, "expr": "c"}, "name": {"expr": "n"}},
                    "contract": "core.basemap__place",
                },
                {"columns": {"name": "n"}, "contract": "core.basemap__road_segment"},
            ]
        },
    ],
)
def test_titles_terms_schedules_order_and_form_do_not_change_what_the_rows_become(sections: dict[str, Any]) -> None:
    assert changed(**sections).fingerprint == changed().fingerprint


@pytest.mark.parametrize(
    "sections",
    [
        {"source": {"domain": "thematic"}},
        {"read": {"crs": "GCJ-02"}},
        {"read": {"encoding": "gbk"}},
        {"read": {"path": ["*.csv", "*.txt"]}},
        {"delivery": {"edition_at": "2026-01-02"}},
        {"delivery": {"snapshot": "partial"}},
        {"delivery": {"time_zone": "+09:00"}},
        {"into": [{"contract": "core.basemap__place", "columns": {"name": "n"}}]},
        {"into": [{"contract": "core.basemap__place", "where": "true", "columns": {"name": "n"}}]},
    ],
)
def test_what_decides_about_the_rows_changes_the_fingerprint(sections: dict[str, Any]) -> None:
    assert changed(**sections).fingerprint != changed().fingerprint


def test_a_comment_changes_nothing(tmp_path: Path) -> None:
    text = (
        '[source]\nname = "a"\ntitle = "A"\ndomain = "basemap"\nlicence = "none"\nattribution = "none"\n'
        '[read]\npath = "*.csv"\n[[into]]\ncontract = "core.basemap__place"\ncolumns = { name = "n" }\n'
    )
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(text if name == "one" else "# a comment\n" + text.replace("[read]", "\n[read] # files"))
    assert load_source(tmp_path / "one.toml").fingerprint == load_source(tmp_path / "two.toml").fingerprint


def test_a_further_table_leaves_the_delivery_what_it_is_for_the_others() -> None:
    one = changed(into=changed().model_dump(exclude_unset=True)["into"][:1])
    assert changed().has_rows_of(one)
    assert one.has_rows_of(changed())
    assert not changed(read={"crs": "GCJ-02"}).has_rows_of(one)
    other = changed(into=[{"contract": "core.basemap__place", "columns": {"name": "m"}}])
    assert not other.has_rows_of(one)


# As version 0.1 computed them of the definitions in `sources`.
FORMER = {
    "demo/demo_place": "f5efb334848d59e5",
    "demo/demo_transit_trip": "bbe54ba57f7c220c",
    "hangzhou/hz_osm": "787373362138d8dc",
    "san-francisco/sf_buildings": "dda9724d40e605d1",
    "san-francisco/sf_food_permits": "749c348921c010b2",
}


@pytest.mark.parametrize("name", FORMER)
def test_batches_of_version_0_1_are_recognised(name: str) -> None:
    city, source_name = name.split("/")
    path = Path(__file__).resolve().parents[3] / "sources" / city / f"{source_name}.toml"
    assert load_source(path).former_fingerprint == FORMER[name]


def test_kinds_are_told_apart_also_without_a_word_for_them() -> None:
    assert isinstance(source(path="a.csv").read, Files)
    assert isinstance(source(kind="files", path="a.csv").read, Files)
    assert isinstance(source(format="jdbc", url=URL, table="b").read, Database)
    assert isinstance(source(url=URL, table="b").read, Database)
    assert isinstance(source(kind="database", url=URL, table="b").read, Database)
    again = source(url=URL, table="b")
    assert Source.model_validate(again.model_dump(mode="json", exclude_unset=True)) == again
    assert source(path="a.csv").fingerprint == source(kind="files", path="a.csv").fingerprint


def test_each_kind_has_a_page_that_names_all_its_fields() -> None:
    docs = Path(__file__).resolve().parents[3] / "docs" / "sources"
    for kind, model in kinds().items():
        page = (docs / f"{kind}.md").read_text("utf-8")
        missing = [field for field in model.model_fields if f"`{field}`" not in page]
        assert missing == [], kind
