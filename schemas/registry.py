"""All contracts by table name: the built-in ones and the user's, from a folder of Python files.

A user's contract is a `.py` file that defines `CONTRACT`. It is trusted like the project's own code; source definitions are not.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from schemas import basemap, mining, ops, thematic
from schemas.messages import SanyuError
from schemas.model import Contract

HOME = {m.__name__.rpartition(".")[2]: Path(m.__path__[0]) for m in (basemap, mining, thematic)}


def contracts(extra: Path | None = None) -> dict[str, Contract]:
    """Return all contracts by name, sorted: the built-in ones and those of the folder `extra`.

    SY-K004 for a file that can't be loaded, doesn't define `CONTRACT`, or has an unknown code list; SY-K005 if its table
    is already described elsewhere.
    """
    found, wrong = read_contracts(extra)
    for error in wrong.values():
        raise error
    return found


def read_contracts(extra: Path | None = None) -> tuple[dict[str, Contract], dict[str, SanyuError]]:
    """Return the contracts that can be used, and what is wrong with the files of the others, by file: one stops no other."""
    found, wrong = dict(_ours()), {}
    for path in sorted(extra.glob("*.py")) if extra else ():
        if path.name.startswith("_"):
            continue
        try:
            loaded = _load(path)
            if loaded.name in found:
                raise SanyuError("SY-K005", file=path.name, name=loaded.name, other=_place(loaded.name))
            found[loaded.name] = loaded
        except SanyuError as error:
            wrong[path.name] = error
    return dict(sorted(found.items())), wrong


def find_contract(name: str, known: Mapping[str, Contract] | None = None) -> Contract:
    """Return the contract of a table from `known` (default: built-in); SY-K001 with the nearest name if there is none."""
    among = contracts() if known is None else known
    if name in among:
        return among[name]
    by_entity = {c.entity: c.name for c in among.values()}
    near = difflib.get_close_matches(name, among, n=1) or [by_entity[e] for e in difflib.get_close_matches(name, by_entity, n=1)]
    raise SanyuError("SY-K001", name=name, near=near[0] if near else "-")


@functools.cache
def _ours() -> Mapping[str, Contract]:
    modules = (importlib.import_module(f"schemas.{d}.{p.stem}") for d, home in HOME.items() for p in sorted(home.glob("[a-z]*.py")))
    return {c.name: c for c in (*(m.CONTRACT for m in modules), *ops.CONTRACTS)}


def _load(path: Path) -> Contract:
    spec = importlib.util.spec_from_file_location(f"sanyu_user_contract_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SanyuError("SY-K004", file=path.name, detail="it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # any exception raised by the user's file is reported with its name
        line = error.errors()[0]["msg"] if hasattr(error, "errors") else f"{type(error).__name__}: {error}"
        raise SanyuError("SY-K004", file=path.name, detail=line) from error
    loaded = getattr(module, "CONTRACT", None)
    if not isinstance(loaded, Contract):
        raise SanyuError("SY-K004", file=path.name, detail="it defines no CONTRACT that is a schemas.model.Contract")
    _require_lists(loaded, path.name)
    return loaded


def _require_lists(loaded: Contract, file: str) -> None:
    from schemas.codes import code_lists

    named = {*(c.field.code_list for c in loaded.columns), loaded.attribute.class_list} - {None}
    for missing in sorted(str(n) for n in named - set(code_lists())):
        raise SanyuError("SY-K004", file=file, detail=f"there is no code list {missing!r}")


def _place(name: str) -> str:
    return f"schemas/{name.split('.', 1)[1].replace('__', '/')}.py" if name in _ours() else "another file of the folder"
