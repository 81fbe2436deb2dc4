"""Property tests of the stamp: the same examples on each run, and no time limit on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("stamp", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("stamp")
