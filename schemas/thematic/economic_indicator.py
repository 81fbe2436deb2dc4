"""Economic indicators (经济指标) by division and period, in long form.

Source: statistics office's monthly and yearly tables. Lateness: months by four weeks, years by a quarter, then revised once or twice: a
revision is a new version of the same row. Left out: sub-items that no indicator code stands for, and growth rates, which follow from
the values.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, SpaceStamp, TimeStamp

CONTRACT = Contract(
    name="core.thematic__economic_indicator",
    title_zh="经济指标",
    grain="One indicator of one division in one period",
    description="Macro-economic figures; the unit stands in the row and must be the indicator's own",
    key=("division_code", "indicator_code", "period"),
    columns=(
        Column(field=f.DIVISION_CODE, required=True),
        Column(field=f.INDICATOR_CODE, required=True),
        Column(field=f.PERIOD, required=True),
        Column(field=f.PERIOD_START_ON),
        Column(field=f.INDICATOR_VALUE, required=True),
        Column(field=f.UNIT_NAME, required=True),
    ),
    time=TimeStamp(valid_from="period_start_on", code="month"),
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="economy", class_code="indicator_code", class_list="indicator"),
    checks=(
        Check(
            name="starts_in_period",
            field="period_start_on",
            expression="period_start_on IS NULL OR year(period_start_on) = cast(substring(period, 1, 4) AS int)",
            message="the first day is not in the period's year",
            message_zh="统计期起日不在统计期年份内",
        ),
    ),
    source_note="Indicator codes are ours; each names its unit in the list's note",
)
