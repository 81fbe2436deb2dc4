"""What a reader asks of a table, as one SQL condition that every engine gets: time, window, and the reader's own `where`.

The condition is written in DuckDB's SQL and translated for Spark, so that the readers cannot drift apart.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from schemas.messages import SanyuError

BEIJING = timezone(timedelta(hours=8))
BBox = tuple[float, float, float, float]
Instant = str | date | datetime


@dataclass(frozen=True)
class Query:
    """A question as the reader put it; `Table` documents the arguments."""

    columns: Sequence[str] | None = None
    where: str | None = None
    bbox: Sequence[float] | None = None
    at: Instant | None = None
    version: int | None = None
    exact: bool = True
    history: bool = False

    def window(self) -> BBox | None:
        """Return the window as floats; SY-L008 where it is none."""
        if self.bbox is None:
            return None
        try:
            xmin, ymin, xmax, ymax = (float(v) for v in self.bbox)
        except (TypeError, ValueError):
            raise SanyuError("SY-L008", value=self.bbox) from None
        if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))) or xmin > xmax or ymin > ymax:
            raise SanyuError("SY-L008", value=self.bbox)
        return xmin, ymin, xmax, ymax

    def selected(self, table: str, known: Sequence[str]) -> tuple[str, ...]:
        """Return the columns asked for, in the order asked; SY-L005 names the nearest where one is not there."""
        if self.columns is None:
            return tuple(known)
        names = [self.columns] if isinstance(self.columns, str) else list(self.columns)
        require(table, names, known)
        return tuple(names)

    def condition(self, table: str, known: Sequence[str]) -> str | None:
        """Return the whole condition in DuckDB's SQL, or None for every row; SY-L005 to SY-L009 on what cannot be asked."""
        parts = _time_conditions(self, table, known)
        window = self.window()
        if window is not None:
            if "bbox" not in known:
                raise SanyuError("SY-L007", table=table, what="bbox", argument="bbox")
            xmin, ymin, xmax, ymax = map(repr, window)
            parts += [f"bbox.xmin <= {xmax}", f"bbox.xmax >= {xmin}", f"bbox.ymin <= {ymax}", f"bbox.ymax >= {ymin}"]
        if self.where is not None:
            parts.append(f"({_checked_where(self.where, table, known)})")
        return " AND ".join(parts) or None


def for_spark(condition: str) -> str:
    """Translate a condition of DuckDB's SQL to Spark's."""
    import sqlglot

    return str(sqlglot.transpile(condition, read="duckdb", write="spark")[0])


def as_instant(value: Instant) -> datetime:
    """Return the UTC instant; a date is its midnight, and what has no zone is Beijing time at +08:00. SY-L006 on anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise SanyuError("SY-L006", value=value) from None
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise SanyuError("SY-L006", value=value)
        value = datetime(value.year, value.month, value.day)
    return (value if value.tzinfo else value.replace(tzinfo=BEIJING)).astimezone(UTC)


def require(table: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raise SY-L005 for the first name that is no column, with the nearest that is."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SanyuError("SY-L005", table=table, column=name, hint=hint, known=", ".join(known))


def _time_conditions(query: Query, table: str, known: Sequence[str]) -> list[str]:
    if query.history or query.at == "all":
        return []
    believed = ["superseded_at IS NULL"] if "superseded_at" in known else []
    if query.at is None:
        return (["valid_to_at IS NULL"] if "valid_to_at" in known else []) + believed
    instant = f"TIMESTAMPTZ '{as_instant(query.at).strftime('%Y-%m-%d %H:%M:%S.%f')}+00:00'"
    if not {"valid_from_at", "valid_to_at"} <= set(known):
        raise SanyuError("SY-L007", table=table, what="validity", argument="at")
    return [f"valid_from_at <= {instant}", f"(valid_to_at IS NULL OR valid_to_at > {instant})", *believed]


def _checked_where(where: str, table: str, known: Sequence[str]) -> str:
    """Return the reader's condition as DuckDB's SQL; a column that is not there and anything but one condition is refused."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError, SqlglotError

    try:
        tree = sqlglot.parse_one(where, read="duckdb")
    except SqlglotError as error:
        detail = error.errors[0]["description"] if isinstance(error, ParseError) and error.errors else str(error)
        raise SanyuError("SY-L009", table=table, where=where, detail=detail) from None
    if not isinstance(tree, exp.Condition) or tree.find(exp.Query):
        raise SanyuError("SY-L009", table=table, where=where, detail="it is not one condition over the rows")
    bound = {p.name for fn in tree.find_all(exp.Lambda) for p in fn.expressions}
    # A dotted name is a field of a struct column: `bbox.xmin`.
    names = [column.parts[0].name for column in tree.find_all(exp.Column)]
    require(table, [n for n in names if n not in bound], known)
    return str(tree.sql(dialect="duckdb"))
