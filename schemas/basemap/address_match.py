"""Matches of addresses (地址匹配结果): the locations of rows of other tables that have an address but no coordinate.

Source: `sanyu address geocode` and its DAG. Lateness: a row is matched again when its address changes or the gazetteer does. Left out: rows
that have a geometry from their source, which is never replaced by a guess. Joins its table by `input_entity_id`.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

CONTRACT = Contract(
    name="mart.basemap__address_match",
    title_zh="地址匹配结果",
    grain="One row of one table that has an address and no coordinate",
    description="Status, score, standard address, place and reasons of each geocoded row",
    key=("input_table", "input_entity_id"),
    columns=(
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=f.INPUT_ENTITY_ID, required=True),
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.MATCH_STATUS_CODE, required=True),
        Column(field=f.MATCH_SCORE, required=True),
        Column(field=f.STANDARD_TEXT),
        Column(field=f.DIVISION_CODE, description="Division of the place that was found"),
        Column(field=f.MATCH_PRECISION),
        Column(field=f.LON),
        Column(field=f.LAT),
        Column(field=f.FOUND_ENTITY_ID),
        Column(field=f.MATCH_REASON_CODE),
        Column(field=f.MATCH_REASONS),
        Column(field=f.GAZETTEER_CODE, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="place_name"),
    source_note="Written by Sanyu",
)
