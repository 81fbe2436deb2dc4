"""Chinese names of the demo city with their pinyin; no name of a real place is meant.

Names are drawn from pools without repetition, so that a name stands for one thing, and every character has its pinyin in one table.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np

_READINGS = """
an:安 bai:白 bei:北 bi:碧 bin:宾滨 chang:昌长场 chao:朝 chen:晨陈 cheng:城 chuang:创 chun:春 cui:翠 cun:村 da:大 dan:丹 dao:道
di:地 dong:东 fang:放 feng:枫风凤 fu:福富 gang:港 gao:高 ge:阁 gu:古鼓 guang:光 gui:桂 guo:国 hai:海 he:和河荷鹤 hong:虹红 hou:后
hu:湖 hua:花化 huan:环 hui:会 ji:技 jia:家架 jian:建 jiang:江 jie:街解结 jin:锦金 jing:景井 kang:康 ke:科 kuai:快 lan:兰 li:利李
lian:莲 lin:临 liu:柳 long:隆龙 lou:楼 lu:禄鹿路 ma:马 mei:梅 miao:庙 min:民 ming:明 nan:南 nong:弄 ping:平 pu:浦 qian:前 qiang:强
qiao:桥 qing:庆青清 qiu:秋 qu:区 quan:泉 ren:人 rong:荣 sha:沙 shan:山 shang:上 she:社设 shen:沈 sheng:省盛胜 shi:石 si:寺 song:松
su:速 ta:塔 tai:泰台 tang:塘 ti:体 tian:天 ting:亭 tuan:团 wan:湾 wang:望王 wen:文 wu:吴 xi:溪西 xia:霞下 xiang:香巷 xiao:小
xin:新心 xing:兴星 xiu:绣 xu:徐 xue:学 yang:阳 ye:业 yi:谊 yin:银 ying:迎 you:友 yu:玉育 yuan:园苑院远源 yue:月 yun:云 zhan:展
zhang:张 zhen:镇 zhi:支 zhong:中钟 zhou:洲周 zhu:竹 zi:紫
yi:一 er:二 san:三 si:四 wu:五 liu:六 qi:七 ba:八 jiu:九 shi:十 ling:零
"""
PINYIN = {char: syllable for syllable, chars in (entry.split(":") for entry in _READINGS.split()) for char in chars}

_FIRST = "春秋和平安康福泰兴隆昌盛锦玉翠清碧青白紫丹金银明朝晨云风龙凤鹤文景长松竹梅兰桂柳枫荷莲香"
_SECOND = "湖溪河桥塘湾浦洲沙石山泉源井亭台阁塔楼园苑阳光月星霞虹远荣利胜庆"
_SURNAMES = "王李张陈吴周沈徐"
_HAMLET = ("家桥", "家塘", "家湾", "家浦", "家溪")

_GRAND = """
人民 解放 中山 建设 和平 文化 新华 朝阳 迎宾 环城 滨江 望海 临港 学院 科技 创业 体育场 会展 国庆 团结 友谊 胜利 光荣 富强
民兴 庆春 平安 天台 古塔 钟楼 龙山 凤山 白塔 清泉 长兴 金沙 银湖 云溪 紫金 青山 碧湖 明月 春江 秋江 东海 星光 大学 高新
"""
GRAND_ROADS = tuple(_GRAND.split())
ESTATE_SUFFIX = ("花园", "苑", "新村", "家园", "府", "湾", "里", "华庭", "名城", "小区", "公寓", "景苑")
DIGITS = "零一二三四五六七八九十"


def pinyin(name: str) -> str:
    """Return the pinyin of a name, syllables joined and the first letter upper case; a character without entry is a KeyError."""
    return "".join(PINYIN[c] for c in name).capitalize()


def numeral(n: int) -> str:
    """Return 1–99 in Chinese numerals (十二, 二十, 三十五)."""
    tens, ones = divmod(n, 10)
    head = ("" if tens <= 1 else DIGITS[tens]) + ("十" if tens else "")
    return head + (DIGITS[ones] if ones or not tens else "")


class Names:
    """A pool of two-character names in seeded order, each given once; a numbered second round follows when all are used."""

    def __init__(self, rng: np.random.Generator) -> None:
        pairs = [a + b for a in _FIRST for b in _SECOND if a != b]
        self._pairs: list[str] = [pairs[i] for i in rng.permutation(len(pairs))]
        self._given = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        turn, i = divmod(self._given, len(self._pairs))
        self._given += 1
        return self._pairs[i] + (numeral(turn + 1) if turn else "")


def hamlets(rng: np.random.Generator) -> Iterator[str]:
    """Give village names as in the water country south of the Yangtze: surname, 家, and a landmark; numbered when all are used."""
    pool = [surname + landmark for surname in _SURNAMES for landmark in _HAMLET]
    order = [pool[i] for i in rng.permutation(len(pool))]
    yield from order
    for turn in count(2):
        yield from (f"{name}{numeral(turn)}" for name in order)
