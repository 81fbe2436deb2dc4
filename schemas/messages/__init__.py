"""All user-facing messages: a stable code, English and Chinese text, and the remedy.

The texts are in the TOML files next to this module, one file per area. A code never changes its meaning; `docs/messages.md` is generated
from these files. The language is `SANYU_LANG` (`en` or `zh`), otherwise that of the locale.
"""

from __future__ import annotations

import functools
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Message:
    """One catalogue entry; the texts are `str.format` templates for the parameters given with the error."""

    code: str
    en: str
    zh: str
    remedy_en: str
    remedy_zh: str
    exit_code: int = 1


@functools.cache
def catalogue() -> dict[str, Message]:
    """Return all messages by code; a duplicate code is a bug and raises ValueError."""
    messages: dict[str, Message] = {}
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for code, entry in tomllib.loads(path.read_text("utf-8")).items():
            if code in messages:
                raise ValueError(f"message code {code} is defined twice (again in {path.name})")
            messages[code] = Message(code=code, **entry)
    return messages


def language() -> str:
    """Return `zh` or `en`: `SANYU_LANG`, else the locale's language, else English."""
    chosen = os.environ.get("SANYU_LANG") or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if chosen.lower().startswith("zh") else "en"


def render(code: str, params: dict[str, Any], lang: str | None = None) -> str:
    """Return `text. remedy` of a message in the language; an unknown code raises KeyError."""
    message = catalogue()[code]
    if (lang or language()) == "zh":
        return f"{message.zh.format(**params)}。{message.remedy_zh.format(**params)}"
    return f"{message.en.format(**params)}. {message.remedy_en.format(**params)}"


class SanyuError(Exception):
    """An error that a user can act on: `code` is in the catalogue, `params` name file, row, field and value.

    `str(error)` is the localised message with its code; the command line exits with `exit_code`. Can be pickled, to cross process
    boundaries (readers run in a child, transforms in Spark workers).
    """

    def __init__(self, code: str, **params: Any) -> None:
        self.code = code
        self.params = params
        render(code, params)  # fail for a missing parameter where the error is raised, not where it is shown
        super().__init__(code, params)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.code, self.params)

    @property
    def exit_code(self) -> int:
        return catalogue()[self.code].exit_code

    def message(self, lang: str | None = None) -> str:
        """Return the text without the code."""
        return render(self.code, self.params, lang)

    def __str__(self) -> str:
        return f"{self.code}: {self.message()}"


def _rebuild(code: str, params: dict[str, Any]) -> SanyuError:
    return SanyuError(code, **params)
