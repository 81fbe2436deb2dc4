"""Addresses and places of the demo city: door numbers odd and even along the streets, and what people go to behind the doors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from demo.city.divisions import CITY_NAME, PROVINCE_NAME, Divisions
from demo.city.naming import Names, numeral
from demo.city.plan import Plan, stream

# Trade, kind, brands (a chain has the road in brackets), share of places.
KINDS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("餐饮", "面馆", ("春江面馆", "阿兴面庄"), 0.09),
    ("餐饮", "火锅店", ("红泉火锅", "云山火锅"), 0.06),
    ("餐饮", "茶饮", ("望海茶语", "青柑茶铺"), 0.06),
    ("批发和零售", "便利店", ("海风便利", "星光便利"), 0.14),
    ("批发和零售", "超市", ("鲜家超市",), 0.06),
    ("批发和零售", "药店", ("康泰大药房", "临安堂药店"), 0.06),
    ("住宿", "酒店", ("云朵快捷酒店", "望海宾馆"), 0.04),
    ("金融保险", "银行网点", ("东海农商银行", "临海新城商业银行"), 0.06),
    ("教育文化", "小学", (), 0.02),
    ("教育文化", "幼儿园", (), 0.04),
    ("教育文化", "培训机构", ("启明教育",), 0.03),
    ("卫生社保", "社区卫生服务站", (), 0.03),
    ("卫生社保", "口腔诊所", ("白鹤口腔",), 0.03),
    ("运动休闲", "健身房", ("动力健身",), 0.04),
    ("公共设施", "公共厕所", (), 0.04),
    ("商业服务", "房产中介", ("安家房产",), 0.06),
    ("居民服务", "理发店", ("新剪美发",), 0.05),
    ("汽车服务", "汽车维修", ("驰通汽修",), 0.03),
    ("交通仓储", "快递驿站", ("捷运驿站",), 0.03),
    ("科研技术服务", "检测机构", (), 0.01),
    ("公司企业", "写字楼企业", (), 0.02),
)


def addresses(plan: Plan, divisions: Divisions, buildings: pd.DataFrame) -> pd.DataFrame:
    """Give buildings on named roads their standard address.

    One row per door (a house, or the gate of an estate) and per building of an estate. Columns: key, text, the elements, building (its
    index), geom.
    """
    town = buildings[(buildings["road"] != "")].copy()
    town["door"] = np.where(town["estate"] != "", town["estate"], town.index.astype(str))
    town["along"] = town["u"] + town["v"]
    doors = town.groupby(["road", "side", "door"], sort=True)["along"].min().reset_index().sort_values(["road", "side", "along", "door"])
    doors["serial"] = doors.groupby(["road", "side"]).cumcount()
    doors["number"] = 2 * doors["serial"] + np.where(doors["side"] == "left", 1, 2)
    number = dict(zip(zip(doors["road"], doors["side"], doors["door"], strict=True), doors["number"], strict=True))
    first = town.drop_duplicates("door").set_index("door")
    rows = town.assign(
        road=first.loc[town["door"], "road"].to_numpy() if len(town) else [],
        side=first.loc[town["door"], "side"].to_numpy() if len(town) else [],
    )
    frame = pd.DataFrame({"building": rows.index, "road": rows["road"].to_numpy()})
    keys = zip(rows["road"], rows["side"], rows["door"], strict=True)
    frame["door"] = [f"{number[key]}号" for key in keys]
    frame["unit"] = np.where(rows["estate"] != "", rows["estate"] + rows["number"].astype(str) + "幢", None)
    code = divisions.community(rows["u"].to_numpy(), rows["v"].to_numpy())
    names = dict(zip(divisions.frame["code"], divisions.frame["name"], strict=True))
    frame["community"] = [names[c] for c in code]
    frame["township"] = [names[c[:9] + "000"] for c in code]
    frame["district"] = [names[c[:6] + "000000"] for c in code]
    frame["text"] = (
        f"{PROVINCE_NAME}{CITY_NAME}"
        + frame["district"]
        + frame["township"]
        + frame["community"]
        + frame["road"]
        + frame["door"]
        + frame["unit"].fillna("")
    )
    frame["geom"] = shapely.point_on_surface(rows["geom"].to_numpy())
    frame["geom"] = shapely.set_precision(frame["geom"].to_numpy(), 0.001)
    frame = frame.drop_duplicates("text", ignore_index=True)
    frame["key"] = [f"DZ{n:07d}" for n in range(1, len(frame) + 1)]
    return frame


def places(plan: Plan, address: pd.DataFrame, buildings: pd.DataFrame) -> pd.DataFrame:
    """Put places of the thirteen trades at addresses. Columns: key, trade, kind, brand, name, address, phone, hours, geom."""
    rng = stream(plan.seed, "places")
    pool = Names(rng)
    use = buildings["use"].to_numpy()[address["building"].to_numpy()]
    weight = np.where(np.isin(use, ["commercial", "office"]), 9.0, np.where(use == "industrial", 0.3, 1.0))
    count = int(len(buildings) * 0.22)
    spot = rng.choice(len(address), count, replace=False, p=weight / weight.sum())
    kind = rng.choice(len(KINDS), count, p=np.array([k[3] for k in KINDS]) / sum(k[3] for k in KINDS))
    road, text = address["road"].to_numpy()[spot], address["text"].to_numpy()[spot]
    district, geoms = address["district"].to_numpy()[spot], address["geom"].to_numpy()[spot]
    serial: dict[tuple[str, str], int] = {}
    used: dict[str, int] = {}
    rows = []
    for i in range(count):
        trade, word, brands, _ = KINDS[kind[i]]
        brand = str(rng.choice(brands)) if brands and rng.random() < 0.75 else None
        if brand:
            name = f"{brand}（{road[i]}店）"
        elif word in ("小学", "幼儿园", "社区卫生服务站"):
            serial[word, district[i]] = serial.get((word, district[i]), 0) + 1
            name = f"{district[i]}第{numeral((serial[word, district[i]] - 1) % 99 + 1)}{word}"
        else:
            name = next(pool) + word
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = (
                name.replace("店）", f"{numeral(min(used[name], 99))}店）") if "店）" in name else f"{name}{numeral(min(used[name], 99))}部"
            )
        hours = "00:00-24:00" if word in ("便利店", "公共厕所") else str(rng.choice(["08:00-20:00", "09:00-21:30", "10:00-22:00"]))
        rows.append((trade, word, brand, name, text[i], f"0599-8{rng.integers(0, 10**7):07d}", hours))
    frame = pd.DataFrame(rows, columns=["trade", "kind", "brand", "name", "address", "phone", "hours"])
    xy = shapely.get_coordinates(geoms) + rng.uniform(-4, 4, (count, 2))
    frame["geom"] = shapely.points(np.round(xy, 3))
    frame["key"] = [f"POI{n:06d}" for n in range(1, count + 1)]
    return frame
