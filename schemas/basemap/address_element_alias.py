"""Aliases of elements (要素别名): a road by its old name, a restaurant by its dish; valid in every address that has the element.

Source: registers of renamed roads and divisions, and what operators of the address service note. Lateness: a renaming takes effect on its
day. Left out: synonyms of kinds (幢/栋, 弄/巷), which are rules of the engine.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, SpaceStamp

CONTRACT = Contract(
    name="core.basemap__address_element_alias",
    title_zh="地址要素别名",
    grain="One other name of one element of addresses",
    description="Other names of roads, places, communities and divisions wherever they stand in an address",
    key=("alias_name", "element_name", "element_level"),
    columns=(
        Column(field=f.ALIAS_NAME, required=True),
        Column(field=f.ELEMENT_NAME, required=True),
        Column(field=f.ELEMENT_LEVEL),
        Column(field=f.ALIAS_KIND_CODE),
        Column(field=f.VALID_FROM_ON),
        Column(field=f.VALID_TO_ON),
    ),
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="place_name"),
    source_note="ISO 19112: alternative geographic identifiers",
)
