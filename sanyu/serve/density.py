"""Write a grid of densities as a cloud-optimised GeoTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transforms.mining.density.kde import Density


def write_cog(density: Density, path: str | Path, crs: str) -> Path:
    """Write rows per km² as one float32 band, north up, 0 for empty cells, with overviews; return the path.

    `crs` is the metric system of the rows, e.g. `EPSG:4549`; the bandwidth and cell size are stored in the file's tags.
    """
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    lines, columns = density.values.shape
    corner = rasterio.Affine(density.cell_m, 0.0, density.west_m, 0.0, -density.cell_m, density.south_m + lines * density.cell_m)
    profile = {"driver": "GTiff", "height": lines, "width": columns, "count": 1, "dtype": "float32", "crs": crs, "transform": corner}
    with MemoryFile() as memory:
        with memory.open(**profile) as band:
            band.write(np.flipud(density.values * 1e6).astype(np.float32), 1)
            band.set_band_description(1, "per km2")
            band.update_tags(bandwidth_m=repr(density.bandwidth_m), cell_m=repr(density.cell_m))
        with rasterio.open(memory.name) as source:
            copy(source, str(path), driver="COG", compress="DEFLATE")
    return Path(path)
