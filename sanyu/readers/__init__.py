"""Turn untrusted city files into Parquet parts of raw rows, in a confined child process; database rows take the same form.

Every row of a file becomes a row of the parts, with its original text; a row that cannot be read is kept with an error. The
parts have the same schema for every format: `row_number`, `feature_id`, `attributes` (map of original texts), `geom` (ISO WKB in the file's
own coordinates, x = easting or longitude), `error_code`, `error_params` (JSON). See `docs/decisions/0004-untrusted-files.md`.
"""

from sanyu.readers.content import detect_format
from sanyu.readers.database import Database, Fetched, Shape, ask, fetch
from sanyu.readers.launch import parse
from sanyu.readers.model import FORMATS, Column, Limits, Note, Parsed, ReadOptions
from sanyu.readers.sandbox import capabilities

__all__ = [
    "FORMATS",
    "Column",
    "Database",
    "Fetched",
    "Limits",
    "Note",
    "Parsed",
    "ReadOptions",
    "Shape",
    "ask",
    "capabilities",
    "detect_format",
    "fetch",
    "parse",
]
