"""A seeded, plausible Chinese city, 临海新城 (fictional), as its offices would deliver it, with all that is true of it beside.

The same seed gives the same bytes. `data/` below the target is what sources read; `truth/` is outside of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd

from demo.city import edits, feed, formats, publish, truth, world
from demo.city.truth import Truth
from schemas.messages import SanyuError

SEED = 20260101
SCALES = ("small", "medium")

__all__ = ["SCALES", "SEED", "Truth", "generate"]

_HTML = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>\n"
_VRT = (
    '<OGRVRTDataSource><OGRVRTLayer name="tile_nw"><SrcDataSource relativeToVRT="1">tile_nw.geojson</SrcDataSource>'
    "</OGRVRTLayer></OGRVRTDataSource>\n"
)


def generate(
    out: Path,
    seed: int = SEED,
    scale: Literal["small", "medium"] = "small",
    edition: Literal[1, 2] = 1,
    progress: Callable[[str], None] | None = None,
) -> Truth:
    """Write one edition of the city below `out`; return its truth. SY-M001, SY-M002 on an unknown scale or edition.

    `small` has about 20,000 buildings and takes seconds, `medium` ten times as many. Edition 2 is the same city half a year later.
    `progress` is told each step.
    """
    if scale not in SCALES:
        raise SanyuError("SY-M001", scale=scale, known=", ".join(SCALES))
    if edition not in edits.EDITION_AT:
        raise SanyuError("SY-M002", edition=edition, known=", ".join(map(str, edits.EDITION_AT)))
    say = progress or (lambda _: None)
    say("city")
    first, second, identities = edits.editions(world.create(seed, scale))
    now = first if edition == 1 else second
    say("deliveries")
    deliveries = publish.deliveries(now, edition)
    data = out / "data"
    for delivery in deliveries:
        for file in delivery.files:
            say(file.path)
            formats.write(data, file)
    deliveries += feed.write(data, now)
    bad_files = _plant_files(data, edition)
    formats.stamp_times(data, edits.EDITION_AT[edition])
    say("truth")
    tables = truth.tell(now, edition, deliveries, bad_files)
    tables["identities"] = truth.identified(identities, first, second, deliveries)
    told = Truth(folder=out / "truth", data=data, edition=edition, tables=tables)
    truth.save(told)
    return told


def _plant_files(data: Path, edition: int) -> pd.DataFrame:
    """Put an error page and a virtual dataset among the tiles of edition 1; the cut-off shapefile gives the rows that it has left.

    Edition 2 is whole: a delivery with an unreadable file ends nothing, since what it lacks may stand in that file.
    """
    columns = ["source", "file", "reason", "codes"]
    if edition != 1:
        return pd.DataFrame(columns=columns, dtype=str)
    (data / "building/tile_overview.geojson").write_text(_HTML, "utf-8")
    (data / "building/tile_all.geojson").write_text(_VRT, "utf-8")
    rows = [
        ("demo_building", "building/tile_overview.geojson", "html_for_json", "SY-R004|SY-L034"),
        ("demo_building", "building/tile_all.geojson", "vrt_in_disguise", "SY-R005|SY-L034"),
    ]
    return pd.DataFrame(rows, columns=columns)
