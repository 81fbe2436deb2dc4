"""GTFS Schedule (gtfs.org/schedule/reference): one file of a feed, read by the rules of CSV; stops become points, shapes become lines."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import PurePosixPath

import numpy as np

from sanyu.readers import csvfile
from sanyu.readers.archive import Staged
from sanyu.readers.geometry import positions
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, ReadOptions, RowError
from sanyu.readers.sink import RawSink
from sanyu.readers.table import geometry_columns
from schemas.messages import SanyuError

_WGS84 = "EPSG:4326"
_Vertex = tuple[int, str, float, list[str]]


def read_gtfs(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read the file named by `layer`; `stops` get points from `stop_lon`/`stop_lat`, `shapes` become one line for each `shape_id`."""
    stem = PurePosixPath(options.layer or staged.file).stem
    options = replace(options, encoding=options.encoding or "utf-8", delimiter=",")
    if stem == "shapes":
        sink.declared_crs = _WGS84
        return _read_shapes(staged, options, sink)
    if stem == "stops":
        options = replace(options, x=options.x or "stop_lon", y=options.y or "stop_lat")
    if options.x or options.wkt:
        sink.declared_crs = _WGS84
    return f"GTFS {stem}, {csvfile.read_csv(staged, options, sink)}"


def _read_shapes(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Join the points of each shape by sequence; `row_number` is the line of its first point in the file."""
    encoding = csvfile.find_encoding(staged.path, options, sink)
    vertices: list[_Vertex] = []
    with staged.path.open(encoding=encoding, errors="surrogateescape", newline="") as stream:
        records = csvfile.Records(stream, ",")
        names = csvfile.header(records, options, sink.file)
        geometry_columns(names, replace(options, x="shape_pt_lon", y="shape_pt_lat"), sink.file)
        try:
            key, order = names.index("shape_id"), names.index("shape_pt_sequence")
        except ValueError:
            raise SanyuError("SY-R026", file=sink.file, field="shape_id, shape_pt_sequence", choices=", ".join(names)) from None
        for line, record, error in records:
            if not record and error is None:
                continue
            try:
                if error is not None or len(record) != len(names):
                    raise error or RowError("SY-R050", found=len(record), expected=len(names))
                vertices.append((line, record[key], _sequence(record[order]), record))
            except RowError as problem:
                sink.add(line, {RAW_TEXT: records.raw}, error=problem)
    vertices.sort(key=lambda vertex: (vertex[1], vertex[2]))
    x, y = names.index("shape_pt_lon"), names.index("shape_pt_lat")
    for shape, group in groupby(vertices, key=lambda vertex: vertex[1]):
        _add_shape(shape, list(group), (x, y), sink)
    return "sanyu GTFS shapes"


def _sequence(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RowError("SY-R053", field="shape_pt_sequence", value=text[:60]) from None


def _add_shape(shape: str, vertices: list[_Vertex], at: tuple[int, int], sink: RawSink) -> None:
    row = min(vertex[0] for vertex in vertices)
    attributes = {"shape_id": shape, "points": str(len(vertices))}
    try:
        line = positions([[vertex[3][i].strip() for i in at] for vertex in vertices])
        wkb = sink.writer.line(np.ascontiguousarray(line))
    except RowError as error:
        raw = "\n".join(",".join(vertex[3]) for vertex in vertices)
        sink.add(row, {**attributes, RAW_TEXT: raw[:RAW_TEXT_LIMIT]}, None, shape, error)
        return
    sink.add(row, attributes, wkb, shape)
