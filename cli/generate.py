"""Write the files generated from contracts, code lists and messages: `sanyu docs`, `sanyu docs --check`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from quality.docs import pages
from sanyu.lake import folders
from schemas.registry import contracts

OWNED = ("docs/tables/**/*.md", "docs/tables/**/*.odcs.yaml", "tests/golden/*.json")


def stale(root: Path) -> dict[str, str]:
    """Return outdated generated files, path → unified diff, including files that are no longer generated."""
    wanted = _pages()
    present = {str(p.relative_to(root)) for glob in OWNED for p in root.glob(glob)}
    found = {path: (root / path).read_text("utf-8") if (root / path).exists() else "" for path in {*wanted, *present}}
    return {p: _diff(p, found[p], wanted.get(p, "")) for p in sorted(found) if p not in wanted or found[p] != wanted[p]}


def write(root: Path) -> list[str]:
    """Update all generated files and return the paths that changed."""
    wanted = _pages()
    changed = list(stale(root))
    for path in changed:
        target = root / path
        if path not in wanted:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(wanted[path], "utf-8")
    return changed


def generate(root: Path, *, check_only: bool = False) -> int:
    """Write and list outdated files or, with `check_only`, show the differences and return 1 if there are any."""
    if check_only:
        differences = stale(root)
        sys.stdout.writelines(f"{text}\n" for text in differences.values())
        return 1 if differences else 0
    sys.stdout.writelines(f"{path}\n" for path in write(root))
    return 0


def _pages() -> dict[str, str]:
    return {**pages(contracts()), "infra/terraform/modules/lake/folders.json": folders.as_json()}


def _diff(path: str, old: str, new: str) -> str:
    return "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), f"{path} (file)", f"{path} (contracts)", n=2, lineterm=""))
