"""What the city's systems take: releases of the lake, and a map to look at them."""

from sanyu.serve.preview import preview
from sanyu.serve.publish import publish
from sanyu.serve.release import Release, current, make_current, release, releases, verify

__all__ = ["Release", "current", "make_current", "preview", "publish", "release", "releases", "verify"]
