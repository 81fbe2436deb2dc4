"""Bring a file into the child's own folder under a name of our choosing: unpacked with limits, or linked.

Names inside archives are inspected but never used as paths. Sizes in archive headers are not trusted: bytes are counted while unpacking.
"""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from sanyu.readers import content
from sanyu.readers.model import Limits, ReadOptions
from schemas.messages import SanyuError

_CHUNK = 1 << 20
_MEGABYTE = 1 << 20
_RATIO_FREE = 16 * _MEGABYTE
_NESTED = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"}
_MEMBERS = {
    "csv": (".csv", ".tsv", ".txt"),
    "dxf": (".dxf",),
    "flatgeobuf": (".fgb",),
    "geojson": (".geojson", ".json"),
    "topojson": (".topojson", ".json"),
    "overpass": (".json",),
    "nominatim": (".json",),
    "geoparquet": (".parquet", ".geoparquet"),
    "parquet": (".parquet",),
    "gml": (".gml", ".xml"),
    "gpkg": (".gpkg",),
    "gtfs": (".txt",),
    "osm_pbf": (".pbf",),
    "shapefile": (".shp",),
}
# the file name that GDAL expects for the format
_STAGED_SUFFIX = {
    "shapefile": ".shp",
    "gpkg": ".gpkg",
    "flatgeobuf": ".fgb",
    "gml": ".gml",
    "dxf": ".dxf",
    "filegdb": ".gdb",
    "osm_pbf": ".osm.pbf",
}
SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".cst")


@dataclass(frozen=True)
class Staged:
    """A file ready for its parser: its path in the work folder, the user's name for it, and the layer still to choose."""

    path: Path
    file: str
    layer: str | None


def stage(path: Path, work: Path, options: ReadOptions, siblings: Sequence[Path] = ()) -> Staged:
    """Return the file at a safe path below `work`, with the other parts of a shapefile.

    Raises SY-R008 to SY-R015 if an archive is damaged, hostile or ambiguous.
    """
    file = path.name
    if path.is_dir():
        target = work / "data.gdb"
        target.symlink_to(path)
        return Staged(target, file, options.layer)
    kind = content.sniff(_head(path))
    if kind == "zip" and options.format != "xlsx":
        return _unzip(path, work, options)
    target = work / f"data{_STAGED_SUFFIX.get(options.format, '')}"
    if kind == "gzip":
        _gunzip(path, target, options.limits)
    else:
        target.symlink_to(path)
        if options.format == "xlsx" and kind == "zip":
            _check_members(path.name, zipfile_infos(path), options.limits, ratio=True)
        for part in siblings:
            (work / f"data{part.suffix.lower()}").symlink_to(part)
    return Staged(target, file, options.layer)


def shapefile_siblings(path: Path) -> list[Path]:
    """Return the other parts of a loose shapefile, whatever the case of their suffixes; links are skipped, as they could lead anywhere."""
    if path.suffix.lower() != ".shp":
        return []
    beside = [part for part in path.parent.iterdir() if part.stem == path.stem and part != path and not part.is_symlink()]
    found = {part.suffix.lower(): part for part in beside}
    return [found[suffix] for suffix in SHAPEFILE_PARTS if suffix in found]


def zipfile_infos(path: Path) -> list[zipfile.ZipInfo]:
    """Return a zip's directory; SY-R008 if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise SanyuError("SY-R008", file=path.name, detail=str(error)[:120]) from None


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4096)


def member_name(info: zipfile.ZipInfo) -> str:
    """Return the name as its author wrote it; in China, names without the UTF-8 flag are often GBK."""
    if info.flag_bits & 0x800:
        return info.filename
    raw = info.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _check_members(file: str, infos: list[zipfile.ZipInfo], limits: Limits, *, ratio: bool = False) -> None:
    if len(infos) > limits.max_members:
        raise SanyuError("SY-R013", file=file, found=len(infos), limit=limits.max_members)
    for info in infos:
        name = member_name(info)
        parts = PurePosixPath(name.replace("\\", "/"))
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        if parts.is_absolute() or ".." in parts.parts or ":" in name or "\0" in name or is_link:
            raise SanyuError("SY-R009", file=file, member=name)
        if parts.suffix.lower() in _NESTED:
            raise SanyuError("SY-R010", file=file, member=name)
        if info.flag_bits & 0x1:
            raise SanyuError("SY-R011", file=file, member=name)
        if ratio:
            _check_size(file, name, info.file_size, info.compress_size, limits)
    total = sum(info.file_size for info in infos)
    if total > limits.max_uncompressed_mb * _MEGABYTE:
        raise SanyuError(
            "SY-R012",
            file=file,
            member=file,
            found=f"{total >> 20} MB",
            limit=f"{limits.max_uncompressed_mb} MB",
            setting="max_uncompressed_mb",
        )


def _check_size(file: str, member: str, unpacked: int, packed: int, limits: Limits) -> None:
    if unpacked > limits.max_uncompressed_mb * _MEGABYTE:
        found, limit, setting = f"{unpacked >> 20} MB", f"{limits.max_uncompressed_mb} MB", "max_uncompressed_mb"
    elif unpacked > _RATIO_FREE and unpacked > packed * limits.max_ratio:
        found, limit, setting = f"1:{unpacked // max(packed, 1)}", f"1:{limits.max_ratio}", "max_ratio"
    else:
        return
    raise SanyuError("SY-R012", file=file, member=member, found=found, limit=limit, setting=setting)


def _copy(source: IO[bytes], target: Path, *, file: str, member: str, packed: int, limits: Limits, before: int = 0) -> int:
    """Copy and count bytes; return the total including `before`, the bytes of earlier members."""
    written = 0
    with target.open("xb") as sink:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            _check_size(file, member, written, packed, limits)
            if before + written > limits.max_uncompressed_mb * _MEGABYTE:
                _check_size(file, member, before + written, packed, limits)
            sink.write(chunk)
    return before + written


def _gunzip(path: Path, target: Path, limits: Limits) -> None:
    try:
        with gzip.open(path) as source:
            _copy(source, target, file=path.name, member=path.stem, packed=path.stat().st_size, limits=limits)  # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SanyuError("SY-R008", file=path.name, detail=str(error)[:120]) from None


def _unzip(path: Path, work: Path, options: ReadOptions) -> Staged:
    infos = [info for info in zipfile_infos(path) if not info.is_dir()]
    _check_members(path.name, infos, options.limits)
    by_name = {member_name(info): info for info in infos}
    chosen, layer = _choose(path.name, by_name, options)
    stem = chosen.removesuffix(PurePosixPath(chosen).suffix)
    suffix = _STAGED_SUFFIX.get(options.format, "")
    target = work / f"data{suffix}"
    if options.format == "filegdb":
        target.mkdir()
        members = {name: target / PurePosixPath(name).name for name in by_name if name.startswith(chosen)}
    elif options.format == "shapefile":
        members = {
            name: work / f"data{PurePosixPath(name).suffix.lower()}"
            for name in by_name
            if name.removesuffix(PurePosixPath(name).suffix) == stem and PurePosixPath(name).suffix.lower() in SHAPEFILE_PARTS
        }
    else:
        members = {chosen: target}
    total = 0
    member = chosen
    try:
        with zipfile.ZipFile(path) as archive:
            for member, place in members.items():
                info = by_name[member]
                with archive.open(info) as source:
                    total = _copy(
                        source, place, file=path.name, member=member, packed=info.compress_size, limits=options.limits, before=total
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, FileExistsError) as error:
        raise SanyuError("SY-R008", file=path.name, detail=f"{member}: {str(error)[:120]}") from None
    return Staged(target, path.name if len(by_name) == 1 else f"{path.name}/{chosen.rstrip('/')}", layer)


def _choose(file: str, by_name: dict[str, zipfile.ZipInfo], options: ReadOptions) -> tuple[str, str | None]:
    """Return the member to read and the layer that remains to be chosen inside it."""
    if options.format == "filegdb":
        candidates = sorted({name[: name.lower().index(".gdb/") + 5] for name in by_name if ".gdb/" in name.lower()})
    else:
        suffixes = _MEMBERS[options.format]
        candidates = [name for name in by_name if name.lower().endswith(suffixes) and not name.startswith("__MACOSX/")]
    if not candidates:
        raise SanyuError("SY-R004", file=file, format=options.format, found=f"ZIP ({', '.join(list(by_name)[:5])})")
    for name in candidates:
        pure = PurePosixPath(name)
        if options.layer is not None and options.layer in (name, pure.name, pure.stem):
            return name, None
    if len(candidates) == 1 and options.format != "gtfs":
        return candidates[0], options.layer
    choices = ", ".join(candidates[:20])
    if options.layer is not None:
        raise SanyuError("SY-R015", file=file, layer=options.layer, choices=choices)
    raise SanyuError("SY-R014", file=file, choices=choices)
