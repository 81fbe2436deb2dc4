"""Property tests here have no deadline: the first example of a run also pays for PROJ's database."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
