"""What a landed batch consists of, as its manifest keeps it, and how its columns differ from an earlier one's."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sanyu.lake.ledger import FileRow
from sanyu.readers import Parsed
from schemas.messages import render

_RENAMED_FROM = 0.6  # likeness of two names from which one is taken for the other's new name


@dataclass(frozen=True)
class LandedPart:
    """One Parquet part: where Spark reads it, the file that it came from, and the reference system that the file declares."""

    uri: str
    file_name: str
    crs: str | None


@dataclass(frozen=True)
class LandedFile:
    """One file of a batch: parsed into `parts` (keys of the lake), or failed with a message's code and parameters."""

    name: str
    size_bytes: int
    sha256: str
    parsed: str | None = None
    parts: tuple[str, ...] = ()
    row_count: int = 0
    rejected: int = 0
    declared_crs: str | None = None
    encoding: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    warnings: tuple[dict[str, Any], ...] = ()
    parser: str | None = None
    isolation: str | None = None
    error_code: str | None = None
    error_params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LandedFile:
        """Rebuild the record from decoded JSON."""
        lists = {"parts": tuple(values["parts"]), "warnings": tuple(values["warnings"])}
        return cls(**{**values, **lists, "columns": tuple((n, t) for n, t in values["columns"])})

    def failed(self, code: str, params: dict[str, Any]) -> LandedFile:
        """Return the record of a file that could not be read."""
        return replace(
            self, error_code=code, error_params={k: v if isinstance(v, int | float | str) else str(v) for k, v in params.items()}
        )

    def parsed_as(self, key: str, parsed: Parsed) -> LandedFile:
        """Return the record of a file whose parts are in the folder `key`."""
        return replace(
            self,
            parsed=key,
            parts=tuple(f"{key}/{p.name}" for p in parsed.parts),
            row_count=parsed.row_count,
            rejected=parsed.rejected,
            declared_crs=parsed.declared_crs,
            encoding=parsed.encoding,
            columns=tuple((c.name, c.type) for c in parsed.columns),
            warnings=tuple({"code": w.code, "params": w.params} for w in parsed.warnings),
            parser=parsed.parser,
            isolation=parsed.isolation,
        )


@dataclass(frozen=True)
class Landed:
    """A batch in the lake. `is_new` is false where it had been landed before; `drift` are messages about columns that changed."""

    source_name: str
    batch_id: str
    edition_at: str
    files: tuple[LandedFile, ...]
    is_new: bool
    drift: tuple[str, ...]
    uri_of: Callable[[str], str]

    @property
    def parts(self) -> tuple[LandedPart, ...]:
        return tuple(LandedPart(self.uri_of(key), f.name, f.declared_crs) for f in self.files for key in f.parts)

    @property
    def row_count(self) -> int:
        return sum(f.row_count for f in self.files)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that any of the files has, in the order in which they are first met."""
        return tuple(types_by_column(self.files))

    @property
    def crs(self) -> tuple[str, ...]:
        """The reference systems that the files declare."""
        return tuple(dict.fromkeys(f.declared_crs for f in self.files if f.declared_crs))

    @property
    def failed_files(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.files if f.error_code)

    def file_rows(self, run_id: str, recorded_at: str) -> list[FileRow]:
        """Return the rows for `raw.ops__file`."""
        return [
            FileRow(
                run_id=run_id,
                recorded_at=recorded_at,
                source_name=self.source_name,
                batch_id=self.batch_id,
                file_name=f.name,
                sha256=f.sha256,
                size_bytes=f.size_bytes,
                status="failed" if f.error_code else "ok",
                row_count=f.row_count,
                rejected_count=f.rejected,
                parser=f.parser,
                isolation=f.isolation,
                code=f.error_code,
                encoding=f.encoding,
                crs=f.declared_crs,
                message=render(f.error_code, f.error_params, "en") if f.error_code else None,
                message_zh=render(f.error_code, f.error_params, "zh") if f.error_code else None,
                warnings=json.dumps([_told(w["code"], w["params"]) for w in f.warnings], ensure_ascii=False),
                columns_json=json.dumps(dict(f.columns), ensure_ascii=False),
            )
            for f in self.files
        ]


def _told(code: str, params: dict[str, Any]) -> dict[str, str]:
    return {"code": code, "message": render(code, params, "en"), "message_zh": render(code, params, "zh")}


def types_by_column(files: Sequence[LandedFile]) -> dict[str, str]:
    """Return each column's type; `a|b` where files differ."""
    found: dict[str, list[str]] = {}
    for name, kind in (c for f in files for c in f.columns):
        kinds = found.setdefault(name, [])
        if kind not in kinds:
            kinds.append(kind)
    return {name: "|".join(sorted(kinds)) for name, kinds in found.items()}


def drift(before: Sequence[LandedFile], now: Sequence[LandedFile]) -> list[tuple[str, dict[str, str]]]:
    """Return message codes and parameters for columns that are renamed, missing, new or retyped.

    A missing column counts as renamed where a new one of its type bears a similar name. Where no file could be read, nothing is compared.
    """
    old, new = types_by_column(before), types_by_column(now)
    if not old or not new:
        return []
    gone = {n: t for n, t in old.items() if n not in new}
    come = {n: t for n, t in new.items() if n not in old}
    found: list[tuple[str, dict[str, str]]] = []
    for name, kind in list(gone.items()):
        near = difflib.get_close_matches(name, [n for n, t in come.items() if t == kind], n=1, cutoff=_RENAMED_FROM)
        if near:
            found.append(("SY-L042", {"column": name, "now": near[0]}))
            del gone[name], come[near[0]]
    found += [("SY-L041", {"column": n, "was": t}) for n, t in gone.items()]
    found += [("SY-L040", {"column": n, "now": t}) for n, t in come.items()]
    found += [("SY-L043", {"column": n, "was": t, "now": new[n]}) for n, t in old.items() if n in new and new[n] != t]
    return found
