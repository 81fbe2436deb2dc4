"""How the offices of the demo city publish it: files, formats, column names and datums, each with the bad rows that its truth lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from demo.city import dirt
from demo.city.dirt import Spoil, value, values
from demo.city.events import planted_events
from demo.city.formats import File
from demo.city.plan import METRIC_CRS, Anys, stream
from demo.city.world import World
from transforms.space import coords

ROAD_CLASS = {"expressway": "快速路", "arterial": "主干路", "secondary": "次干路", "branch": "支路"}
USE = {
    "residential": "住宅",
    "commercial": "商业",
    "office": "办公",
    "industrial": "厂房",
    "education": "教学",
    "medical": "医疗",
    "public": "公建",
}
GREEN = {"park": "公园", "square": "广场", "shelter": "防护绿地"}
WATER = {"river": "河流", "canal": "运河", "lake": "湖泊"}
LINES = {"blue_line": "蓝线", "green_line": "绿线", "urban_limit": "城镇开发边界"}
LEVEL = {"province": "省级", "city": "地级", "district": "县级", "township": "乡级", "community": "村级"}
COMPLAINTS = ("夜间施工噪声", "路灯不亮", "井盖破损", "占道停车", "供水中断", "垃圾堆积")
BEIJING = dt.timezone(dt.timedelta(hours=8))
TILES = ("nw", "ne", "sw", "se")
DEGREES = 9


@dataclass
class Delivery:
    """What one source delivers: the files whose rows count, and the table they are for."""

    source: str
    contract: str
    files: list[File]


def shapes(geoms: pd.Series, crs: str) -> Anys:
    """Return metric geometries in the CRS they are published in."""
    given = geoms.to_numpy()
    return np.asarray(given if crs == METRIC_CRS else coords.transform_geometries(given, METRIC_CRS, crs))


def positions(geoms: pd.Series, crs: str, decimals: int = DEGREES) -> tuple[list[object], list[object]]:
    """Return x and y of metric points in the CRS they are published in, rounded as published."""
    xy = shapely.get_coordinates(geoms.to_numpy())
    x, y = (xy[:, 0], xy[:, 1]) if crs == METRIC_CRS else coords.transform(xy[:, 0], xy[:, 1], METRIC_CRS, crs)
    return list(np.round(x, decimals).tolist()), list(np.round(y, decimals).tolist())


def table(frame: pd.DataFrame, columns: dict[str, object], *, key: str, geom: object = None) -> pd.DataFrame:
    """Return published columns with the bookkeeping: `_key` (as the lake will know the row) and `_uid`."""
    result = pd.DataFrame({name: list(v) if isinstance(v, Iterable) and not isinstance(v, str) else v for name, v in columns.items()})
    result = result.astype(object)
    if geom is not None:
        result["geom"] = geom
    result["_key"] = result[key].astype(str).tolist() if key in result else None
    result["_uid"] = frame["uid"].tolist() if "uid" in frame else None
    return result


def deliveries(world: World, edition: int) -> list[Delivery]:
    """Return all deliveries of an edition but the feed of public transport.

    What did not change between the editions is delivered byte for byte again, bad rows and all, as offices do.
    """

    def rng(part: str, *, changes: bool = True) -> np.random.Generator:
        return stream(world.plan.seed, f"dirt.{part}.{edition if changes else 1}")

    return [
        _divisions(world, rng("divisions")),
        _roads(world, rng("roads")),
        _buildings(world, rng("buildings")),
        *_addresses(world, rng("addresses", changes=False)),
        _places(world, rng("places")),
        *_nature(world, rng("nature", changes=False)),
        _firms(world, rng("firms")),
        _permits(world, rng("permits", changes=False)),
        _population(world, rng("population")),
        _economy(world, rng("economy")),
        _events(world, rng("events", changes=False)),
    ]


def _divisions(world: World, rng: np.random.Generator) -> Delivery:
    f = world.divisions.frame
    rows = table(
        f,
        {
            "区划代码": f["code"],
            "级别": f["level"].map(LEVEL),
            "名称": f["name"],
            "拼音": f["pinyin"],
            "上级代码": f["parent"],
            "启用日期": "2020-01-01",
        },
        key="区划代码",
        geom=shapes(f["geom"], "EPSG:4490"),
    )
    spoils = [value("名称", "missing_value", "SY-Q003", None), value("级别", "unknown_code", "SY-Q002", "组级")]
    rows = dirt.plant(rows, spoils, rng, key="区划代码", form=lambda n: f"390199999{n:03d}")
    return Delivery("demo_division", "core.basemap__division", [File("division/xzqh.gpkg", rows, "EPSG:4490", {"layer": "xzqh"})])


def _roads(world: World, rng: np.random.Generator) -> Delivery:
    f = world.roads.copy()
    f["geom"] = _mismatched(f, stream(world.plan.seed, "sheets"))
    late = f.index[(f["sheet"] == 2) & ~f["border"] & (f["kind"] == "branch")][-40:]
    f["file"] = f["sheet"]
    f.loc[late, "file"] = 3
    spoils = [
        value("DLDJ", "unknown_code", "SY-Q002", "七级路"),
        value("DLDJ", "missing_value", "SY-Q003", None),
        value("CDS", "out_of_range", "SY-Q004", 99),
        dirt.FAR,
        dirt.FLAT,
    ]
    files = []
    for number in (1, 2, 3):
        part = f[f["file"] == number]
        oneway = np.where(part["oneway"], "是", "否")
        rows = table(
            part,
            {
                "BH": part["key"], "MC": part["name"], "DLDJ": part["kind"].map(ROAD_CLASS), "CDS": part["lanes"], "LK": part["width"],
                "XS": part["speed"], "DX": oneway, "GXRQ": part["updated"],
            },
            key="BH",
            geom=part["geom"].to_numpy(),
        )  # fmt: skip
        lost = 8 if number == 3 else 0
        if lost:
            tail = rows.iloc[:lost].assign(
                BH=[f"03999{n:03d}" for n in range(lost)], _uid=None, _reason="cut_off_file", _codes="SY-Q007|SY-R061"
            )
            rows = pd.concat([rows.assign(_reason=None, _codes=None), tail.assign(_key=tail["BH"])], ignore_index=True).astype(object)
        else:
            prefix = f"{number:02d}8"
            rows = dirt.plant(rows, spoils, rng, key="BH", form=lambda n, p=prefix: f"{p}{n:05d}")  # type: ignore[misc]
        files.append(File(f"road/sheet_{number:02d}.shp", rows, METRIC_CRS, {"cpg": number != 1, "lost": lost}))
    return Delivery("demo_road", "core.basemap__road_segment", files)


def _mismatched(roads: pd.DataFrame, rng: np.random.Generator) -> Anys:
    """Move the ends at the sheet border of sheet 02 by 0.2–0.8 m, as two surveys differ."""
    geoms: Anys = roads["geom"].to_numpy().copy()
    border = max(g.bounds[2] for g, s, b in zip(geoms, roads["sheet"], roads["border"], strict=True) if b and s == 1)
    for i in np.flatnonzero((roads["border"] & (roads["sheet"] == 2)).to_numpy()):
        xy = shapely.get_coordinates(geoms[i]).copy()
        end = int(np.argmin(np.abs(xy[:, 0] - border)))
        xy[end] += np.round([rng.uniform(0.0, 0.15), rng.choice([-1, 1]) * rng.uniform(0.2, 0.75)], 3)
        geoms[i] = shapely.LineString(xy)
    return geoms


def _buildings(world: World, rng: np.random.Generator) -> Delivery:
    f = world.buildings
    plan = world.plan
    west, south = (f["u"] < plan.nx / 2).to_numpy(), (f["v"] < plan.ny / 2).to_numpy()
    quarter = np.select([~south & west, ~south & ~west, south & west], TILES[:3], TILES[3])
    # the flight strips overlap: what stands within half a cell of the border is in the neighbour's tile as well
    near = (np.abs(f["u"] - plan.nx / 2) < 0.5).to_numpy()
    geoms = shapes(f["geom"], "EPSG:4326")
    columns = {
        "编号": f["key"], "名称": f["name"].where(f["name"] != "", None), "用途": f["use"].map(USE), "层数": f["floors"],
        "楼高_cm": np.round(f["height"] * 100).astype(int), "建成年份": f["year"], "更新日期": f["updated"],
    }  # fmt: skip
    rows = table(f, columns, key="编号", geom=geoms).assign(_repeat=None, _twin=None)
    spoils = [
        dirt.BOW_TIE, dirt.FLAT, dirt.SWAPPED, dirt.FAR, dirt.NO_SHAPE, value("层数", "wrong_type", "SY-Q001", "十二"),
        value("层数", "out_of_range", "SY-Q004", 999), value("用途", "unknown_code", "SY-Q002", "城堡"),
        value("建成年份", "out_of_range", "SY-Q004", 20250),
    ]  # fmt: skip
    files = []
    for tile in TILES:
        own = rows[quarter == tile]
        across = {"nw": "ne", "sw": "se"}.get(tile)
        if across is not None:
            own = pd.concat([own, _again(rows[(quarter == across) & near], rng, keyless=across == "se")])
        serial = TILES.index(tile)
        own = dirt.plant(own, spoils, rng, key="编号", form=lambda n, s=serial: f"LH8{s}{n:05d}")  # type: ignore[misc]
        if tile == "se":
            own = own.drop(columns="编号").assign(_key=None)
        else:
            own = dirt.repeat(own, rng, 12)
            own = dirt.repeat(own, rng, 12, older={"更新日期": "2019-03-01", "层数": 1, "楼高_cm": 330})
        suffix = "geojson" if tile[0] == "n" else "topojson"
        files.append(File(f"building/tile_{tile}.{suffix}", own, "EPSG:4326"))
    return Delivery("demo_building", "core.basemap__building", files)


def _again(overlap: pd.DataFrame, rng: np.random.Generator, *, keyless: bool) -> pd.DataFrame:
    """Return the overlap as the neighbouring tile shows it: every other row alike, the rest (`keyless`: all) measured anew."""
    again = overlap.copy()
    anew = np.arange(len(again)) % 2 == 1
    if keyless:
        anew[:] = True
    again["geom"] = [
        shapely.transform(g, lambda xy: xy + rng.uniform(-3e-7, 3e-7, 2)) if new else g for g, new in zip(again["geom"], anew, strict=True)
    ]
    again["编号"] = [f"{key}T" if new else key for key, new in zip(again["编号"], anew, strict=True)]
    again["_twin"] = [key if new else None for key, new in zip(again["_key"], anew, strict=True)]
    again["_key"] = again["编号"]
    again["_repeat"] = np.where(anew, "near", "exact")
    return again


def _addresses(world: World, rng: np.random.Generator) -> list[Delivery]:
    f = world.addresses
    result = []
    halves = (
        ("demo_address_east", "address/dzb_east.xlsx", ("新港区", "云山区")),
        ("demo_address_west", "address/dzb_west.csv", ("望海区", "临江区")),
    )
    for source, path, districts in halves:
        part = f[f["district"].isin(districts)]
        x, y = positions(part["geom"], "EPSG:4490")
        rows = table(
            part,
            {
                "地址编码": part["key"], "标准地址": part["text"], "区县": part["district"], "街道": part["township"],

                "社区": part["community"], "道路": part["road"], "门牌号": part["door"], "楼栋": part["unit"],
                "经度": x, "纬度": y,
            },
            key="地址编码",
        )  # fmt: skip
        nowhere = values("missing_value", "SY-Q003|SY-Q008", 标准地址=None, 道路=None, 门牌号=None, 楼栋=None)
        spoils = [*dirt.point_fields("经度", "纬度"), nowhere]
        if path.endswith(".csv"):
            spoils.append(dirt.ragged())
        rows = dirt.plant(rows, spoils, rng, key="地址编码", form=lambda n, p=source[13]: f"DZ8{p}{n:05d}", share=0.01)  # type: ignore[misc]
        result.append(Delivery(source, "core.basemap__address", [File(path, rows)]))
    return result


def _places(world: World, rng: np.random.Generator) -> Delivery:
    f = world.places
    x, y = positions(f["geom"], "BD-09")
    columns = {
        "编号": f["key"], "名称": f["name"], "行业": f["trade"], "小类": f["kind"], "品牌": f["brand"], "地址": f["address"],
        "电话": f["phone"], "营业时间": f["hours"], "bd_lng": x, "bd_lat": y, "更新日期": f["updated"],
    }  # fmt: skip
    spoils = [
        *dirt.point_fields("bd_lng", "bd_lat"), value("行业", "unknown_code", "SY-Q002", "占卜"),
        value("行业", "missing_value", "SY-Q003", None), dirt.ragged(),
    ]  # fmt: skip
    rows = dirt.plant(table(f, columns, key="编号"), spoils, rng, key="编号", form=lambda n: f"POI7{n:05d}", share=0.02)
    rows = dirt.repeat(rows, rng, 15)
    rows = dirt.repeat(rows, rng, 15, older={"更新日期": "2018-06-01", "电话": "0599-80000000"})
    return Delivery("demo_place", "core.basemap__place", [File("place/poi_bd09.csv", rows)])


def _nature(world: World, rng: np.random.Generator) -> list[Delivery]:
    n = world.nature
    green = table(
        n.green, {"编号": n.green["key"], "名称": n.green["name"], "类别": n.green["kind"].map(GREEN), "面积": n.green["area"]}, key="编号",
        geom=n.green["geom"].to_numpy(),
    )  # fmt: skip
    green = dirt.plant(green, [dirt.NAN, value("类别", "unknown_code", "SY-Q002", "秘境")], rng, key="编号", form=lambda i: f"G8{i:04d}")
    water = table(
        n.water,
        {"bh": n.water["key"], "mc": n.water["name"], "lb": n.water["kind"].map(WATER)},
        key="bh",
        geom=shapes(n.water["geom"], "EPSG:4490"),
    )
    water = dirt.plant(water, [value("lb", "missing_value", "SY-Q003", None)], rng, key="bh", form=lambda i: f"W8{i:04d}")
    lines = table(
        n.lines,
        {"bh": n.lines["key"], "mc": n.lines["name"], "lb": n.lines["kind"].map(LINES)},
        key="bh",
        geom=shapes(n.lines["geom"], "EPSG:4490"),
    )
    spoils: list[Spoil] = [dirt.BOW_TIE, value("mc", "missing_value", "SY-Q003", None)]
    lines = dirt.plant(lines, spoils, rng, key="bh", form=lambda i: f"B8{i:03d}")
    return [
        Delivery("demo_green", "core.basemap__green_land", [File("green/lvdi.gpkg", green, METRIC_CRS, {"layer": "lvdi"})]),
        Delivery("demo_water", "core.basemap__water", [File("water/shuixi.fgb", water, "EPSG:4490")]),
        Delivery("demo_boundary", "core.basemap__boundary", [File("boundary/kongzhixian.gml", lines, "EPSG:4490")]),
    ]


def _firms(world: World, rng: np.random.Generator) -> Delivery:
    f = world.firms
    x, y = positions(f["geom"], "GCJ-02")
    columns = {
        "统一社会信用代码": f["key"], "企业名称": f["name"], "行业": f["industry"],
        "成立日期": [f"{d.year}年{d.month}月{d.day}日" for d in f["registered"]],
        "注册资本_万元": f["capital"], "从业人数": f["staff"], "登记状态": f["status"], "住所": f["address"], "经营范围": f["scope"],
        "gcj_lng": [v if ok else None for v, ok in zip(x, f["located"], strict=True)],
        "gcj_lat": [v if ok else None for v, ok in zip(y, f["located"], strict=True)], "核准日期": f["updated"],
    }  # fmt: skip
    rows = table(f, columns, key="统一社会信用代码")
    spoils = [
        dirt.check_character("统一社会信用代码"), value("企业名称", "missing_value", "SY-Q003", None),
        value("行业", "unknown_code", "SY-Q002", "Z00"),
        value("成立日期", "illegal_date", "SY-Q001", "2023年2月30日"), value("注册资本_万元", "out_of_range", "SY-Q004", -5),
        value("统一社会信用代码", "bad_form", "SY-Q005", "91390102MA0000000"),
    ]  # fmt: skip
    codes = iter(society_codes(rng))
    rows = dirt.plant(rows, spoils, rng, key="统一社会信用代码", form=lambda n: next(codes), share=0.02)
    rows = dirt.repeat(rows, rng, 10)
    rows = dirt.repeat(rows, rng, 10, older={"核准日期": "2017-01-05", "登记状态": "存续", "从业人数": 1})
    return Delivery("demo_firm", "core.thematic__legal_person", [File("firm/faren.csv", rows, None, {"encoding": "gb18030"})])


def society_codes(rng: np.random.Generator) -> Iterable[str]:
    """Give valid credit codes of a registration office that the city does not have, for rows that are spoilt otherwise."""
    from demo.city.society import credit_code

    while True:
        yield credit_code(rng, "390199")


def _permits(world: World, rng: np.random.Generator) -> Delivery:
    f = world.permits
    x, y = positions(f["geom"], METRIC_CRS, 3)
    columns = {
        "许可证号": f["key"], "持证人": f["holder"], "信用代码": f["credit_code"], "许可类型": f["kind"], "状态": f["status"],
        "发证日期": [f"{d.year}/{d.month}/{d.day}" for d in f["issued"]], "有效期至": [f"{d.year}/{d.month}/{d.day}" for d in f["expires"]],
        "经营范围": f["scope"], "地址": f["address"], "X": x, "Y": y,
    }  # fmt: skip
    spoils = [
        value("发证日期", "illegal_date", "SY-Q001", "2023/2/30"), value("持证人", "missing_value", "SY-Q003", None),
        value("许可类型", "unknown_code", "SY-Q002", "飞行许可"),
        values("out_of_order", "SY-Q008", 发证日期="2024/6/1", 有效期至="2023/6/1"),
        dirt.ragged(),
    ]  # fmt: skip
    rows = dirt.plant(table(f, columns, key="许可证号"), spoils, rng, key="许可证号", form=lambda n: f"JY8{n:06d}")
    # two offices gave one number twice: nothing says which row is right, so the second is held back
    twice = rows[rows["_reason"].isna()].iloc[:4].assign(持证人="临海新城重号商行", _uid=None, _reason="key_conflict", _codes="SY-Q006")
    rows = pd.concat([rows, twice], ignore_index=True)
    return Delivery("demo_permit", "core.thematic__permit", [File("permit/xuke.csv", rows)])


def _population(world: World, rng: np.random.Generator) -> Delivery:
    f = world.population
    columns = {
        "区划代码": f["code"], "社区": f["name"], "年份": f["year"], "常住人口": f["total"], "男": f["male"], "女": f["female"],
        "户数": f["households"],
    }  # fmt: skip
    rows = table(f, columns, key="区划代码")
    rows["_key"] = rows["区划代码"] + "|" + rows["年份"].astype(str)
    spoils = [
        value("常住人口", "wrong_type", "SY-Q001", "约三千"), value("年份", "out_of_range", "SY-Q004", 20240),
        value("区划代码", "bad_form", "SY-Q005", "39010200100"),
    ]  # fmt: skip
    rows = dirt.plant(rows, spoils, rng, key="区划代码", form=lambda n: f"390198001{n:03d}")
    return Delivery("demo_population", "core.thematic__population", [File("population/renkou.xlsx", rows, None, {"sheet": "社区人口"})])


def _economy(world: World, rng: np.random.Generator) -> Delivery:
    f = world.economy
    columns = {"区划代码": f["code"], "地区": f["name"], "指标": f["indicator"], "年份": f["year"], "数值": f["value"], "单位": f["unit"]}
    rows = table(f, columns, key="区划代码")
    rows["_key"] = rows["区划代码"] + "|" + rows["指标"] + "|" + rows["年份"].astype(str)
    spoils = [value("数值", "wrong_type", "SY-Q001", "暂缺"), value("指标", "unknown_code", "SY-Q002", "幸福指数")]
    rows = dirt.plant(rows, spoils, rng, key="区划代码", form=lambda n: f"3901{90 + n:02d}000000")
    return Delivery("demo_economy", "core.thematic__economic_indicator", [File("economy/zhibiao.csv", rows)])


def _events(world: World, rng: np.random.Generator) -> Delivery:
    f = planted_events(world.plan.seed).events
    local = f["observed_at"].dt.tz_convert(BEIJING)
    columns = {
        "事件编号": f["event_id"], "发生时间": local.dt.strftime("%Y-%m-%d %H:%M:%S"), "类别": f["kind_name"],
        "描述": f["kind_name"] + "：" + rng.choice(COMPLAINTS, len(f)), "经度": f["lon"].round(DEGREES), "纬度": f["lat"].round(DEGREES),
    }  # fmt: skip
    spoils = [
        *dirt.point_fields("经度", "纬度"), value("发生时间", "illegal_date", "SY-Q001", "2025-02-30 08:00:00"),
        value("类别", "unknown_code", "SY-Q002", "许愿"), value("发生时间", "missing_value", "SY-Q003", None), dirt.ragged(),
    ]  # fmt: skip
    rows = dirt.plant(table(f, columns, key="事件编号"), spoils, rng, key="事件编号", form=lambda n: f"E9{n:06d}")
    return Delivery("demo_event", "core.thematic__event", [File("event/shijian.csv", dirt.repeat(rows, rng, 15))])
