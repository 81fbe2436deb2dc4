"""Firms, permits, population and economy of the demo city, in figures that hang together with its buildings."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from demo.city.divisions import Divisions
from demo.city.naming import Names
from demo.city.plan import Plan, stream

CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
# Industry (GB/T 4754-2017 section and division), the word in the firm's name, its scope, share.
TRADES: tuple[tuple[str, str, str, float], ...] = (
    ("F52", "贸易", "日用百货、食品销售", 0.22),
    ("H62", "餐饮管理", "餐饮服务", 0.14),
    ("I65", "信息技术", "软件开发、信息系统集成服务", 0.13),
    ("L72", "商务服务", "企业管理咨询、会议及展览服务", 0.12),
    ("C34", "机械制造", "通用机械设备制造、加工", 0.09),
    ("C17", "纺织", "纺织品制造、销售", 0.06),
    ("E50", "装饰工程", "室内外装饰工程设计、施工", 0.08),
    ("K70", "置业", "房地产经纪、物业服务", 0.06),
    ("G54", "物流", "道路货物运输、仓储服务", 0.06),
    ("O80", "汽车服务", "机动车维修", 0.04),
)
STATUSES = ("存续", "在业", "吊销", "注销")
PERMIT_KINDS = (("食品经营许可", "H62", 0.5), ("食品经营许可", "F52", 0.3), ("道路运输许可", "G54", 0.1), ("建筑施工许可", "E50", 0.1))
INDICATORS = (
    ("地区生产总值", "亿元", 410.0),
    ("社会消费品零售总额", "亿元", 160.0),
    ("固定资产投资", "亿元", 145.0),
    ("一般公共预算收入", "亿元", 38.0),
)
YEARS = range(2020, 2026)


def check_character(code: str) -> str:
    """Return the 18th character of a unified social credit code from its first 17 (GB 32100-2015, 5.2)."""
    total = sum(CREDIT_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(code))
    return CREDIT_ALPHABET[(31 - total % 31) % 31]


def credit_code(rng: np.random.Generator, division: str, kind: str = "91") -> str:
    """Return a valid credit code: kind, division, organisation code with its own check character (GB 11714-1997), check character."""
    body = "MA" + "".join(CREDIT_ALPHABET[i] for i in rng.integers(0, 31, 6))
    total = sum(ORGANISATION_ALPHABET.index(c) * w for c, w in zip(body, _ORGANISATION_WEIGHTS, strict=True))
    digit = (11 - total % 11) % 11
    code = f"{kind}{division}{body}{'X' if digit == 10 else digit}"
    return code + check_character(code)


def firms(plan: Plan, divisions: Divisions, address: pd.DataFrame, buildings: pd.DataFrame) -> pd.DataFrame:
    """Register firms at addresses.

    Columns: key (credit code), name, industry, registered, capital (10,000 yuan), staff, status, address, scope, located, geom.
    """
    rng = stream(plan.seed, "firms")
    pool = Names(rng)
    use = buildings["use"].to_numpy()[address["building"].to_numpy()]
    weight = np.where(use == "office", 14.0, np.where(np.isin(use, ["commercial", "industrial"]), 6.0, 0.25))
    count = int(len(buildings) * 0.16)
    spot = rng.choice(len(address), count, p=weight / weight.sum())
    trade = rng.choice(len(TRADES), count, p=np.array([t[3] for t in TRADES]) / sum(t[3] for t in TRADES))
    codes = dict(zip(divisions.frame["name"], divisions.frame["code"], strict=True))
    rows, seen = [], set()
    for i in range(count):
        place = address.iloc[spot[i]]
        industry, word, scope, _ = TRADES[trade[i]]
        key = credit_code(rng, codes[place["district"]][:6])
        while key in seen:
            key = credit_code(rng, codes[place["district"]][:6])
        seen.add(key)
        day = dt.date(1996, 1, 1) + dt.timedelta(days=int(rng.beta(3, 1.2) * 10_600))
        status = STATUSES[int(rng.choice(4, p=[0.7, 0.22, 0.03, 0.05]))]
        capital = float(rng.choice([10, 50, 100, 200, 500, 1000, 5000]))
        name = f"临海新城{next(pool)}{word}有限公司"
        room = f"{rng.integers(1, 30)}{rng.integers(1, 12):02d}室" if rng.random() < 0.5 else ""
        rows.append(
            (key, name, industry, day, capital, int(rng.lognormal(2.4, 1.1)) + 1, status, place["text"] + room, scope, place["geom"])
        )
    columns = ["key", "name", "industry", "registered", "capital", "staff", "status", "address", "scope", "geom"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["located"] = rng.random(count) < 0.7
    return frame


def permits(plan: Plan, firm: pd.DataFrame) -> pd.DataFrame:
    """Grant permits to firms. Columns: key, holder, credit_code, kind, status, issued, expires, scope, address, geom."""
    rng = stream(plan.seed, "permits")
    rows = []
    for kind, industry, share in PERMIT_KINDS:
        holders = firm[(firm["industry"] == industry) & (rng.random(len(firm)) < 0.25 + share / 2)]
        for holder in holders.itertuples():
            issued = max(holder.registered, dt.date(2019, 1, 1)) + dt.timedelta(days=int(rng.integers(5, 400)))
            expires = issued.replace(year=issued.year + 5, day=min(issued.day, 28)) - dt.timedelta(days=1)
            status = "注销" if holder.status == "注销" else "有效" if expires > dt.date(2026, 1, 1) else "过期"
            rows.append((holder.name, holder.key, kind, status, issued, expires, holder.scope, holder.address, holder.geom))
    frame = pd.DataFrame(rows, columns=["holder", "credit_code", "kind", "status", "issued", "expires", "scope", "address", "geom"])
    frame["key"] = [f"JY{390100 + i % 4:06d}{i:07d}" for i in range(1, len(frame) + 1)]
    return frame


def population(plan: Plan, divisions: Divisions, buildings: pd.DataFrame) -> pd.DataFrame:
    """Count people per community and year, by floor space of dwellings. Columns: code, name, year, total, male, female, households."""
    rng = stream(plan.seed, "population")
    homes = buildings[buildings["use"] == "residential"]
    code = divisions.community(homes["u"].to_numpy(), homes["v"].to_numpy())
    space = pd.Series(np.array([g.area for g in homes["geom"]]) * homes["floors"].to_numpy()).groupby(code).sum()
    rows = []
    for row in divisions.frame[divisions.frame["level"] == "community"].itertuples():
        people = space.get(row.code, 3000.0) / 52 + rng.uniform(40, 160)
        for year in YEARS:
            total = int(people * (1 + 0.018 * (year - 2023) + rng.normal(0, 0.004)))
            male = int(total * rng.uniform(0.49, 0.53))
            rows.append((row.code, row.name, year, total, male, total - male, int(total / rng.uniform(2.4, 2.8))))
    return pd.DataFrame(rows, columns=["code", "name", "year", "total", "male", "female", "households"])


def economy(plan: Plan, divisions: Divisions, firm: pd.DataFrame) -> pd.DataFrame:
    """Return indicators per district and year, by the districts' share of staff. Columns: code, name, indicator, year, value, unit."""
    rng = stream(plan.seed, "economy")
    staff = firm.groupby(firm["key"].str[2:8])["staff"].sum()
    rows = []
    for row in divisions.frame[divisions.frame["level"] == "district"].itertuples():
        share = float(staff.get(row.code[:6], 1.0) / staff.sum())
        for indicator, unit, base in INDICATORS:
            for year in YEARS:
                value = base * (0.4 + 2.4 * share) * 1.062 ** (year - 2020) * (1 + rng.normal(0, 0.012))
                rows.append((row.code, row.name, indicator, year, round(value, 2), unit))
    return pd.DataFrame(rows, columns=["code", "name", "indicator", "year", "value", "unit"])
