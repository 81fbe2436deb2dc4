"""A chain (专题链): a declared sequence of mining tools, each applied to a table of the lake or to the result of an earlier step.

A chain is one TOML file. A step's `table` is a table of the lake or `@step`, the result of the step with that name; `where` is a condition
in DuckDB SQL, `with` are the tool's parameters. `[page]` describes the result page: the step shown on the map, and a text. With
`[partition]` the chain runs for one partition of a table at a time, either one that has changed or one that is requested.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from schemas.messages import SanyuError
from schemas.model import FIELD_NAME, Frozen


class Step(Frozen):
    """One step: a tool with its table and parameters."""

    name: str
    tool: str
    table: str
    where: str | None = None
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict, alias="with")
    title: str = ""
    title_zh: str = ""

    @property
    def after(self) -> str | None:
        """Return the name of the step whose result this one reads, None for a table of the lake."""
        return self.table[1:] if self.table.startswith("@") else None

    def within(self, condition: str) -> Step:
        """Return the step restricted to rows that also meet a condition."""
        return self.model_copy(update={"where": f"({condition}) AND ({self.where})" if self.where else condition})


class Page(Frozen):
    """The content of the result page: `map` names the step whose rows are drawn, `text` tells the reader what to look for."""

    map: str
    text: str = ""
    text_zh: str = ""


class Partitioned(Frozen):
    """The table whose partitions a chain runs on, and the time span of each run: daily partitions can be run by month or year."""

    table: str
    every: Literal["day", "month", "year"] = "day"


class Chain(Frozen):
    """A chain; its steps run in the order in which they are listed."""

    name: str
    title: str
    title_zh: str
    description: str = ""
    city: str | None = None
    schedule: str | None = None
    step: tuple[Step, ...]
    page: Page
    partition: Partitioned | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.step

    def narrowed(self, key: str, condition: str) -> Chain:
        """Return the chain restricted to one partition: steps on its table see only those rows; name and title include the key."""
        table = self.partition.table if self.partition else None
        steps = tuple(step.within(condition) if step.table == table else step for step in self.step)
        titles = {"title": f"{self.title}, {key}", "title_zh": f"{self.title_zh} {key}"}
        return self.model_copy(update={"step": steps, "name": f"{self.name}/{re.sub(r'[^0-9A-Za-z-]', '_', key)}", **titles})

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        known: set[str] = set()
        for step in self.step:
            if not FIELD_NAME.match(step.name) or step.name in known:
                raise ValueError(f"step {step.name!r} is named twice or not in snake_case")
            if step.after is not None and step.after not in known:
                raise ValueError(f"step {step.name!r} reads @{step.after}, which is no step before it")
            known.add(step.name)
        if self.partition and self.schedule:
            raise ValueError("a chain with [partition] runs when partitions change; leave schedule out")
        if self.page.map not in known:
            raise ValueError(f"page.map names {self.page.map!r}, which is no step")
        return self


def load_chain(path: Path) -> Chain:
    """Read a chain; SY-N024 with file, field and reason if it is invalid."""
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return Chain.model_validate({"name": path.stem, **raw})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SanyuError("SY-N024", file=str(path), field="-", detail=str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SanyuError("SY-N024", file=str(path), field=".".join(map(str, first["loc"])), detail=first["msg"]) from error


def load_chains(folder: Path) -> dict[str, Chain]:
    """Return the chains of a folder by name; SY-N024 for an invalid one, SY-N025 if the folder is missing."""
    if not folder.is_dir():
        raise SanyuError("SY-N025", folder=str(folder))
    return {chain.name: chain for chain in map(load_chain, sorted(folder.glob("*.toml")))}
