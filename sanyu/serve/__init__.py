"""Products for the city's systems: releases of the lake, and a map preview."""

from sanyu.serve.overview import preview_png
from sanyu.serve.preview import lake_layers, preview, release_layers
from sanyu.serve.publish import publish
from sanyu.serve.release import Release, current, make_current, release, releases, verify

__all__ = [
    "Release",
    "current",
    "lake_layers",
    "make_current",
    "preview",
    "preview_png",
    "publish",
    "release",
    "release_layers",
    "releases",
    "verify",
]
