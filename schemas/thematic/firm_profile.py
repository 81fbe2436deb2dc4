"""Profiles of firms (法人概况): legal persons by division and industry, counted from the register.

Source: dbt model `firm_profile`. Lateness: rebuilt for each release. Left out: firms that lie in no division's polygon.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

CONTRACT = Contract(
    name="mart.thematic__firm_profile",
    title_zh="法人概况",
    grain="One industry in one division",
    description="Legal persons by division and industry: number, in operation, capital, persons employed",
    key=("division_code", "industry_group"),
    columns=(
        Column(field=f.DIVISION_CODE, required=True),
        Column(field=f.INDUSTRY_GROUP, required=True),
        Column(field=f.INDUSTRY_CODE),
        Column(field=f.FIRM_COUNT, required=True),
        Column(field=f.ACTIVE_COUNT, required=True),
        Column(field=f.CAPITAL_CNY),
        Column(field=f.EMPLOYEE_COUNT),
        Column(field=f.LAST_REGISTERED_ON),
    ),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="legal_person", industry_code="industry_code"),
)
