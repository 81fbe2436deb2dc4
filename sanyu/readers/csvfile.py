"""Delimited text (RFC 4180 and looser dialects): encoding, delimiter and header are detected, broken records are kept as rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from sanyu.readers import textencoding
from sanyu.readers.archive import Staged
from sanyu.readers.model import ReadOptions, RowError
from sanyu.readers.sink import RawSink
from sanyu.readers.table import TableRows
from schemas.messages import SanyuError

_DELIMITERS = ",\t;|"
_LONGEST_FIELD = 16 << 20
_SAMPLE_LINES = 30
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{1,4}[-/.年]\d{1,2}[-/.月]\d{1,4}日?([ T].*)?")
_YEAR = re.compile(r"(1[6-9]|20|21)\d\d")


def read_csv(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a table; `row_number` is the line on which a record starts.

    Without `options.header` the first record must be a header: SY-R024 if it looks like data, SY-R025 if a name is empty or repeated.
    """
    encoding = find_encoding(staged.path, options, sink)
    with staged.path.open(encoding=encoding, errors="surrogateescape", newline="") as stream:
        head = list(islice(stream, _SAMPLE_LINES))
        delimiter = options.delimiter or sniff_delimiter(head)
        records = Records(chain(head, stream), delimiter)
        names = header(records, options, sink.file)
        rows = TableRows(names, options, sink)
        for line, record, error in records:
            if error is not None:
                rows.add_damaged(line, records.raw, record, error)
            elif len(record) == len(names):
                rows.add(line, record)
            elif record:
                rows.add_damaged(line, records.raw, record, RowError("SY-R050", found=len(record), expected=len(names)))
        rows.flush()
    return f"sanyu CSV (delimiter {delimiter!r})"


def find_encoding(path: Path, options: ReadOptions, sink: RawSink) -> str:
    """Return the encoding from the override, the byte order mark or the statistics of the lines (with a warning if not certain)."""
    if options.encoding:
        sink.encoding = textencoding.known_encoding(options.encoding, sink.file)
        return "utf-8-sig" if sink.encoding == "utf-8" else sink.encoding
    with path.open("rb") as stream:
        mark = stream.read(2)
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            sink.encoding = "utf-16"
            return "utf-16"
        stream.seek(0)
        encoding, certain = textencoding.detect(iter(lambda: stream.readline(1 << 20), b""))
    sink.encoding = encoding
    if not certain:
        sink.note("SY-R080", encoding=encoding)
    return "utf-8-sig" if encoding == "utf-8" else encoding


def sniff_delimiter(head: Sequence[str]) -> str:
    """Return the delimiter that splits most of the first records into the same number of fields, more than one; otherwise the comma."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(record) for record in csv.reader(io.StringIO("".join(head)), delimiter=delimiter) if record)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / max(1, sum(widths.values())) if width > 1 else 0.0, width)

    return max(_DELIMITERS, key=score)


class Records:
    """Iterate over (line, fields, error). A record that cannot be split is reported at its first line, and reading continues with the next
    line.

    `raw` is the text of the most recent record.
    """

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        csv.field_size_limit(_LONGEST_FIELD)
        self._source = lines
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 0
        self._delimiter = delimiter
        self._reader = self._fresh_reader()

    @property
    def raw(self) -> str:
        """Return the text of the most recent record."""
        return "".join(self._taken).rstrip("\r\n")

    def step_back(self) -> None:
        """Push the most recent record back, so that it is returned again."""
        self._again.extendleft(reversed(self._taken))
        self._taken = []
        self._reader = self._fresh_reader()

    def _fresh_reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while True:
            if self._again:
                line = self._again.popleft()
            else:
                following = next(self._source, None)
                if following is None:
                    return
                line = following
            self._taken.append(line)
            yield line

    def __iter__(self) -> Iterator[tuple[int, list[str], RowError | None]]:
        return self

    def __next__(self) -> tuple[int, list[str], RowError | None]:
        self._line += len(self._taken)
        self._taken = []
        start = self._line + 1
        try:
            return start, next(self._reader), None
        except csv.Error as error:
            self._again.extendleft(reversed(self._taken[1:]))
            self._taken = self._taken[:1]
            self._reader = self._fresh_reader()
            return start, [], RowError("SY-R052", detail=str(error)[:100])


def header(records: Records, options: ReadOptions, file: str) -> list[str]:
    """Return the column names; a header row that merely repeats `options.header` is skipped."""
    first = next(((line, record, error) for line, record, error in records if record or error), None)
    if first is None:
        raise SanyuError("SY-R002", file=file)
    line, record, error = first
    if error is not None:
        raise SanyuError("SY-R052", file=file, row=line, **error.params)
    names = [name.strip() for name in record]
    if options.header is not None:
        if names != [name.strip() for name in options.header]:
            records.step_back()
        return list(options.header)
    check_header(names, line, file)
    return names


def check_header(names: Sequence[str], line: int, file: str) -> None:
    """Raise SY-R024 if the names look like data, SY-R025 if one is empty or repeated."""
    data = next((name for name in names if _NUMBER.fullmatch(name) or _DATE.fullmatch(name)), None)
    if data is not None:
        values = [name for name in names if _NUMBER.fullmatch(name)]
        # a table with a column for each year has names followed only by years
        if not (
            all(_YEAR.fullmatch(name) for name in values) and len(set(names)) == len(names) and not _YEAR.fullmatch(names[0]) and values
        ):
            raise SanyuError("SY-R024", file=file, row=line, value=data[:60])
    counts = Counter(names)
    doubtful = next((name for name in names if not name or counts[name] > 1), None)
    if doubtful is not None:
        raise SanyuError("SY-R025", file=file, row=line, field=doubtful[:60])
