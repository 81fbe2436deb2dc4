"""Legal persons (法人): firms, offices, institutions and associations, by their unified social credit code.

Source: the market-regulation office's register and its peers for offices and associations. Lateness: a registration shows within days,
an address change often never. Left out: everything about natural persons (legal representative, shareholders, telephones), and firms
abroad without a credit code.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, SpaceStamp

# GB 32100-2015, 5.2: C18 = MOD(31 - MOD(sum(Ci * Wi), 31), 31) with Wi = 3^(i-1) mod 31.
_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
_SUM = " + ".join(f"{w} * (instr('{f.CREDIT_ALPHABET}', substring(credit_code, {i}, 1)) - 1)" for i, w in enumerate(_WEIGHTS, start=1))
CHECK_DIGIT = f"instr('{f.CREDIT_ALPHABET}', substring(credit_code, 18, 1)) - 1 = (31 - ({_SUM}) % 31) % 31"

CONTRACT = Contract(
    name="core.thematic__legal_person",
    title_zh="法人单位",
    grain="One legal person",
    description="Legal persons with industry, capital, state of registration and registered address",
    key=("credit_code",),
    columns=(
        Column(field=f.CREDIT_CODE, required=True),
        Column(field=f.NAME, required=True),
        Column(field=f.CLASS_CODE, description="Kind: the first two characters of the credit code"),
        Column(field=f.INDUSTRY_CODE),
        Column(field=f.REGISTERED_ON),
        Column(field=f.CAPITAL_CNY),
        Column(field=f.EMPLOYEE_COUNT),
        Column(field=f.FIRM_STATUS_CODE),
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.SCOPE_TEXT, description="Scope of business as registered"),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, required=False, multi=False),
    space=SpaceStamp(geocode="address_text"),
    attribute=AttributeStamp(
        theme_code="legal_person", class_code="class_code", class_list="legal_person_kind", industry_code="industry_code"
    ),
    checks=(
        Check(
            name="check_digit",
            field="credit_code",
            expression=CHECK_DIGIT,
            message="the check character of the credit code is wrong (GB 32100-2015)",
            message_zh="统一社会信用代码校验码错误（GB 32100-2015）",
        ),
        Check(
            name="kind_fits_code",
            field="class_code",
            expression="class_code IS NULL OR class_code = substring(credit_code, 1, 2)",
            message="the kind is not what the credit code says",
            message_zh="类别与统一社会信用代码前两位不符",
            level="warning",
        ),
    ),
    source_note="GB 32100-2015 (credit code), GB/T 4754-2017 (industries)",
)
