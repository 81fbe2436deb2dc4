"""The field dictionary: every column of every contract is defined here once, so that a quantity has the same name in every table.

Names end in the SI unit (`_m`, `_kmh`, `_s`), in `_code` (a value of a code list or of a coding standard), `_name` or `_text` (free
text), `_at` (UTC instant), `_on` (calendar date), `_count` (a number of things), or begin with `is_` (boolean). `aliases` are names seen
in the wild: they are used to suggest a mapping, never to make one. The stamp's own columns are in `schemas.stamp`, those of the
bookkeeping tables in `schemas.ops`.
"""

from __future__ import annotations

from typing import Any

from schemas import stamp
from schemas.model import Contract, DType, FieldDef


def define(name: str, dtype: DType, title_zh: str, description: str, *aliases: str, **more: Any) -> FieldDef:
    """Return a field; `aliases` follow the description, the rest by keyword."""
    return FieldDef(name=name, dtype=dtype, title_zh=title_zh, description=description, aliases=aliases, **more)


S, B, INT, L, D, DATE = DType.STRING, DType.BOOLEAN, DType.INTEGER, DType.LONG, DType.DOUBLE, DType.DATE
TWELVE_DIGITS = "^[0-9]{12}$"

# Stamp columns that a contract may fill itself, with what the stamp can't know of their values.
CLASS_CODE = stamp.CLASS_CODE.model_copy(update={"aliases": ("class", "type", "fclass", "类别", "分类", "分类代码", "lb", "fldm")})
INDUSTRY_CODE = stamp.INDUSTRY_CODE.model_copy(update={"code_list": "industry", "aliases": ("industry", "行业", "行业代码", "hydm")})
DIVISION_CODE = stamp.DIVISION_CODE.model_copy(
    update={"pattern": TWELVE_DIGITS, "aliases": ("adcode", "xzqdm", "区划代码", "行政区划代码", "统计用区划代码", "qhdm")}
)

# Names and validity
NAME = define(
    "name", S, "名称", "Name in the local language, as the publisher writes it", "NAME", "Name", "名称", "名字", "mc", "MC", "xm", "title"
)
NAME_EN = define("name_en", S, "英文名称", "Name in English", "name:en", "NAME_EN", "英文名", "ywmc")
NAME_PINYIN = define("name_pinyin", S, "名称拼音", "Name in Hanyu Pinyin", "name:zh_pinyin", "pinyin", "拼音", "汉语拼音")
FORMER_NAMES = define(
    "former_names", DType.STRINGS, "曾用名", "Names that the thing bore before, newest first", "old_name", "曾用名", "cym"
)
VALID_FROM_ON = define(
    "valid_from_on", DATE, "生效日期", "Day from which this state holds in the world", "start_date", "生效日期", "启用日期", "sxrq"
)
VALID_TO_ON = define(
    "valid_to_on", DATE, "失效日期", "Day from which this state holds no more (exclusive)", "end_date", "失效日期", "废止日期"
)

# Divisions and boundaries
DIVISION_LEVEL = define(
    "division_level",
    INT,
    "区划级别",
    "1 province, 2 prefecture, 3 county, 4 township, 5 community",
    "level",
    "级别",
    "jb",
    minimum=1,
    maximum=5,
    code_list="division_level",
)
PARENT_CODE = define(
    "parent_code", S, "上级区划代码", "Code of the division one level up", "parent", "上级代码", "sjdm", pattern=TWELVE_DIGITS
)
PARENT_NAME = define("parent_name", S, "上级名称", "Name of the area that holds this one", "City", "County", "上级名称")

# Roads
ROUTE_NUMBER = define("route_number", S, "路线编号", "Number on the sign, e.g. G104, I 80", "ref", "REF", "路线编号", "lxbh")
LANE_COUNT = define(
    "lane_count", INT, "车道数", "Lanes in both directions together", "lanes", "车道数", "cds", unit="1", minimum=1, maximum=30
)
MAXSPEED_KMH = define(
    "maxspeed_kmh", D, "限速", "Legal speed limit", "maxspeed", "speed_limit", "限速", "xs", unit="km/h", minimum=1, maximum=160
)
WIDTH_M = define("width_m", D, "宽度", "Width of the carriageway", "width", "路宽", "宽度", "kd", unit="m", minimum=0.3, maximum=200)
IS_ONEWAY = define("is_oneway", B, "是否单行", "True where traffic may only follow the line's direction", "oneway", "单行", "dx")
SURFACE_NAME = define("surface_name", S, "路面材料", "Surface as the publisher words it", "surface", "路面", "路面材料", "lmcl")
IS_BRIDGE = define("is_bridge", B, "是否桥梁", "True where the line is carried by a bridge", "bridge", "桥梁")
IS_TUNNEL = define("is_tunnel", B, "是否隧道", "True where the line runs in a tunnel", "tunnel", "隧道")
LAYER_NUMBER = define(
    "layer_number", INT, "层次", "Order of crossings: 0 on the ground, above positive", "layer", "z_order", "层次", minimum=-10, maximum=10
)

# Buildings
HEIGHT_M = define(
    "height_m",
    D,
    "高度",
    "Height of the roof above the ground",
    "height",
    "building:height",
    "楼高",
    "高度",
    "建筑高度",
    "gd",
    unit="m",
    minimum=0.5,
    maximum=1000,
)
FLOORS_ABOVE = define(
    "floors_above",
    INT,
    "地上层数",
    "Storeys above the ground",
    "levels",
    "building:levels",
    "floors",
    "楼层",
    "层数",
    "地上层数",
    "dscs",
    unit="1",
    minimum=0,
    maximum=200,
)
FLOORS_BELOW = define(
    "floors_below",
    INT,
    "地下层数",
    "Storeys below the ground",
    "building:levels:underground",
    "地下层数",
    "dxcs",
    unit="1",
    minimum=0,
    maximum=20,
)
BUILT_YEAR = define(
    "built_year",
    INT,
    "建成年份",
    "Year of completion (Gregorian)",
    "year_built",
    "yrbuilt",
    "start_date",
    "建成年份",
    "建成年代",
    "jcnf",
    unit="a",
    minimum=500,
    maximum=2100,
)

# Water, places
IS_INTERMITTENT = define(
    "is_intermittent", B, "是否季节性", "True where there is water for part of the year only", "intermittent", "seasonal", "时令"
)
KIND_NAME = define(
    "kind_name", S, "原类别", "Class as the publisher words it, finer than `class_code`", "amenity", "shop", "type", "类型", "小类"
)
BRAND_NAME = define("brand_name", S, "品牌", "Brand or chain", "brand", "品牌")
PHONE_TEXT = define("phone_text", S, "电话", "Telephone as published", "phone", "contact:phone", "tel", "电话", "联系电话", "dh")
OPENING_TEXT = define("opening_text", S, "营业时间", "Opening hours as published", "opening_hours", "dayshours", "营业时间")

# Addresses
ADDRESS_TEXT = define(
    "address_text", S, "地址", "The whole address as one text", "address", "Address", "addr:full", "地址", "标准地址", "住所", "dz"
)
PROVINCE_NAME = define("province_name", S, "省", "Province, municipality or autonomous region", "addr:province", "addr:state", "省", "省份")
CITY_NAME = define("city_name", S, "市", "Prefecture-level city", "addr:city", "市", "城市")
DISTRICT_NAME = define("district_name", S, "区县", "District or county", "addr:district", "区", "县", "区县")
TOWNSHIP_NAME = define("township_name", S, "街道乡镇", "Street office, town or township", "addr:subdistrict", "街道", "乡镇", "镇")
COMMUNITY_NAME = define("community_name", S, "社区村", "Residents' or village committee", "addr:neighbourhood", "社区", "村", "居委会")
ROAD_NAME = define("road_name", S, "道路名", "Road, street or lane of the address", "addr:street", "street", "道路", "路名", "街路巷")
DOOR_NUMBER = define(
    "door_number", S, "门牌号", "Number of the door on the road", "addr:housenumber", "housenumber", "门牌号", "门牌", "mph"
)
BUILDING_NUMBER = define(
    "building_number", S, "楼栋号", "Number of the building in the compound", "addr:building", "楼栋", "幢", "栋号", "ldh"
)
UNIT_NUMBER = define("unit_number", S, "单元号", "Number of the stairway in the building", "addr:unit", "单元", "单元号", "dyh")
ROOM_NUMBER = define("room_number", S, "户室号", "Number of the room or flat", "addr:flats", "室", "房号", "户室号", "sh")
POSTCODE = define("postcode", S, "邮政编码", "Postal code", "addr:postcode", "zip", "zip_code", "邮编", "yb")

# Public transport; names after GTFS Schedule, keys as the feed gives them
STOP_NUMBER = define("stop_number", S, "站牌编号", "Short text on the stop's sign", "stop_code", "站牌编号")
STOP_KIND_CODE = define(
    "stop_kind_code", S, "站点类型", "Stop, station, entrance, node or boarding area", "location_type", code_list="stop_kind"
)
PARENT_STOP_KEY = define("parent_stop_key", S, "所属车站", "Key of the station that holds the stop", "parent_station")
PLATFORM_NAME = define("platform_name", S, "站台", "Platform of the stop", "platform_code", "站台")
ZONE_NAME = define("zone_name", S, "票价区", "Fare zone", "zone_id", "票价区")
IS_WHEELCHAIR_ACCESSIBLE = define(
    "is_wheelchair_accessible", B, "是否无障碍", "True where a wheelchair can board", "wheelchair_boarding", "wheelchair_accessible"
)
AGENCY_NAME = define("agency_name", S, "运营单位", "Operator of the route", "agency_id", "operator", "运营单位", "公交公司")
SHORT_NAME = define("short_name", S, "简称", "Short name or number of the route", "route_short_name", "线路号", "线路简称")
COLOUR = define("colour", S, "颜色", "Colour of the route as RRGGBB", "route_color", "颜色", pattern="^[0-9A-Fa-f]{6}$")
ROUTE_KEY = define("route_key", S, "线路键", "Key of the route in its source", "route_id", "线路编号")
SERVICE_KEY = define("service_key", S, "服务日键", "Key of the calendar in its source that says on which days the trip runs", "service_id")
TRIP_KEY = define("trip_key", S, "班次键", "Key of the trip in its source", "trip_id", "班次编号")
STOP_KEY = define("stop_key", S, "站点键", "Key of the stop in its source", "stop_id", "站点编号")
HEADSIGN_NAME = define("headsign_name", S, "方向牌", "Destination shown to riders", "trip_headsign", "终点站")
DIRECTION_NUMBER = define(
    "direction_number", INT, "方向", "0 or 1: the two directions of a route", "direction_id", "方向", minimum=0, maximum=1
)
BLOCK_KEY = define("block_key", S, "车辆运行块", "Trips of one vehicle in a row bear the same key", "block_id")
STOP_SEQUENCE = define("stop_sequence", INT, "站序", "Order of the stop in the trip, increasing", "stop_sequence", "站序", minimum=0)
ARRIVAL_S = define(
    "arrival_s",
    INT,
    "到站时刻",
    "Arrival in seconds since the start of the service day (noon less 12 h); above 86400 after midnight",
    "arrival_time",
    unit="s",
    minimum=0,
    maximum=432000,
)
DEPARTURE_S = define(
    "departure_s", INT, "发车时刻", "Departure, counted as `arrival_s`", "departure_time", unit="s", minimum=0, maximum=432000
)
IS_TIMEPOINT = define("is_timepoint", B, "是否准点", "True where the times are kept exactly, false where they are estimates", "timepoint")

# Legal persons and permits
CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015, 31 characters: no INT, O, S, V, Z
CREDIT_CODE = define(
    "credit_code",
    S,
    "统一社会信用代码",
    "Unified social credit code (GB 32100-2015), 18 characters",
    "uscc",
    "统一社会信用代码",
    "社会信用代码",
    "信用代码",
    "tyshxydm",
    pattern="^[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}$",
)
REGISTERED_ON = define("registered_on", DATE, "成立日期", "Day of registration", "成立日期", "注册日期", "登记日期", "clrq", "established")
CAPITAL_CNY = define(
    "capital_cny", D, "注册资本", "Registered capital in yuan, not in 万元", "注册资本", "注册资金", "zczb", unit="CNY", minimum=0
)
EMPLOYEE_COUNT = define("employee_count", INT, "从业人数", "Persons employed", "从业人数", "职工人数", "employees", unit="1", minimum=0)
FIRM_STATUS_CODE = define(
    "firm_status_code", S, "登记状态", "State of the registration", "登记状态", "经营状态", "jyzt", code_list="firm_status"
)
PERMIT_NUMBER = define(
    "permit_number", S, "许可证编号", "Number of the permit, as its authority writes it", "permit", "许可证号", "证照编号", "xkzh"
)
HOLDER_NAME = define("holder_name", S, "持证人", "Firm or person who holds the permit", "Applicant", "applicant", "持证人", "单位名称")
PERMIT_STATUS_CODE = define(
    "permit_status_code", S, "许可状态", "State of the permit", "Status", "status", "状态", "zt", code_list="permit_status"
)
ISSUED_ON = define(
    "issued_on", DATE, "发证日期", "Day on which the permit was granted", "Approved", "issued", "发证日期", "许可日期", "fzrq"
)
EXPIRES_ON = define("expires_on", DATE, "有效期至", "Last day of the permit", "ExpirationDate", "expires", "有效期至", "yxqz")
SCOPE_TEXT = define("scope_text", S, "许可内容", "What the permit allows", "FoodItems", "许可内容", "经营范围")
PLACE_TEXT = define("place_text", S, "地点描述", "Where it is, in words other than an address", "LocationDescription", "地点", "位置描述")

# Events
EVENT_ID = define("event_id", S, "事件编号", "Number of the event, as its office keeps it", "事件编号", "工单编号", "case_id", "sjbh")
OCCURRED_AT = define(
    "occurred_at", DType.TIMESTAMP, "发生时间", "Instant at which it happened, or was reported where nobody knows (UTC)", "发生时间", "fssj"
)
EVENT_TEXT = define("event_text", S, "事件描述", "What happened, in words", "description", "描述", "事件描述")

# Aliases of addresses, and what geocoding found
ALIAS_NAME = define("alias_name", S, "别名", "The other name", "alias", "别名", "俗称", "alt_name", "short_name")
ALIAS_KIND_CODE = define("alias_kind_code", S, "别名类型", "Kind of the other name", "别名类型", code_list="alias_kind")
TARGET_ENTITY_ID = define("target_entity_id", S, "实体标识", "`entity_id` of the thing that the alias names")
ELEMENT_NAME = define("element_name", S, "要素名称", "Name of the road, place, community or division that the alias stands for")
ELEMENT_LEVEL = define(
    "element_level",
    S,
    "要素层级",
    "Level of the element; empty where its name stands at one level only",
    pattern="^(province|city|district|township|community|road|place)$",
)
INPUT_TABLE = define("input_table", S, "输入表", "Table whose row was geocoded")
INPUT_ENTITY_ID = define("input_entity_id", S, "输入实体标识", "`entity_id` of the row that was geocoded")
MATCH_STATUS_CODE = define("match_status_code", S, "匹配状态", "M matched, T tied, U unmatched", code_list="address_match_status")
MATCH_SCORE = define("match_score", D, "匹配得分", "0–100; 0 where there is no answer", unit="1", minimum=0, maximum=100)
STANDARD_TEXT = define("standard_text", S, "标准地址", "The full standard address that was found")
MATCH_PRECISION = define("match_precision", S, "匹配精度", "Level of the answer: door, building, place, road, crossing, interpolated …")
MATCH_REASON_CODE = define("match_reason_code", S, "原因代码", "Message code (SY-A…) of why there is no answer", pattern="^SY-A[0-9]{3}$")
MATCH_REASON_TEXT = define("match_reason_text", S, "原因", "Why there is no answer, in words")
MATCH_REASON_TEXT_ZH = define("match_reason_text_zh", S, "原因（中文）", "Why there is no answer, in Chinese")
MATCH_REASONS = define("match_reasons", S, "要素说明", "What each element says, JSON: [[level, code, asked, found], …]")
CANDIDATES = define("candidates", S, "候选", "Standard addresses that it could have been, JSON array")
FOUND_ENTITY_ID = define("found_entity_id", S, "匹配实体标识", "`entity_id` of the thing in the gazetteer that was found")
GAZETTEER_CODE = define(
    "gazetteer_code", S, "地名库版本", "Index that was asked, as `index/address/current.json` names it, and +n for aliases added since"
)
LON = define("lon", D, "经度", "Longitude, CGCS2000", unit="deg", minimum=-180, maximum=180)
LAT = define("lat", D, "纬度", "Latitude, CGCS2000", unit="deg", minimum=-90, maximum=90)

# Statistics
STAT_YEAR = define(
    "stat_year", INT, "统计年份", "Year that the figures stand for", "year", "年份", "统计年份", "nf", unit="a", minimum=1900, maximum=2100
)
REFERENCE_ON = define("reference_on", DATE, "统计时点", "Day at which the figures were counted", "as_of", "统计时点", "截止日期")
POPULATION_COUNT = define(
    "population_count", L, "人口数", "Persons", "population", "人口", "常住人口", "总人口", "rks", unit="1", minimum=0
)
MALE_COUNT = define("male_count", L, "男性人口", "Male persons", "male", "男", "男性人口", unit="1", minimum=0)
FEMALE_COUNT = define("female_count", L, "女性人口", "Female persons", "female", "女", "女性人口", unit="1", minimum=0)
HOUSEHOLD_COUNT = define("household_count", L, "户数", "Households", "households", "户数", "总户数", "hs", unit="1", minimum=0)
INDICATOR_CODE = define(
    "indicator_code", S, "指标代码", "Indicator in code list `indicator`", "indicator", "指标", "指标代码", code_list="indicator"
)
PERIOD = define(
    "period",
    S,
    "统计期",
    "Year, quarter or month that the figure stands for: 2024, 2024Q3, 2024-09",
    "period",
    "统计期",
    "报告期",
    pattern="^[12][0-9]{3}(Q[1-4]|-(0[1-9]|1[0-2]))?$",
)
PERIOD_START_ON = define("period_start_on", DATE, "统计期起", "First day of `period`", "period_start", "统计期起")
INDICATOR_VALUE = define("indicator_value", D, "指标值", "Value of the indicator in the row's unit", "value", "数值", "指标值")
UNIT_NAME = define("unit_name", S, "计量单位", "Unit of the value, as the publisher words it", "unit", "单位", "计量单位")

# Counts and sums of marts
AREA_M2 = define("area_m2", D, "面积", "Area on the ellipsoid", "面积", "area", unit="m2", minimum=0)
BUILDING_COUNT = define("building_count", L, "建筑物数", "Buildings", unit="1", minimum=0)
BUILDING_AREA_M2 = define("building_area_m2", D, "建筑占地面积", "Footprints on the ellipsoid together", unit="m2", minimum=0)
PLACE_COUNT = define("place_count", L, "兴趣点数", "Places of interest", unit="1", minimum=0)
ROAD_LENGTH_M = define("road_length_m", D, "道路长度", "Road segments on the ellipsoid together", unit="m", minimum=0)
GREEN_AREA_M2 = define("green_area_m2", D, "绿地面积", "Green land on the ellipsoid together", unit="m2", minimum=0)
FIRM_COUNT = define("firm_count", L, "法人单位数", "Legal persons", unit="1", minimum=0)
ACTIVE_COUNT = define("active_count", L, "存续单位数", "Legal persons in operation", unit="1", minimum=0)
INDUSTRY_GROUP = define("industry_group", S, "行业分组", "Industry code, or `unknown` for those without one")
LAST_REGISTERED_ON = define("last_registered_on", DATE, "最近成立日期", "Day on which the youngest was registered")

OWN: dict[str, FieldDef] = {f.name: f for f in list(globals().values()) if isinstance(f, FieldDef)}


def fields_of(contract: Contract) -> tuple[FieldDef, ...]:
    """Return all fields of a table in table order: in `core` and `mart` with stamp and `geom`, in `raw` only the contract's columns.

    A stamp column that the contract lists itself comes with the contract's pattern and code list.
    """
    if contract.layer == "raw":
        return tuple(c.field for c in contract.columns)
    own = {c.name: c.field for c in contract.columns}
    return tuple(own.get(f.name, f) for f in stamp.table_fields(contract))


def code_list_of(contract: Contract, name: str) -> str | None:
    """Return the code list of a column's values: the contract's class list for its class column, otherwise the field's own."""
    if name in (contract.attribute.class_code, stamp.CLASS_CODE.name):
        return contract.attribute.class_list
    listed = {f.name: f.code_list for f in fields_of(contract)}
    return listed.get(name)


def nearest(column: str) -> FieldDef | None:
    """Return the field with this name or alias, ignoring case; None if there is none."""
    wanted = column.strip().casefold()
    for field in OWN.values():
        if wanted == field.name or wanted in (alias.casefold() for alias in field.aliases):
            return field
    return None
