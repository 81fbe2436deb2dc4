"""The small JSON files of a lake: read in one place, so that a damaged one is told and never a traceback.

Writes of a store are whole or not there, but disks lose power and people copy folders: a file may be empty, cut off or something else.
What can be made again is read by `recall` and made again; of all else `record` says which file is damaged, how, and what repairs it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from sanyu.lake.store import Store
from schemas.messages import SanyuError

T = TypeVar("T")


def record(store: Store, key: str, make: Callable[[Any], T], remedy: str) -> T | None:
    """Return what `make` builds from a decoded JSON file; None where there is no such file.

    Raises SanyuError SY-L060 on a damaged one; `remedy` is the command that repairs it.
    """
    data = store.get(key)
    if data is None:
        return None
    try:
        return make(json.loads(data))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise SanyuError("SY-L060", file=store.uri(key), what=damage(data, error), remedy=remedy) from error


def recall(store: Store, key: str, make: Callable[[Any], T]) -> T | None:
    """Return what `make` builds from a file that only saves work; None where it is missing or damaged, which costs the work again."""
    try:
        return record(store, key, make, "")
    except SanyuError as error:
        if error.code != "SY-L060":
            raise
        return None


def damage(data: bytes, error: Exception) -> str:
    """Return in a few words what is wrong with the content of a JSON file, given what reading it raised."""
    if not data.strip(b"\0 \t\r\n"):
        return "it is empty" if not data else f"it holds {len(data)} blank bytes"
    if isinstance(error, json.JSONDecodeError):
        if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
            return f"it is cut off after {len(data)} bytes"
        return f"it is not JSON (line {error.lineno}, column {error.colno})"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return f"it is no such record ({str(error).splitlines()[0]})"
