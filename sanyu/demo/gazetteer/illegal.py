"""Inputs without a right answer: each with the class of what is wrong, and never with a coordinate."""

from __future__ import annotations

import json

import numpy as np

from sanyu.demo.city.plan import stream
from sanyu.demo.gazetteer.base import Base
from sanyu.demo.gazetteer.names import sample
from sanyu.demo.gazetteer.queries import refused

# Province, city, district: real ones, since only these can be told from invented ones.
REAL = tuple(
    tuple(line.split())
    for line in """
北京市 北京市 朝阳区|天津市 天津市 南开区|河北省 石家庄市 长安区|山西省 太原市 小店区|辽宁省 沈阳市 和平区|吉林省 长春市 南关区|黑龙江省 哈尔滨市 道里区
上海市 上海市 徐汇区|江苏省 南京市 玄武区|江苏省 苏州市 姑苏区|浙江省 杭州市 西湖区|浙江省 宁波市 海曙区|安徽省 合肥市 庐阳区|福建省 福州市 鼓楼区
福建省 厦门市 思明区|江西省 南昌市 东湖区|山东省 济南市 历下区|山东省 青岛市 市南区|河南省 郑州市 金水区|湖北省 武汉市 江岸区|湖南省 长沙市 岳麓区
广东省 广州市 越秀区|广东省 深圳市 福田区|海南省 海口市 美兰区|四川省 成都市 武侯区|贵州省 贵阳市 云岩区|云南省 昆明市 五华区|陕西省 西安市 碑林区
甘肃省 兰州市 城关区|青海省 西宁市 城东区
""".replace("\n", "|").split("|")
    if line.strip()
)
_INVENTED = ("墨砚", "琉璃", "鲲鹏", "琥珀", "玄璜", "珊瑚", "麒麟角", "蓬莱洲", "翡翠坪", "瑶琴", "霜戈", "骊歌")
_ROADS = ("建国路", "学府街", "复兴大道", "江汉路", "滨河路", "工业三路", "振华街", "体育西路")
_TALK = (
    "今天天气真不错", "请尽快回复谢谢", "你好在吗", "这个多少钱一斤", "周末一起吃火锅吧", "订单已经签收", "我不知道", "同上", "不详", "无", "暂无", "测试数据请忽略",
    "hello world", "lorem ipsum dolor sit amet", "N/A", "null", "undefined", "asdfghjkl", "qwerty123", "😀😀😂", "🏠➡️🏢", "???????", "--------", "1234567",
)  # fmt: skip
_TEMPLATES = (
    "13{:09d}", "0571-8{:07d}", "https://www.example.com/item?id={}", "user{}@example.com", "SELECT * FROM t WHERE id={};--", "<script>alert({})</script>",
    "' OR '{0}'='{0}", "<b>价格{}元</b>", "33010619900101{:04d}", "2024-05-{:02d} 12:30", "￥{}.00", "订单号DD{:012d}", "快递单号SF{:010d}", "{}%", "身高{}cm体重60kg",
    "第{}章 总则", "库存{}件，欲购从速", "合同编号HT-{:06d}",
)  # fmt: skip
_CHAINS = (
    "海风便利",
    "星光便利",
    "鲜家超市",
    "康泰大药房",
    "春江面馆",
    "红泉火锅",
    "望海茶语",
    "动力健身",
    "安家房产",
    "新剪美发",
    "捷运驿站",
    "启明教育",
)


def queries(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Return about `count` queries of each class."""
    rng = stream(seed, "gazetteer.illegal")
    out: list[dict[str, object]] = []
    for kind, texts in (
        ("level_conflict", _conflicts(base, rng, count)),
        ("unknown_division", _unknown(rng, count)),
        ("not_address", _nonsense(rng, count)),
        ("outside_area", _outside(rng, count)),
        ("empty", ["", " ", "　", "\t\n", "，，，", "。", "  ,  ", "\u200b", "\ufeff", "( )"]),
        ("too_long", _long(base, rng, 12)),
    ):
        out += [refused(text, kind, expected_class=kind) for text in texts]
    return out + _ambiguous(base, rng, count)


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _road(rng: np.random.Generator) -> str:
    return f"{_pick(rng, _ROADS)}{rng.integers(1, 400)}号"


def _conflicts(base: Base, rng: np.random.Generator, count: int) -> list[str]:
    """Mix levels that don't hold each other: province and city, city and district, district and township, township and community."""
    texts = ["浙江省南京市西湖区"]
    divisions = base.table[base.table["kind"] == "division"]
    towns = divisions[divisions["township_name"].notna() & divisions["community_name"].isna()]
    units = divisions[divisions["community_name"].notna()]
    districts = sorted(set(divisions["district_name"].dropna()))
    while len(texts) < count:
        a, b = REAL[int(rng.integers(len(REAL)))], REAL[int(rng.integers(len(REAL)))]
        town = next(towns.sample(1, random_state=int(rng.integers(2**31))).itertuples())
        unit = next(units.sample(1, random_state=int(rng.integers(2**31))).itertuples())
        style = int(rng.integers(0, 5))
        other = districts[int(rng.integers(len(districts)))]
        if style == 0 and a[0] != b[0]:
            texts.append(f"{a[0]}{b[1]}{b[2]}{_road(rng)}")
        elif (
            style == 1
            and a[1] != b[1]
            and a[0] != a[1]
            and b[2] not in ("朝阳区", "鼓楼区", "城东区", "和平区", "长安区", "南关区", "西湖区", "东湖区")
        ):
            texts.append(f"{a[1]}{b[2]}{_road(rng)}")
        elif style == 2 and other != town.district_name:
            texts.append(f"{town.city_name}{other}{town.township_name}{_road(rng)}")
        elif style == 3 and unit.township_name != town.township_name:
            texts.append(f"{town.district_name}{town.township_name}{unit.community_name}{_road(rng)}")
        elif style == 4:
            texts.append(f"{a[0]}临海新城{town.district_name}{town.township_name}")
    return list(dict.fromkeys(texts))


def _unknown(rng: np.random.Generator, count: int) -> list[str]:
    styles = (
        "东海省临海新城{0}区{1}",
        "临海新城{0}区{2}街道{1}",
        "东海省{0}市{2}区{1}",
        "浙江省杭州市{0}区{1}",
        "{0}省{2}市{1}",
        "江苏省{0}市{1}",
    )
    texts: dict[str, None] = {}
    while len(texts) < count:
        a, b = rng.choice(len(_INVENTED), 2, replace=False)
        texts[_pick(rng, styles).format(_INVENTED[a], _road(rng), _INVENTED[b])] = None
    return list(texts)


def _nonsense(rng: np.random.Generator, count: int) -> list[str]:
    texts = dict.fromkeys(_TALK)
    while len(texts) < count:
        texts[_pick(rng, _TEMPLATES).format(int(rng.integers(1, 28)) if rng.random() < 0.1 else int(rng.integers(10_000)))] = None
    return list(texts)


def _outside(rng: np.random.Generator, count: int) -> list[str]:
    texts: dict[str, None] = {}
    while len(texts) < count:
        province, city, district = REAL[int(rng.integers(len(REAL)))]
        head = city if province == city else _pick(rng, (province + city, city))
        texts[f"{head}{district}{_road(rng)}"] = None
    return list(texts)


def _long(base: Base, rng: np.random.Generator, count: int) -> list[str]:
    part = base.table[base.table["kind"] == "door"]
    return [(str(row.address_text) * 1000)[:10_000] for row in sample(part, count, rng).itertuples()]


def _ambiguous(base: Base, rng: np.random.Generator, count: int) -> list[dict[str, object]]:
    """Ask for a chain without its branch, for a building of no estate, for doors of lanes that two districts have."""
    table = base.table
    out: list[dict[str, object]] = []
    districts = ("", *sorted(set(table["district_name"].dropna())))
    for brand in _CHAINS:
        hits = table[table["name"].fillna("").str.startswith(f"{brand}（")]
        for district in districts:
            ids = hits.loc[(hits["district_name"] == district) | (district == ""), "entity_id"]
            if len(ids) > 1:
                out.append(_tied(f"{district}{brand}", list(ids)))
    doors = table[(table["kind"] == "door")]
    twins = doors[doors.duplicated(["road_name", "door_number"], keep=False)]
    for (road, door), group in twins.groupby(["road_name", "door_number"]):
        if group["district_name"].nunique() == len(group):
            out += [_tied(f"{before}{road}{door}", list(group["entity_id"])) for before in ("", "临海新城", "东海省临海新城")]
    roads = table[table["kind"] == "road"]
    for road, group in roads[roads.duplicated("road_name", keep=False)].groupby("road_name"):
        out += [_tied(f"{before}{road}", list(group["entity_id"])) for before in ("", "临海新城")]
    return [out[i] for i in rng.permutation(len(out))[:count]]


def _tied(text: str, ids: list[str]) -> dict[str, object]:
    return refused(text, "ambiguous", "T", expected_class="ambiguous", fields=None, pieces=json.dumps({"candidates": ids[:50]}))
