"""The content of a text: its names, its typed numbers and the unexplained rest, before the gazetteer's rows are searched."""

from __future__ import annotations

import re
from dataclasses import dataclass

from transforms.address.catalog import Catalog
from transforms.address.divisions import Reading
from transforms.address.lattice import Cover, Named
from transforms.address.numbers import NUMBER_LEVELS, Number

NOISE = re.compile(
    "(?:附近|旁边?|对面|左右|里面|门口|一带|路口|门前|楼前|楼旁|地址|住址|送到|靠近|谢谢|先生|女士|小姐|收件?|请放|放|我|住在?|在|的|近|处|内|边|侧|市区|楼下|小区|公交站|发货至|快递|请送|中国|号|第|[^\u4e00-\u9fffA-Z]|"
    "(?<![A-Z])[A-Z]{1,2}(?![A-Z]))+"
)
DIVISION_LIKE = re.compile(
    "^(?:[^0-9路街巷弄号]{2,6}?(?:特别行政区|自治[区州县旗]|省|(?<![超都集夜菜城门])市|(?<![小社园景校厂库市城地新山发汇矿林住院])区|县|街道|镇|乡))"
    "(?![路街巷弄场委政局院村府])"
)
TYPED = frozenset("0123456789东西南北中上下前后内外左右")
ORDINAL = re.compile("第?[0-9]+")
ROAD_LIKE = re.compile("[\u4e00-\u9fff0-9]{1,8}?(?:大道|大街|路|街|巷|弄|胡同|公路)")


@dataclass
class Asked:
    """The content of a text: pieces by level, numbers by level, the unexplained rest, and where the divisions end."""

    key: str
    named: list[Named]
    numbers: dict[str, Number]
    rest: list[str]
    reading: Reading
    head_open: bool = False
    torn: frozenset[int] = frozenset()  # start and end of unexplained pieces: a name that is a fragment of one of them is a different name
    unknown: str = ""  # the rest as written, including the numbers in names (第20幼儿园)


def merged(exact: list[Named], faulty: list[Named]) -> list[Named]:
    """Join both lists; a span with an exact name takes no faulty one, and an exact name is not extended by its neighbours."""
    taken = {(piece.start, piece.end) for piece in exact}
    whole = {(piece.names[0][0], at) for piece in exact for at in (piece.start, piece.end)}
    return exact + [
        piece
        for piece in faulty
        if (piece.start, piece.end) not in taken and whole.isdisjoint(((piece.names[0][0], piece.start), (piece.names[0][0], piece.end)))
    ]


def asked_of(key: str, covered: Cover, before: Cover | None, reading: Reading, catalog: Catalog) -> Asked:
    """Combine the text after the divisions and, in texts with a different order, before them."""
    numbers: dict[str, Number] = {}
    named = covered.named + (before.named if before else ())
    for number in covered.numbers + (before.numbers if before else ()):
        if number.level == "bare" or (number.level == "building" and key[number.end - 1] == "#"):
            _place_bare(number, numbers, named, catalog)
        elif number.level in NUMBER_LEVELS:
            known = numbers.setdefault(number.level, number)
            if known.value != number.value and key[known.start : known.end].endswith("号楼") and "door" not in numbers:
                # 16号楼湾25幢: of two buildings, the first is a door, whose 楼 begins the estate's name, and the second a building
                numbers |= {"door": known._replace(end=known.end - 1, level="door"), "building": number}
    rest = [text for a, b in covered.rest if (text := NOISE.sub("", key[a:b]))]
    head_open = bool(covered.rest) and (not covered.named or covered.rest[0][0] < covered.named[0].start)
    rest += [text for a, b in (before.rest if before else ()) if (text := NOISE.sub("", key[a:b]))]
    spans = covered.rest + (before.rest if before else ())
    torn = frozenset(at for a, b in spans if NOISE.sub("", key[a:b]) for at in (a, b))
    unknown = "".join(key[a:b] for a, b in spans if NOISE.sub("", key[a:b])).strip() if rest else ""
    return Asked(key, list(named), numbers, rest, reading, head_open, torn, unknown)


def _place_bare(number: Number, numbers: dict[str, Number], named: tuple[Named, ...], catalog: Catalog) -> None:
    """Give a number without a following word the level implied by its position in the address (文三路12; 3-2-501; 3幢501)."""
    before = [piece for piece in named if piece.end <= number.start]
    level = catalog.names[max(before, key=lambda p: p.end).names[0][0]].level if before else None
    parts = number.value.split("-")
    if level == "road" and "door" not in numbers and "building" not in numbers:
        numbers["door"] = number
        return
    if "building" in numbers or "unit" in numbers:
        targets: tuple[str, ...] = ("room",) if len(parts) == 1 else ("unit", "room")
    elif len(parts) == 1:
        targets = ("room",) if len(parts[0]) > 2 and "door" in numbers else ("building",)
    else:
        targets = ("building", "room") if len(parts) == 2 else ("building", "unit", "room")
    for target, value in zip(targets, parts, strict=False):
        numbers.setdefault(target, number._replace(level=target, value=value))
