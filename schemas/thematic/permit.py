"""Permits and licences (许可证照): what an authority allows somebody to do at a place and for a time.

Source: the issuing offices' registers. Lateness: days. Left out: the case file, fees, and personal data of holders beyond the published
name. A permit that has run out stays in the table with its status; `expires_on` does not end the row's validity, since the register
still holds it.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, SpaceStamp

CONTRACT = Contract(
    name="core.thematic__permit",
    title_zh="许可证照",
    grain="One permit at one place; a permit for three places is three rows",
    description="Permits and licences with holder, kind, status, dates and place",
    columns=(
        Column(field=f.PERMIT_NUMBER, required=True),
        Column(field=f.HOLDER_NAME, required=True),
        Column(field=f.CREDIT_CODE, description="Credit code of the holder, where it is a legal person in China"),
        Column(field=f.CLASS_CODE),
        Column(field=f.PERMIT_STATUS_CODE),
        Column(field=f.ISSUED_ON),
        Column(field=f.EXPIRES_ON),
        Column(field=f.SCOPE_TEXT),
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.PLACE_TEXT),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, required=False, multi=False),
    space=SpaceStamp(geocode="address_text"),
    attribute=AttributeStamp(theme_code="licence", class_code="class_code", class_list="permit_kind"),
    checks=(
        Check(
            name="expires_after_issue",
            field="expires_on",
            expression="issued_on IS NULL OR expires_on IS NULL OR expires_on >= issued_on",
            message="the permit runs out before it was granted",
            message_zh="有效期早于发证日期",
        ),
    ),
    source_note="Kinds and states are ours; a source maps its own words to them",
)
