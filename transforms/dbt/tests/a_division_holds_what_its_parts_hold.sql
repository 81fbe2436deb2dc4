-- No division counts fewer buildings or places than one below it.
select upper.division_code, lower.division_code as part
from {{ ref('division_profile') }} as upper
inner join {{ ref('division_profile') }} as lower
    on starts_with(lower.division_code, left(upper.division_code, [2, 4, 6, 9, 12][upper.division_level]))
where lower.building_count > upper.building_count or lower.place_count > upper.place_count
