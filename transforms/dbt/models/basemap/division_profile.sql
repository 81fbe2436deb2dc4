-- What stands and lives in each division. A thing counts in its own division and in all above it: codes are prefixes of one another.
with divisions as (
    select
        division_code,
        division_level,
        name,
        geom,
        -- 2, 4, 6, 9 or 12 digits say where a division is; the rest are zeros
        left(division_code, [2, 4, 6, 9, 12][division_level]) as prefix
    from {{ source('core', 'basemap__division') }}
),

counted as (
    select division_code, 'building' as thing, count(*) as things, sum({{ square_metres('geom') }}) as area_m2, null as length_m
    from {{ source('core', 'basemap__building') }} where division_code is not null group by all
    union all by name
    select division_code, 'place' as thing, count(*) as things
    from {{ source('core', 'basemap__place') }} where division_code is not null group by all
    union all by name
    select division_code, 'road' as thing, count(*) as things, sum({{ metres('geom') }}) as length_m
    from {{ source('core', 'basemap__road_segment') }} where division_code is not null group by all
    union all by name
    select division_code, 'green' as thing, count(*) as things, sum({{ square_metres('geom') }}) as area_m2
    from {{ source('core', 'basemap__green_land') }} where division_code is not null group by all
    union all by name
    select division_code, 'firm' as thing, count(*) as things
    from {{ source('core', 'thematic__legal_person') }} where division_code is not null group by all
),

people as (
    select division_code, arg_max(population_count, stat_year) as population_count, max(stat_year) as stat_year
    from {{ source('core', 'thematic__population') }}
    group by division_code
),

gathered as (
    select
        d.division_code,
        coalesce(sum(c.things) filter (c.thing = 'building'), 0)::bigint as building_count,
        coalesce(sum(c.area_m2) filter (c.thing = 'building'), 0) as building_area_m2,
        coalesce(sum(c.things) filter (c.thing = 'place'), 0)::bigint as place_count,
        coalesce(sum(c.length_m) filter (c.thing = 'road'), 0) as road_length_m,
        coalesce(sum(c.area_m2) filter (c.thing = 'green'), 0) as green_area_m2,
        coalesce(sum(c.things) filter (c.thing = 'firm'), 0)::bigint as firm_count
    from divisions as d
    left join counted as c on starts_with(c.division_code, d.prefix)
    group by d.division_code
)

select
    d.division_code,
    d.division_level,
    d.name,
    round({{ square_metres('d.geom') }}, 0) as area_m2,
    g.building_count,
    round(g.building_area_m2, 1) as building_area_m2,
    g.place_count,
    round(g.road_length_m, 1) as road_length_m,
    round(g.green_area_m2, 1) as green_area_m2,
    g.firm_count,
    p.population_count,
    p.stat_year::integer as stat_year,
    d.geom
from divisions as d
inner join gathered as g using (division_code)
left join people as p using (division_code)
