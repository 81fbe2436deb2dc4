"""Characters that look alike (形近字): pairs that writers and scanners confuse."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_GROUPS = [
    "未末",
    "己已巳",
    "土士",
    "人入八",
    "日曰",
    "千干于",
    "大太犬",
    "白百自",
    "田由甲申",
    "天夫",
    "王玉主",
    "木本术",
    "刀力",
    "小少",
    "万方",
    "午牛",
    "右石古",
    "兰三",
    "开井并",
    "平乎",
    "安妥",
    "广厂",
    "风凤",
    "乌鸟",
    "侯候",
    "拔拨",
    "晴睛清请情",
    "淅浙",
    "折拆",
    "仑仓",
    "令今",
    "贝见",
    "目且",
    "往住佳",
    "析折",
    "抄炒",
    "城诚",
    "湖糊",
    "洲州",
    "塘糖搪",
    "桥侨娇",
    "荷何河",
    "园圆",
    "苑宛",
    "阳阴",
    "辛幸",
    "宫官",
    "栏拦",
    "钓钩",
    "冶治",
    "享亨",
    "候侯",
]


@functools.cache
def looks() -> NDArray[np.uint32]:
    """Return the sorted pairs, each as lower code point × 65536 + higher."""
    pairs = {(ord(a) << 16) | ord(b) for group in _GROUPS for a in group for b in group if a < b}
    return np.array(sorted(pairs), dtype=np.uint32)
