-- The groups of firms add up to the register.
with counted as (select sum(firm_count) as firms from {{ ref('firm_profile') }}),
register as (select count(*) as firms from {{ source('core', 'thematic__legal_person') }} where division_code is not null)
select counted.firms as counted, register.firms as registered
from counted cross join register
where coalesce(counted.firms, 0) <> register.firms
