"""The phrases of `words.toml`, from which faulty, illegal and running texts are made."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files


@functools.cache
def _all() -> dict[str, object]:
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


def words(name: str) -> tuple[str, ...]:
    """Return the entries of a list, or the words of a block."""
    entry = _all()[name]
    if isinstance(entry, str):
        return tuple(entry.split())
    if not isinstance(entry, list):
        raise TypeError(name)
    return tuple(str(item) for item in entry)


def dishes() -> dict[str, tuple[str, ...]]:
    """Return what restaurants of a kind are known for."""
    table = _all()["dishes"]
    if not isinstance(table, dict):
        raise TypeError("dishes")
    return {str(kind): tuple(names) for kind, names in table.items()}
