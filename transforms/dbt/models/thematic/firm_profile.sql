-- Firms by division and industry as the register stands now; firms without an industry are a group of their own, so that nothing is lost.
select
    division_code,
    coalesce(industry_code, 'unknown') as industry_group,
    industry_code,
    count(*)::bigint as firm_count,
    count(*) filter (firm_status_code = 'active')::bigint as active_count,
    sum(capital_cny) as capital_cny,
    sum(employee_count)::bigint as employee_count,
    max(registered_on) as last_registered_on
from {{ source('core', 'thematic__legal_person') }}
where division_code is not null
group by division_code, industry_code
