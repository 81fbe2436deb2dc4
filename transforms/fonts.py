"""Text in pictures: Chinese if an installed font supports it, otherwise words that can be drawn; never empty boxes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
# Matplotlib's default font has no Chinese: the first of these that is installed supplies the missing characters.
LATIN = "DejaVu Sans"
CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Microsoft YaHei"),
    *("PingFang SC", "Hiragino Sans GB", "SimHei", "Noto Sans CJK JP", "Noto Serif CJK SC", "SimSun", "AR PL UMing CN"),
)
_FILES = ("notosanscjk", "notosanssc", "sourcehansans", "wqy-", "msyh", "pingfang", "hiragino sans gb", "simhei", "notoserifcjk", "uming")


@contextmanager
def drawing() -> Iterator[None]:
    """Let text drawn inside the context fall back to an installed Chinese font."""
    import matplotlib as mpl

    with mpl.rc_context({"font.family": list(families())}):
        yield


def with_text(function: Function) -> Function:
    """Let a function that returns a figure draw Chinese, and reduce its `title` to drawable text; without any, its own title is kept."""

    @functools.wraps(function)
    def drawn(*given: Any, **named: Any) -> Any:
        title = readable(named.pop("title", ""))
        with drawing():
            return function(*given, **({**named, "title": title} if title else named))

    return drawn  # type: ignore[return-value]


def readable(*texts: str) -> str:
    """Return the first text that can be drawn entirely; else the first with drawable words left after removing the rest; else ''."""
    whole = next((text for text in texts if text and all(map(is_drawn, text))), None)
    if whole is not None:
        return whole
    cut = (" ".join("".join(c if is_drawn(c) else " " for c in text).split()).strip(" :·-") for text in texts)
    return next((text for text in cut if any(map(str.isalnum, text))), "")


@functools.cache
def is_drawn(character: str) -> bool:
    """Return whether one of the available fonts has a character."""
    from matplotlib import font_manager

    if character.isspace():
        return True
    paths = (font_manager.findfont(name) for name in families())
    return any(font_manager.get_font(path).get_char_index(ord(character)) for path in paths)


@functools.cache
def families() -> tuple[str, ...]:
    """Return the fonts to draw with, Latin first; fonts installed after Matplotlib's last scan are found too."""
    from matplotlib import font_manager

    # Matplotlib's list is a cache: a listed font may be gone, and a new one missing.
    known = {font.name for font in font_manager.fontManager.ttflist if Path(font.fname).is_file()}
    if known.isdisjoint(CHINESE):
        for path in sorted(font_manager.findSystemFonts()):
            if Path(path).name.lower().startswith(_FILES):
                font_manager.fontManager.addfont(path)
        known = {font.name for font in font_manager.fontManager.ttflist if Path(font.fname).is_file()}
    return (LATIN, *next(((name,) for name in CHINESE if name in known), ()))
