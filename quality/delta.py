"""Delta table properties and CHECK constraints of a table, derived from its contract."""

from __future__ import annotations

from schemas.fields import fields_of
from schemas.model import Contract, SecurityLabel
from schemas.stamp import STATISTICS

RAW_STATISTICS = ("source_name", "batch_id", "file_name", "row_number", "recorded_at", "run_id", "table_name")
NEVER_EMPTY = ("entity_id", "stamp_id", "source_name", "valid_from_at", "recorded_at", "batch_id", "row_hash", "security_label")


def table_properties(contract: Contract) -> dict[str, str]:
    """Return the properties of a table; statistics are kept for ids, times, `cell` and `bbox`, never for WKB or free text."""
    names = {f.name for f in fields_of(contract)}
    is_stamped = contract.layer != "raw"
    indexed = [n for n in (STATISTICS if is_stamped else RAW_STATISTICS) if n in names]
    return {
        "delta.dataSkippingStatsColumns": ",".join(indexed),
        "delta.enableChangeDataFeed": str(is_stamped).lower(),
        # Results of jobs are replaced as a whole. Without deletion vectors, readers and writers that lack the feature (and a JVM) can use
        # them.
        "delta.enableDeletionVectors": str(contract.layer == "core").lower(),
        "sanyu.contract": contract.name,
        "sanyu.history": contract.history.value,
        "sanyu.contract_version": str(contract.version),
        "sanyu.owner": contract.owner,
        "sanyu.security_label": contract.security_label.value,
    }


def constraints(contract: Contract) -> dict[str, str]:
    """Return constraint name → SQL: invariants that no writer may break, cheap to test and certain.

    Ranges and the contract's own required columns are row checks instead: a person may release a row that failed one of them,
    and the table must then accept it. Delta treats an unknown result as a violation, so a condition must say explicitly that a value may be
    missing.
    """
    if contract.layer == "raw":
        return {f"{name}_given": f"{name} IS NOT NULL" for name in contract.required}
    given = {f"{name}_given": f"{name} IS NOT NULL" for name in NEVER_EMPTY}
    labels = ", ".join(f"'{label.value}'" for label in SecurityLabel)
    return {
        **given,
        "security_label_known": f"security_label IN ({labels})",
        "grid_level_range": "grid_level IS NULL OR grid_level BETWEEN 1 AND 10",
    }
