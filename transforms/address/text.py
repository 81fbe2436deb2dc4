"""Normal form of address text: one width, one script, typed numerals, no noise; with offsets back to the original text.

Two steps. The character table maps one character to one (full width, traditional, case, punctuation → space), which keeps offsets. The
rewriting steps then drop spaces and noise and turn Chinese numerals into digits. Both sides of a comparison go through them, so that
第二小学 and 第2小学 are equal while 八一路 (a date, not a number) stays as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import opencc

MAX_LENGTH = 300  # longer input is running text; use `extract`

_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0}
_ARABIC = frozenset("0123456789")
_UNITS = {"十": 10, "百": 100, "千": 1000}
_RUN = "[零〇一二三四五六七八九十百千]+"
_NUMBER_UNIT = "号|幢|栋|座|单元|室|弄|楼|层|房|户|梯|院|组|队|米"
_FORMAL = {
    "壹": "一",
    "贰": "二",
    "叁": "三",
    "肆": "四",
    "伍": "五",
    "陆": "六",
    "柒": "七",
    "捌": "八",
    "玖": "九",
    "拾": "十",
    "佰": "百",
}
_CIRCLED = {chr(0x2460 + i): str(i + 1) for i in range(9)}
_KEPT = set("-#零〇") | {chr(c) for c in range(0x30, 0x3A)} | {chr(c) for c in range(0x41, 0x5B)}


class _Table(dict[int, str]):
    """Characters that are in no table (emoji, control, foreign scripts) become a space; the table remembers them."""

    def __missing__(self, code: int) -> str:
        letter = chr(code).upper()
        self[code] = value = letter if letter.isalpha() and len(letter) == 1 and code < 0x2E80 else " "
        return value


@functools.cache
def character_table() -> dict[int, str]:
    """Return the table for `str.translate`, which maps each character to one character."""
    han = [chr(c) for c in [*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000)]]
    simple = opencc.OpenCC("t2s").convert("\n".join(han)).split("\n")
    table = _Table({ord(a): b if len(b) == 1 else a for a, b in zip(han, simple, strict=True)})
    for code in range(0x21, 0x7F):
        kept = chr(code).upper() if chr(code).isalnum() or chr(code) in _KEPT else " "
        table[code] = kept
        table[code + 0xFEE0] = kept
    for dash in "‐‑‒–—―−－~～_":
        table[ord(dash)] = "-"
    for mapping in (_FORMAL, _CIRCLED):
        table.update({ord(a): b for a, b in mapping.items()})
    table[ord("〇")] = "〇"
    table[ord("＃")] = "#"
    return table


def clean(text: str) -> str:
    """Return the text in one width, script and case, with the same length; characters that can't occur in an address become spaces."""
    return text.translate(character_table())


def numeral_value(run: str) -> str | None:
    """Return the digits of a run of Chinese numerals, None if it is not a number (十里 → 10; 八一 → None; 一二〇 → 120)."""
    if not any(c in _UNITS for c in run):
        if len(run) == 1 or len(run) > 2 or "零" in run or "〇" in run:
            return "".join(str(_DIGITS[c]) for c in run)
        return None
    total, digit = 0, -1
    last_unit = 10_000
    for c in run:
        if c in _DIGITS:
            if digit > 0:
                return None
            digit = _DIGITS[c]
            continue
        unit = _UNITS[c]
        if unit >= last_unit or (digit <= 0 and not (unit == 10 and digit < 0 and total == 0)):
            return None
        total += (digit if digit > 0 else 1) * unit
        digit, last_unit = -1, unit
    return str(total + max(digit, 0))


def _numeral(match: re.Match[str]) -> str:
    run = match.group("run")
    value = numeral_value(run)
    if value is None and match.group("unit") and all(c in _DIGITS for c in run):
        value = "".join(str(_DIGITS[c]) for c in run)
    if value is None:
        return match.group()
    left, right = match.span()
    before = " " if left and match.string[left - 1] in _ARABIC else ""  # 之三3幢 are two numbers
    after = " " if right < len(match.string) and match.string[right] in _ARABIC else ""
    return before + value + (match.group("unit") or "") + after


_LABEL = re.compile(
    "(?:(?:收货|详细|联系|家庭|公司|单位|通讯|邮寄|居住|经营|注册|现|住|所在)?(?:地址|住址|住所|场所)(?:[是为在]|(?= ))|"
    "^ *(?:我?[住在位于]+于|请?[送寄]到|麻烦送到|请送至|寄往)|中华人民共和国|^中国(?=.{2,3}[省市区])|"
    "(?:电话|手机|联系人|TEL)|(?<![0-9])1[3-9][0-9]{9}(?![0-9])|(?:邮编|邮政编码) *[0-9]{6}(?![0-9])|(?<![0-9])[0-9]{6}(?= *$))"
)
_SPACES = re.compile("(?<![0-9A-Z]) +| +(?![0-9A-Z])| {2,}")
_NUMERALS = re.compile(f"(?P<run>{_RUN})(?P<unit>{_NUMBER_UNIT})?")

_Rewrite = Callable[[re.Match[str]], str]
_STEPS: tuple[tuple[re.Pattern[str], _Rewrite], ...] = (
    (_LABEL, lambda _: ""),
    (_SPACES, lambda _: ""),
    (_NUMERALS, _numeral),
)


def key_of(text: str) -> str:
    """Return the form in which names and addresses are compared."""
    key = text.translate(character_table())
    for pattern, rewrite in _STEPS:
        key = pattern.sub(rewrite, key)
    return key


def key_with_offsets(text: str) -> tuple[str, list[int], list[int]]:
    """Return the key and, for each of its characters, start and end of the text that it represents."""
    key = clean(text)
    starts, ends = list(range(len(key))), list(range(1, len(key) + 1))
    for pattern, rewrite in _STEPS:
        out: list[str] = []
        new_starts: list[int] = []
        new_ends: list[int] = []
        at = 0
        for match in pattern.finditer(key):
            left, right = match.span()
            out.append(key[at:left])
            new_starts += starts[at:left]
            new_ends += ends[at:left]
            replacement = rewrite(match)
            if replacement == match.group():
                new_starts += starts[left:right]
                new_ends += ends[left:right]
            elif replacement:
                new_starts += [starts[left]] * len(replacement)
                new_ends += [ends[right - 1]] * len(replacement)
            out.append(replacement)
            at = right
        out.append(key[at:])
        starts, ends = new_starts + starts[at:], new_ends + ends[at:]
        key = "".join(out)
    return key, starts, ends


def is_mostly_latin(text: str) -> bool:
    """Return whether Latin letters greatly outnumber Chinese characters."""
    han = sum("\u3400" <= c <= "\u9fff" for c in text)
    latin = sum(c.isalpha() and c < "\u2e80" for c in text)
    return latin > 2 and latin > 4 * han
