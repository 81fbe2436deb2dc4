"""The process that parses the untrusted file. Started by `sanyu.readers.launch`, one per file; writes JSON lines to standard output."""

from __future__ import annotations

import json
import mimetypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from sanyu.readers import sandbox
from sanyu.readers.model import Limits, ReadOptions
from schemas.messages import SanyuError


@dataclass(frozen=True)
class _Request:
    path: Path
    siblings: list[Path]
    out_dir: Path
    work: Path
    options: ReadOptions


class Unwanted(MetaPathFinder):
    """Hide pandas and geopandas, which Arrow and pyogrio otherwise import on their own, at a cost of one second per file."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in ("pandas", "geopandas"):
            raise ModuleNotFoundError(fullname)


def main() -> None:
    """Read the request from standard input, confine this process, parse, answer."""
    if "--probe" in sys.argv:
        sys.stdout.write(" ".join(sandbox.confine([], [], Limits())))
        return
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output printed by a library must not be mistaken for an answer

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message, ensure_ascii=False, default=str) + "\n")
        answers.flush()

    sys.meta_path.insert(0, Unwanted())
    asked = json.loads(sys.stdin.read())
    request = _Request(
        path=Path(asked["path"]),
        siblings=[Path(part) for part in asked["siblings"]],
        out_dir=Path(asked["out_dir"]),
        work=Path(asked["work"]),
        options=ReadOptions.from_dict(asked["options"]),
    )
    path, options = request.path, request.options
    held = sandbox.confine([path, *request.siblings], [request.out_dir, request.work], options.limits)
    missing = [name for name in sandbox.PROTECTIONS if name not in held]
    try:
        if missing and options.strict:
            raise SanyuError("SY-R027", file=path.name, missing=", ".join(missing))
        parsed = _parse(request, held, lambda rows: answer(rows=rows))
    except SanyuError as error:
        answer(error=error.code, params=error.params)
    except (MemoryError, RecursionError) as error:
        code = "SY-R022" if isinstance(error, RecursionError) else "SY-R017"
        limit = sys.getrecursionlimit() if isinstance(error, RecursionError) else options.limits.max_memory_mb
        answer(error=code, params={"file": path.name, "limit": limit})
    except PermissionError as error:
        answer(error="SY-R032", params={"file": path.name, "detail": str(error)[:200]})
    else:
        answer(parsed=parsed)


def _parse(request: _Request, held: set[str], progress: Callable[[int], None]) -> dict[str, Any]:
    from sanyu.readers.archive import stage
    from sanyu.readers.content import check_content

    options = request.options
    staged = stage(request.path, request.work, options, request.siblings)
    if options.format != "filegdb":
        check_content(staged.path, staged.file, options)

    from sanyu.readers.sink import RawSink

    missing = [name for name in sandbox.PROTECTIONS if name not in held]
    sink = RawSink(request.out_dir, staged.file, options.limits, progress)
    if missing:
        sink.note("SY-R083", missing=", ".join(missing))
    parser = _reader(options.format)(staged, options, sink)
    isolation = "+".join(name for name in sandbox.PROTECTIONS if name in held) or "none"
    parsed = sink.close(parser, isolation, options.crs)
    decoded: dict[str, Any] = json.loads(parsed.to_json())
    return decoded


def _reader(name: str) -> Callable[..., str]:
    """Return the reader of a format; each imports its library only when it is needed."""
    if name == "csv":
        from sanyu.readers.csvfile import read_csv as reader
    elif name == "gtfs":
        from sanyu.readers.gtfs import read_gtfs as reader
    elif name == "xlsx":
        mimetypes.knownfiles.clear()  # importing openpyxl would read system files outside the sandbox
        from sanyu.readers.xlsx import read_xlsx as reader
    elif name in ("geojson", "nominatim"):
        from sanyu.readers.geojson import read_geojson, read_nominatim

        reader = read_geojson if name == "geojson" else read_nominatim
    elif name == "topojson":
        from sanyu.readers.topojson import read_topojson as reader
    elif name == "overpass":
        from sanyu.readers.overpass import read_overpass as reader
    elif name == "osm_pbf":
        from sanyu.readers.osmpbf import read_osm_pbf as reader
    elif name in ("parquet", "geoparquet"):
        from sanyu.readers.parquet import read_parquet as reader
    elif name == "shapefile":
        from sanyu.readers.shapefile import read_shapefile as reader
    else:
        from sanyu.readers.gdal import read_gdal as reader
    return reader


if __name__ == "__main__":
    main()
