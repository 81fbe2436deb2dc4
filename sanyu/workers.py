"""Where Spark's Python workers come from: a daemon without Spark's archives on its import path.

Before each task a worker drops its import caches, and Python then reads the directory of every archive on the path anew, those of
pyspark.zip and of Spark's core jar: a tenth of a second of CPU for each task, however small (64 empty tasks on two cores: 19 s, and 4 s
without). pyspark is installed beside this package, at the version of the archive, so nothing in them is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys

_ARCHIVE = re.compile(r"/(pyspark\.zip|py4j-[^/]*\.zip|jars/spark-core_[^/]*\.jar)(/|$)")


def leave_archives_out() -> None:
    """Take Spark's archives off the import path, unless pyspark is in them only."""
    path, caches = list(sys.path), dict(sys.path_importer_cache)
    sys.path[:] = [entry for entry in path if not _ARCHIVE.search(entry)]
    for entry in filter(_ARCHIVE.search, caches):
        del sys.path_importer_cache[entry]
    if importlib.util.find_spec("pyspark") is None or importlib.util.find_spec("py4j") is None:
        sys.path[:] = path
        sys.path_importer_cache.update(caches)


if __name__ == "__main__":
    leave_archives_out()
    importlib.import_module("pyspark.daemon").manager()
