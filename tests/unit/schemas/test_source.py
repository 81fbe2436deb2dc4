"""A source definition says where rows come from in one way, and never holds credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
        ({"path": "a.csv", "url": URL}, "url is for format"),
        ({"format": "jdbc", "url": URL, "table": "b", "path": "a.csv"}, "path is for files"),
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
