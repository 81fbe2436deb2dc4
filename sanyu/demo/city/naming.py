"""Chinese names of the demo city with their pinyin; no name of a real place is meant.

Names are drawn from pools without repetition, so that a name stands for one thing, and every character has its pinyin in one table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PINYIN = dict(
    pair.split(":")
    for pair in [
        "东:dong",
        "海:hai",
        "省:sheng",
        "临:lin",
        "新:xin",
        "城:cheng",
        "望:wang",
        "区:qu",
        "江:jiang",
        "港:gang",
        "云:yun",
        "山:shan",
        "街:jie",
        "道:dao",
        "镇:zhen",
        "社:she",
        "村:cun",
        "春:chun",
        "秋:qiu",
        "和:he",
        "平:ping",
        "安:an",
        "康:kang",
        "福:fu",
        "禄:lu",
        "泰:tai",
        "兴:xing",
        "隆:long",
        "昌:chang",
        "盛:sheng",
        "锦:jin",
        "绣:xiu",
        "金:jin",
        "银:yin",
        "玉:yu",
        "翠:cui",
        "湖:hu",
        "溪:xi",
        "河:he",
        "桥:qiao",
        "塘:tang",
        "湾:wan",
        "浦:pu",
        "洲:zhou",
        "沙:sha",
        "石:shi",
        "松:song",
        "竹:zhu",
        "梅:mei",
        "兰:lan",
        "桂:gui",
        "柳:liu",
        "枫:feng",
        "荷:he",
        "莲:lian",
        "香:xiang",
        "花:hua",
        "园:yuan",
        "苑:yuan",
        "景:jing",
        "明:ming",
        "月:yue",
        "星:xing",
        "阳:yang",
        "光:guang",
        "朝:chao",
        "晨:chen",
        "霞:xia",
        "虹:hong",
        "风:feng",
        "龙:long",
        "凤:feng",
        "鹤:he",
        "鹿:lu",
        "马:ma",
        "文:wen",
        "化:hua",
        "学:xue",
        "院:yuan",
        "科:ke",
        "技:ji",
        "创:chuang",
        "业:ye",
        "建:jian",
        "设:she",
        "解:jie",
        "放:fang",
        "人:ren",
        "民:min",
        "中:zhong",
        "国:guo",
        "庆:qing",
        "团:tuan",
        "结:jie",
        "友:you",
        "谊:yi",
        "胜:sheng",
        "利:li",
        "光:guang",
        "荣:rong",
        "富:fu",
        "强:qiang",
        "迎:ying",
        "宾:bin",
        "环:huan",
        "滨:bin",
        "西:xi",
        "南:nan",
        "北:bei",
        "大:da",
        "小:xiao",
        "前:qian",
        "后:hou",
        "上:shang",
        "下:xia",
        "长:chang",
        "青:qing",
        "白:bai",
        "红:hong",
        "丹:dan",
        "紫:zi",
        "碧:bi",
        "清:qing",
        "远:yuan",
        "天:tian",
        "地:di",
        "心:xin",
        "源:yuan",
        "泉:quan",
        "井:jing",
        "古:gu",
        "楼:lou",
        "塔:ta",
        "寺:si",
        "钟:zhong",
        "鼓:gu",
        "庙:miao",
        "亭:ting",
        "台:tai",
        "阁:ge",
        "家:jia",
        "王:wang",
        "李:li",
        "张:zhang",
        "陈:chen",
        "吴:wu",
        "周:zhou",
        "沈:shen",
        "徐:xu",
        "路:lu",
        "巷:xiang",
        "弄:nong",
        "支:zhi",
        "高:gao",
        "架:jia",
        "快:kuai",
        "速:su",
        "体:ti",
        "育:yu",
        "场:chang",
        "会:hui",
        "展:zhan",
    ]
)

_FIRST = "春秋和平安康福泰兴隆昌盛锦玉翠清碧青白紫丹金银明朝晨云风龙凤鹤文景长松竹梅兰桂柳枫荷莲香"
_SECOND = "湖溪河桥塘湾浦洲沙石山泉源井亭台阁塔楼园苑阳光月星霞虹远荣利胜庆"
_SURNAMES = "王李张陈吴周沈徐"
_HAMLET = ("家桥", "家塘", "家湾", "家浦", "家溪")

GRAND_ROADS = [
    "人民",
    "解放",
    "中山",
    "建设",
    "和平",
    "文化",
    "新华",
    "朝阳",
    "迎宾",
    "环城",
    "滨江",
    "望海",
    "临港",
    "学院",
    "科技",
    "创业",
    "体育场",
    "会展",
    "国庆",
    "团结",
    "友谊",
    "胜利",
    "光荣",
    "富强",
    "民兴",
    "庆春",
    "平安",
    "天台",
    "古塔",
    "钟楼",
    "龙山",
    "凤山",
    "白塔",
    "清泉",
    "长兴",
    "金沙",
    "银湖",
    "云溪",
    "紫金",
    "青山",
    "碧湖",
    "明月",
    "春江",
    "秋江",
    "东海",
    "星光",
    "大学",
    "高新",
]
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


def hamlet(rng: np.random.Generator) -> str:
    """Return a village name as in the water country south of the Yangtze: surname, 家, and a landmark."""
    return str(rng.choice(list(_SURNAMES))) + str(rng.choice(_HAMLET))
