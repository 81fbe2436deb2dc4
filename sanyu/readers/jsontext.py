"""JSON with numbers as written in the file, read as a whole or feature by feature."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sanyu.readers import textencoding
from sanyu.readers.model import ReadOptions
from sanyu.readers.sink import RawSink
from schemas.messages import SanyuError

_CHUNK = 4 << 20
_SPACE = " \t\r\n\x1e"


class Number(str):
    """The text of a JSON number with a fraction or exponent, or of a constant such as NaN; `float()` accepts it."""

    __slots__ = ()


def decoder() -> json.JSONDecoder:
    """Return a decoder that leaves fractions as text."""
    return json.JSONDecoder(parse_float=Number, parse_constant=Number)


def attribute_text(value: Any) -> str | None:
    """Return a member's value as an attribute: text as it is, numbers as in the file, objects and lists as JSON, null as None."""
    if value is None or isinstance(value, str):
        return value
    return exact(value)


def exact(value: Any) -> str:
    """Return compact JSON, numbers with their original text."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{exact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(exact, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def attributes_of(members: dict[str, Any]) -> dict[str, str]:
    """Return members as attributes, without nulls."""
    return {name: text for name, value in members.items() if (text := attribute_text(value)) is not None}


def file_encoding(path: Path, options: ReadOptions, sink: RawSink) -> str:
    """Return the encoding from the override or a byte order mark; otherwise UTF-8 (RFC 8259, 8.1).

    If the file violates the rule, the encoding is detected by statistics, with a warning.
    """
    if options.encoding:
        sink.encoding = textencoding.known_encoding(options.encoding, sink.file)
        return sink.encoding
    with path.open("rb") as stream:
        mark = stream.read(4)
        if mark[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            sink.encoding = "utf-16"
            return "utf-16"
        stream.seek(0)
        encoding, certain = textencoding.detect(_pieces(stream))
    sink.encoding = encoding
    if not certain:
        sink.note("SY-R080", encoding=encoding)
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the text between quotes, so that one huge line is not a single piece."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        *pieces, rest = (rest + chunk).split(b'"')
        yield from pieces
    yield rest


def load(path: Path, options: ReadOptions, sink: RawSink) -> Any:
    """Return a whole document; SY-R021 if it is invalid."""
    text = path.read_bytes().decode(file_encoding(path, options, sink), "surrogateescape")
    try:
        return decoder().decode(text)
    except ValueError as error:
        raise broken(error, text, sink.file) from None


def broken(error: ValueError, text: str, file: str, lines_before: int = 0) -> SanyuError:
    """Return SY-R021 for a decoding error."""
    if not isinstance(error, json.JSONDecodeError):
        return SanyuError("SY-R021", file=file, line=1, column=1, detail=str(error)[:120])
    line = lines_before + text.count("\n", 0, error.pos) + 1
    return SanyuError("SY-R021", file=file, line=line, column=error.colno, detail=error.msg)


class Stream:
    """A cursor over a JSON document that keeps only the current value in memory."""

    def __init__(self, path: Path, encoding: str, file: str) -> None:
        self._stream = path.open(encoding=encoding, errors="surrogateescape")
        self._file = file
        self._decoder = decoder()
        self._text = ""
        self._at = 0
        self._lines_before = 0
        self._ended = False

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _more(self) -> bool:
        """Read as many characters as are pending; return whether there were any."""
        if self._ended:
            return False
        self._lines_before += self._text.count("\n", 0, self._at)
        rest = self._text[self._at :]
        chunk = self._stream.read(max(_CHUNK, len(rest)))
        self._text, self._at, self._ended = rest + chunk, 0, not chunk
        return not self._ended

    def peek(self) -> str:
        """Return the next character that is not white space, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        """Skip an expected character; SY-R021 if another one is found."""
        if self.peek() != character:
            raise self._broken(f"expecting {character!r}")
        self._at += 1

    def take(self, character: str) -> bool:
        """Skip a character if it is next; return whether it was."""
        if self.peek() != character:
            return False
        self._at += 1
        return True

    def value(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except ValueError as error:
                if self._more():
                    continue
                raise broken(error, self._text, self._file, self._lines_before) from None
            if end == len(self._text) and self._more():
                continue  # a number may continue in the next chunk
            self._at = end
            return value

    def _broken(self, detail: str) -> SanyuError:
        return broken(json.JSONDecodeError(detail, self._text, self._at), self._text, self._file, self._lines_before)

    def items(self) -> Iterator[Any]:
        """Yield the items of the next array."""
        self.expect("[")
        if self.take("]"):
            return
        while True:
            yield self.value()
            if self.take("]"):
                return
            self.expect(",")
