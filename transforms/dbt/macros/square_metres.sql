{# Ellipsoidal area and length of WKB in EPSG:4490; DuckDB's spheroid functions want latitude first (GRS 80 and WGS 84 differ by 1e-11). #}
{% macro square_metres(wkb) %}st_area_spheroid(st_flipcoordinates(st_geomfromwkb({{ wkb }}))){% endmacro %}
{% macro metres(wkb) %}st_length_spheroid(st_flipcoordinates(st_geomfromwkb({{ wkb }}))){% endmacro %}
