"""A tool of the shelf is a decorated function: `@tool(...)` says what the command line, the job and the docs need to know about it.

The function takes the frame first and its parameters by name, with a type and, where it can be left out, a default; it returns a frame of
the same kind. Adding a tool is: the function in a module of `transforms.mining`, a result contract in `schemas/mining`, a page in
`docs/mining`. Nothing lists the tools: they are found in the modules.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from schemas.messages import SanyuError
from transforms.mining.shelf.update import Update

Function = TypeVar("Function", bound=Callable[..., Any])
Grain = Literal["rows", "own", "summary"]
PACKAGE = "transforms.mining"


@dataclass(frozen=True)
class Parameter:
    """One named parameter: `kind` is bool, int, float or str, `default` None where there is none or it is None."""

    name: str
    kind: type
    required: bool
    default: Any = None


@dataclass(frozen=True)
class Tool:
    """A tool: `result` is the contract of its result's table.

    `grain` says what a row of the result is: `rows` a row of the input with columns added, `own` something found (a cluster, a cell, a
    pair), `summary` one row of figures about the whole input. `columns` are the parameters that name a column of the input. `update`
    brings an earlier result up to date after a change of its table (`transforms.mining.shelf.update`), None where only a whole run can.
    `tables` are the parameters that take a second frame, each with the table that a job reads where none is named.
    """

    name: str
    function: Callable[..., Any]
    title: str
    title_zh: str
    result: str
    grain: Grain
    columns: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    version: int = 1
    update: Update | None = None
    tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def docs(self) -> str:
        return f"docs/mining/{self.name.replace('_', '-')}.md"

    def parsed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters with their types, from values or their texts; SY-N002 and SY-N003 on what the tool cannot take."""
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                nearest = (difflib.get_close_matches(name, known, n=1, cutoff=0.0) or ["-"])[0]
                raise SanyuError("SY-N002", tool=self.name, name=name, nearest=nearest, known=", ".join(known))
        for parameter in self.parameters:
            if parameter.required and given.get(parameter.name) is None:
                raise SanyuError("SY-N003", tool=self.name, name=parameter.name, value="", kind=parameter.kind.__name__)
        return {name: _typed(self.name, known[name], value) for name, value in given.items()}


def tool(
    title: str,
    title_zh: str,
    *,
    result: str,
    grain: Grain = "rows",
    columns: tuple[str, ...] = ("value",),
    name: str | None = None,
    version: int = 1,
    update: Update | None = None,
    tables: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Mark a function as a tool; its parameters of the types bool, int, float and str are those of the command line.

    `tables` names the parameters that take a second frame and the table of each; for a job and the command line they are a table's name.
    Raise `version` when the same input would give another result: runs of the older one then count as another analysis.
    """

    def marked(function: Function) -> Function:
        about: dict[str, Any] = {"title": title, "title_zh": title_zh, "result": result, "grain": grain, "columns": columns}
        about |= {"version": version, "update": update, "tables": dict(tables or {})}
        function.__tool__ = {"name": name or function.__name__, **about}  # type: ignore[attr-defined]
        return function

    return marked


@functools.cache
def tools() -> Mapping[str, Tool]:
    """Return all tools by name, sorted; imports every module of the shelf."""
    package = importlib.import_module(PACKAGE)
    found: dict[str, Tool] = {}
    names = sorted(m.name for m in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.") if not m.ispkg)
    for module in map(importlib.import_module, names):
        for function in vars(module).values():
            about = getattr(function, "__tool__", None)
            if about is None or function.__module__ != module.__name__:
                continue
            if about["name"] in found:
                raise ValueError(f"two tools are called {about['name']!r}")
            found[about["name"]] = Tool(function=function, parameters=_parameters(function, about["tables"]), **_held(about))
    return dict(sorted(found.items()))


def find_tool(name: str) -> Tool:
    """Return a tool; SY-N001 with the nearest name where there is none (hyphens count as underscores)."""
    known = tools()
    wanted = name.replace("-", "_")
    if wanted not in known:
        nearest = (difflib.get_close_matches(wanted, known, n=1, cutoff=0.0) or ["-"])[0]
        raise SanyuError("SY-N001", name=name, nearest=nearest, known=", ".join(known))
    return known[wanted]


def _held(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said about a tool, without columns that its function does not ask for."""
    return {**about, "columns": tuple(about["columns"])}


def _parameters(function: Callable[..., Any], tables: Mapping[str, str]) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(function)
    found = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name in tables:
            found.append(Parameter(parameter.name, str, False, tables[parameter.name]))
            continue
        kind = _plain(hints.get(parameter.name, Any))
        if kind is not None:
            required = parameter.default is inspect.Parameter.empty
            found.append(Parameter(parameter.name, kind, required, None if required else parameter.default))
    return tuple(found)


def _plain(hint: Any) -> type | None:
    """Return the plain type that a hint allows (`int | None` → int, `Literal["a"]` → str), None where it allows none."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        kinds = [k for k in map(_plain, typing.get_args(hint)) if k is not None]
        return kinds[0] if kinds else None
    if origin is Literal:
        return type(typing.get_args(hint)[0])
    return hint if hint in (bool, int, float, str) else None


def _typed(tool_name: str, parameter: Parameter, value: Any) -> Any:
    if value is None or (isinstance(value, parameter.kind) and not (parameter.kind is int and isinstance(value, bool))):
        return value
    text = str(value).strip()
    try:
        if parameter.kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        return parameter.kind(text)
    except (KeyError, ValueError):
        raise SanyuError("SY-N003", tool=tool_name, name=parameter.name, value=value, kind=parameter.kind.__name__) from None
