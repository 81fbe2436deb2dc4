"""Aliases of things (地址别名): offices, schools, estates and shops by their short, former and English names.

Source: offices' own lists, registers of names, OpenStreetMap's alt_name and old_name, and what operators of the address service note.
Lateness: an alias is known when somebody uses it. Left out: spelling faults, which the engine tolerates by itself.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, SpaceStamp

CONTRACT = Contract(
    name="core.basemap__address_alias",
    title_zh="地址别名",
    grain="One other name of one thing",
    description="Other names of things in the gazetteer; each matches as the thing's own name does",
    key=("alias_name", "target_entity_id"),
    columns=(
        Column(field=f.ALIAS_NAME, required=True),
        Column(field=f.TARGET_ENTITY_ID, required=True),
        Column(field=f.ALIAS_KIND_CODE),
        Column(field=f.VALID_FROM_ON),
        Column(field=f.VALID_TO_ON),
    ),
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="place_name"),
    source_note="ISO 19112: alternative geographic identifiers",
)
