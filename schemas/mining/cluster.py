"""Clusters (聚类): the cluster of each row, and its role in it.

Source: tools `dbscan`, `st_dbscan`. Lateness: that of the input; a rerun replaces the rows. Left out: distances between rows.
"""

from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

CONTRACT = Contract(
    name="mart.mining__cluster",
    title_zh="密度聚类",
    grain="One row of the input in one analysis",
    description="Cluster and role (core, border, noise) of each row",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=c.CLUSTER_ID),
        Column(field=c.CLUSTER_ROLE, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Ester, Kriegel, Sander and Xu 1996; Birant and Kut 2007",
)
