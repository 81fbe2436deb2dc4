"""Densities along streets (路网核密度): one row per lixel, a short piece of a street.

Source: tool `network_kde` over a table of places and one of lines. Lateness: that of both. Left out: lixels without density.
"""

from schemas.fields import INT, D, S, define
from schemas.mining import _shelf_fields as f
from schemas.mining.density import BANDWIDTH_M
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

SEGMENT_ID = define("segment_id", S, "路段标识", "Row of the network that the lixel is a piece of")
LIXEL_NUMBER = define("lixel_number", INT, "线元序号", "Number of the lixel along its row, from 0", unit="1", minimum=0)
LENGTH_M = define("length_m", D, "长度", "Length of the lixel", unit="m", minimum=0)
DENSITY_KM = define("density_km", D, "线密度", "Rows (or weight) per kilometre of street, the mean over the lixel")

CONTRACT = Contract(
    name="mart.mining__network_density",
    title_zh="路网核密度",
    grain="One lixel of one network",
    description="Kernel density along streets, with the pieces of the streets",
    key=("segment_id", "lixel_number"),
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=SEGMENT_ID, required=True),
        Column(field=LIXEL_NUMBER, required=True),
        Column(field=LENGTH_M, required=True),
        Column(field=DENSITY_KM, required=True),
        Column(field=BANDWIDTH_M, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.LINE, multi=False),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Okabe, Satoh & Sugihara 2009; Okabe & Sugihara 2012, ch. 9",
)
