"""Profiles of divisions (区划概况): what lies in each administrative division, computed from the core tables.

Source: dbt model `division_profile`. Lateness: rebuilt for each release. Left out: things that lie in no division's polygon.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

CONTRACT = Contract(
    name="mart.basemap__division_profile",
    title_zh="区划概况",
    grain="One administrative division that is valid now",
    description="Buildings, places, roads, green land, firms and people of each division, its parts included",
    key=("division_code",),
    columns=(
        Column(field=f.DIVISION_CODE, required=True),
        Column(field=f.DIVISION_LEVEL, required=True),
        Column(field=f.NAME, required=True),
        Column(field=f.AREA_M2),
        Column(field=f.BUILDING_COUNT),
        Column(field=f.BUILDING_AREA_M2),
        Column(field=f.PLACE_COUNT),
        Column(field=f.ROAD_LENGTH_M, description="Whole length of the road segments whose middle lies within"),
        Column(field=f.GREEN_AREA_M2),
        Column(field=f.FIRM_COUNT),
        Column(field=f.POPULATION_COUNT),
        Column(field=f.STAT_YEAR, description="Year that the population is of"),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="division", class_code="division_level", class_list="division_level"),
)
