"""Detect the encoding of text that declares none; Chinese city files are UTF-8 or GBK/GB18030 and often don't say which."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from itertools import islice

from schemas.messages import SanyuError

_SAMPLE = 50_000
_MOSTLY = 0.8
_COMMON_HANZI = 0.6


def known_encoding(name: str, file: str) -> str:
    """Return Python's name of an encoding; SY-R028 if it is unknown."""
    try:
        return codecs.lookup(name.strip()).name
    except (LookupError, ValueError):
        raise SanyuError("SY-R028", file=file, encoding=name[:40]) from None


def detect(pieces: Iterable[bytes]) -> tuple[str, bool]:
    """Return the encoding of pieces of text (lines, field values) and whether it was certain.

    Valid UTF-8 throughout counts as certain, because text in another encoding practically never is. Otherwise the non-ASCII pieces
    decide: mostly UTF-8 (a few damaged values), else GB18030 if they decode and consist mostly of the frequent characters of
    GB 2312 level 1 (Western text read as GBK gives rare ones), else Latin-1, which can decode anything.
    """
    foreign = list(islice((piece for piece in pieces if not piece.isascii()), _SAMPLE))
    if not foreign:
        return "utf-8", True
    good = sum(_decodes(piece, "utf-8") for piece in foreign)
    if good == len(foreign):
        return "utf-8", True
    if good >= _MOSTLY * len(foreign):
        return "utf-8", False
    chinese = [piece for piece in foreign if _decodes(piece, "gb18030", cut=True)]
    if len(chinese) >= _MOSTLY * len(foreign) and _share_of_common_hanzi(chinese) >= _COMMON_HANZI:
        return "gb18030", False
    return "latin-1", False


def _decodes(piece: bytes, encoding: str, *, cut: bool = False) -> bool:
    """Return whether the piece is valid text in the encoding; if `cut`, a half character at its end is allowed."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(piece, final=not cut)
    except UnicodeDecodeError:
        return False
    return True


def _share_of_common_hanzi(pieces: list[bytes]) -> float:
    """Return the share of GB 2312 level 1 (lead B0–D7, trail A1–FE) and of its symbols (A1–A9) among the double-byte characters."""
    common = total = 0
    for piece in pieces:
        for character in piece.decode("gb18030", "ignore"):
            if character < "\x80":
                continue
            code = character.encode("gb18030")
            total += 1
            common += len(code) == 2 and code[1] >= 0xA1 and (0xB0 <= code[0] <= 0xD7 or 0xA1 <= code[0] <= 0xA9)
    return common / total if total else 0.0
