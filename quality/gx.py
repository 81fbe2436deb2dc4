"""Turn a contract into a Great Expectations suite, and a checkpoint on it into the gate behind a table.

The suite validates the table as a whole after a load, whereas the row checks (`quality.checks`) test each row before it. Rules used by both
(ranges, codes, patterns) are defined once in the contract. The Data Docs are one site for all tables: results and suites are kept next to
the pages, because the index of a later run lists the earlier ones from there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations
from great_expectations.checkpoint.actions import UpdateDataDocsAction
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column as RowColumn

from schemas.codes import code_list
from schemas.fields import fields_of
from schemas.messages import SanyuError
from schemas.model import Contract, DType, History

# Its classes are re-exported in a way that strict type checking treats as private.
gxe: Any = expectations

SITE = "sanyu"
STAMPED = ("entity_id", "stamp_id", "source_name", "source_key", "valid_from_at", "recorded_at", "security_label", "batch_id", "row_hash")
NUMBERS = (DType.INTEGER, DType.LONG, DType.DOUBLE)
EXAMPLES = 5
Released = Mapping[str, Collection[str]]
NOTHING_RELEASED: Released = MappingProxyType({})


@dataclass(frozen=True)
class Failed:
    """An expectation that failed: how many rows violate it, and some of their values."""

    code: str
    expectation: str
    column: str | None
    count: int
    examples: tuple[str, ...]
    detail: str

    def error(self, table: str) -> SanyuError:
        """Return the message of this failure in the catalogue."""
        shown = ", ".join(self.examples) or "-"
        return SanyuError(
            self.code,
            table=table,
            column=self.column or "-",
            count=self.count,
            examples=shown,
            detail=self.detail,
            expectation=self.expectation,
        )


@dataclass(frozen=True)
class GateResult:
    """The result of a gate; `page` is the result's page of the Data Docs."""

    table: str
    run_name: str
    expectations: int
    failed: tuple[Failed, ...]
    page: Path

    @property
    def ok(self) -> bool:
        return not self.failed

    def require(self) -> None:
        """Raise SY-Q110, naming each failure, unless the gate is open."""
        if self.failed:
            found = "; ".join(str(f.error(self.table)) for f in self.failed)
            raise SanyuError("SY-Q110", table=self.table, count=len(self.failed), failures=found, page=self.page)


def suite(contract: Contract, *, nested: bool = False, released: Released = NOTHING_RELEASED) -> gx.ExpectationSuite:
    """Return the suite of a core or mart table, named after it; `nested` for Spark, where GX counts struct fields as columns.

    Expectations on a field's values exclude the rows (by `row_hash`) that `released` lists for it.
    """
    return gx.ExpectationSuite(name=contract.name, expectations=list(_expectations(contract, nested, released)))


def gate(contract: Contract, frame: Any, docs_dir: Path, run_name: str, released: Released = NOTHING_RELEASED) -> GateResult:
    """Validate a table, given as a Spark or pandas frame with all its columns, and write its pages into the Data Docs at `docs_dir`.

    `released` are the rows that a person has accepted, by field; their row hashes appear in the expectations of that field.
    Nothing is cached: the caller should cache an expensive Spark frame. No network, no analytics.
    """
    context = _context(docs_dir)
    batch = _batch_definition(context, contract, frame)
    checks = context.suites.add_or_update(suite(contract, nested=not isinstance(frame, pd.DataFrame), released=released))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=contract.name, data=batch, suite=checks))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=contract.name,
            validation_definitions=[definition],
            actions=[UpdateDataDocsAction(name="docs", site_names=[SITE])],
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=gx.RunIdentifier(run_name=run_name))
    key, result = next(iter(outcome.run_results.items()))
    failed = tuple(_failed(r) for r in result.results if not r.success)
    ordered = tuple(sorted(failed, key=lambda f: (f.code, f.column or "", f.expectation)))
    *folders, page = key.to_tuple()
    return GateResult(contract.name, run_name, len(result.results), ordered, docs_dir.joinpath("validations", *folders, f"{page}.html"))


def _expectations(contract: Contract, nested: bool, released: Released) -> Iterable[Any]:
    fields = fields_of(contract)
    names = {f.name for f in fields}
    inner = {f"bbox.{edge}" for edge in ("xmin", "ymin", "xmax", "ymax")} if nested and "bbox" in names else set()
    yield gxe.ExpectTableRowCountToBeBetween(min_value=1)
    yield gxe.ExpectTableColumnsToMatchSet(column_set=sorted(names | inner), exact_match=True)
    geometry = ("geom",) if contract.geometry and contract.geometry.required else ()
    for name in dict.fromkeys((*(s for s in STAMPED if s in names), *contract.required, *geometry)):
        yield gxe.ExpectColumnValuesToNotBeNull(**_but(released, name))
    if "stamp_id" in names:
        yield gxe.ExpectColumnValuesToBeUnique(column="stamp_id", row_condition=RowColumn("superseded_at").is_null())
    if contract.history is History.ENTITY and "entity_id" in names:
        current = RowColumn("valid_to_at").is_null() & RowColumn("superseded_at").is_null()
        yield gxe.ExpectColumnValuesToBeUnique(column="entity_id", row_condition=current)
    if {"valid_from_at", "valid_to_at"} <= names:
        yield gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="valid_to_at", column_B="valid_from_at", or_equal=False, ignore_row_if="either_value_is_missing"
        )
    listed = contract.attribute.class_list if contract.attribute.class_code and "class_code" in names else None
    if listed:
        yield gxe.ExpectColumnValuesToBeInSet(**_but(released, "class_code"), value_set=_codes(listed, DType.STRING))
    for field in fields:
        if field.code_list:
            yield gxe.ExpectColumnValuesToBeInSet(**_but(released, field.name), value_set=_codes(field.code_list, field.dtype))
        elif field.dtype in NUMBERS and (field.minimum is not None or field.maximum is not None):
            yield gxe.ExpectColumnValuesToBeBetween(**_but(released, field.name), min_value=field.minimum, max_value=field.maximum)
        if field.pattern:
            yield gxe.ExpectColumnValuesToMatchRegex(**_but(released, field.name), regex=field.pattern)


def _but(released: Released, name: str) -> dict[str, Any]:
    """Return the arguments that name a column, excluding the rows whose content was accepted."""
    hashes = sorted(released.get(name, ()))
    if not hashes:
        return {"column": name}
    note = f"Leaves out {len(hashes)} contents that were released from quarantine against a check of {name}"
    return {"column": name, "row_condition": RowColumn("row_hash").is_not_in(hashes), "notes": note}


def _codes(name: str, dtype: DType) -> list[Any]:
    codes = code_list(name).codes()
    return [int(c) for c in codes] if dtype in (DType.INTEGER, DType.LONG) else list(codes)


def _context(docs_dir: Path) -> Any:
    def kept(folder: str) -> dict[str, Any]:
        return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str((docs_dir / folder).resolve())}

    results = {"class_name": "ValidationResultsStore", "store_backend": {**kept("results"), "filepath_suffix": ".json"}}
    suites = {"class_name": "ExpectationsStore", "store_backend": {**kept("suites"), "filepath_suffix": ".json"}}
    memory = {"store_backend": {"class_name": "InMemoryStoreBackend"}}
    config = DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        expectations_store_name="suites",
        validation_results_store_name="results",
        checkpoint_store_name="checkpoints",
        stores={
            "suites": suites,
            "results": results,
            "checkpoints": {"class_name": "CheckpointStore", **memory},
            "validation_definition_store": {"class_name": "ValidationDefinitionStore", **memory},
        },
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_dir.resolve())},
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
        },
    )
    return gx.get_context(project_config=config, mode="ephemeral")


def _batch_definition(context: Any, contract: Contract, frame: Any) -> BatchDefinition[Any]:
    sources = context.data_sources
    source = sources.add_pandas("lake") if isinstance(frame, pd.DataFrame) else sources.add_spark("lake")
    found: BatchDefinition[Any] = source.add_dataframe_asset(contract.name).add_batch_definition_whole_dataframe("table")
    return found


def _failed(result: Any) -> Failed:
    kind = str(result.expectation_config.type)
    arguments: Mapping[str, Any] = result.expectation_config.kwargs
    column = arguments.get("column") or arguments.get("column_A")
    found: Mapping[str, Any] = result.result or {}
    count = found.get("unexpected_count")
    examples = tuple(dict.fromkeys(_shown(v) for v in found.get("partial_unexpected_list", ()) if v is not None))[:EXAMPLES]
    raised = next((str(e.get("exception_message")) for e in _exceptions(result.exception_info) if e.get("raised_exception")), None)
    code, detail = _explained(kind, found, raised)
    return Failed(code, kind, column, int(count or 0), examples, detail)


def _shown(value: Any) -> str:
    return " ≤ ".join(str(v) for v in value) if isinstance(value, (tuple, list)) else str(value)


def _exceptions(info: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the exceptions of a result, which GX gives either directly or one per metric."""
    if not info:
        return []
    return [info] if "raised_exception" in info else [e for e in info.values() if isinstance(e, Mapping)]


def _explained(kind: str, found: Mapping[str, Any], raised: str | None) -> tuple[str, str]:
    """Return the message code of a failure, and details beyond column and values."""
    if raised is not None:
        return "SY-Q109", raised.splitlines()[0]
    if kind == "expect_table_columns_to_match_set":
        mismatched = found.get("details", {}).get("mismatched", {})
        return "SY-Q102", f"missing {mismatched.get('missing', [])}, unexpected {mismatched.get('unexpected', [])}"
    return CODES.get(kind, "SY-Q109"), ""


CODES = {
    "expect_table_row_count_to_be_between": "SY-Q101",
    "expect_column_values_to_not_be_null": "SY-Q103",
    "expect_column_values_to_be_unique": "SY-Q104",
    "expect_column_pair_values_a_to_be_greater_than_b": "SY-Q105",
    "expect_column_values_to_be_in_set": "SY-Q106",
    "expect_column_values_to_be_between": "SY-Q107",
    "expect_column_values_to_match_regex": "SY-Q108",
}
