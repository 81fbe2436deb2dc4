"""Population (人口) by division and year, as counts; never persons.

Source: statistics office, census and yearly sample, public-security register. Lateness: yearly figures come in spring, revised after
each census: a revision is a new version of the same row. Left out: ages and households' make-up, and any cell so small that it would
tell of a person; the publisher suppresses these.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, SecurityLabel, SpaceStamp, TimeStamp

CONTRACT = Contract(
    name="core.thematic__population",
    title_zh="人口",
    grain="One division in one year",
    description="Persons and households counted in a division",
    key=("division_code", "stat_year"),
    columns=(
        Column(field=f.DIVISION_CODE, required=True),
        Column(field=f.STAT_YEAR, required=True),
        Column(field=f.REFERENCE_ON),
        Column(field=f.NAME, description="Name of the division or unit, as the table gives it"),
        Column(field=f.POPULATION_COUNT, required=True),
        Column(field=f.MALE_COUNT),
        Column(field=f.FEMALE_COUNT),
        Column(field=f.HOUSEHOLD_COUNT),
    ),
    time=TimeStamp(valid_from="stat_year", code="year"),
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="population"),
    checks=(
        Check(
            name="sexes_sum_up",
            field="population_count",
            expression="male_count IS NULL OR female_count IS NULL OR male_count + female_count = population_count",
            message="male and female don't sum up to the total",
            message_zh="男女人口之和不等于总人口",
            level="warning",
        ),
        Check(
            name="counted_in_year",
            field="reference_on",
            expression="reference_on IS NULL OR year(reference_on) = stat_year",
            message="the day of counting is not in the year of the figures",
            message_zh="统计时点不在统计年份内",
        ),
    ),
    security_label=SecurityLabel.INTERNAL,
    source_note="Validity starts with the year; the day of counting stands beside it",
)
