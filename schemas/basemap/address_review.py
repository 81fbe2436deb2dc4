"""Addresses for manual review (地址待核): those that the engine could not match, with the reason and possible candidates.

Source: `sanyu address geocode` and its DAG. Lateness: a row is removed when it matches, after its source corrected it or the gazetteer or
an alias was extended. Left out: rows that matched, whatever their score.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

CONTRACT = Contract(
    name="mart.basemap__address_review",
    title_zh="地址待核",
    grain="One row of one table whose address has no single answer",
    description="Tied and unmatched addresses with reason and candidates",
    key=("input_table", "input_entity_id"),
    columns=(
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=f.INPUT_ENTITY_ID, required=True),
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.MATCH_STATUS_CODE, required=True),
        Column(field=f.MATCH_REASON_CODE),
        Column(field=f.MATCH_REASON_TEXT),
        Column(field=f.MATCH_REASON_TEXT_ZH),
        Column(field=f.CANDIDATES),
        Column(field=f.GAZETTEER_CODE, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="place_name"),
    source_note="Written by Sanyu",
)
