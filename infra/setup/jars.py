"""Put the jars of the named groups (default: those that the lake needs) into the cache, or write the lock anew with `--lock`."""

from __future__ import annotations

import sys

from sanyu.jars import install_jars, jar_paths, lock_jars
from sanyu.session import jar_group_names
from sanyu.settings import Settings
from schemas.messages import SanyuError


def main(arguments: list[str]) -> int:
    """Return 0, or 1 with the reason on stderr."""
    try:
        if arguments == ["--lock"]:
            lock_jars()
            return 0
        settings = Settings.load()
        groups = arguments or list(jar_group_names(settings))
        try:
            jar_paths(settings.jar_folder, groups)
        except SanyuError:
            sys.stderr.write(f"• resolving jars ({', '.join(groups)}) into {settings.jar_folder}\n")
            install_jars(settings.jar_folder, groups)
    except SanyuError as error:
        sys.stderr.write(f"✗ {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
