"""Finding the lungs of a synthetic chest in its HU, by part; each beside the whole: its ratio is its share."""

import numpy as np

from experiments.benchmarks.bench import Bench, Measurement
from medssl_jax.imaging.lungs import lungs_in_view, segment_lungs, view_of_volume
from medssl_jax.imaging.resampling import resample_nearest
from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.chests.scan import render_scan
from medssl_jax.phantoms.chests.spec import Luna16Phantom

SMALLEST = {"chest_mm": (64.0, 64.0, 64.0)}


def measure(bench: Bench, *, chest_mm: tuple[float, ...] = (80.0, 112.0, 128.0)) -> list[Measurement]:
    """The work is done on about 160 voxels across, whatever the size of the chest."""
    z, y, x = chest_mm
    scan = render_scan(Luna16Phantom(seed=0, scans=1, chest_zyx_mm=(z, y, x)), 0)
    volume = Volume(scan.hu, scan.grid, scan.truth.series_uid)
    view, grid = view_of_volume(volume)
    mask = lungs_in_view(view, grid.spacing_zyx_mm[0]).astype(np.uint8)

    def whole() -> None:
        segment_lungs(volume)

    parts = {
        "resample, tell body from air": lambda: view_of_volume(volume),
        "find the lungs": lambda: lungs_in_view(view, grid.spacing_zyx_mm[0]),
        "resample the mask": lambda: resample_nearest(mask, grid, volume.grid),
    }
    return [bench.pair(work, run, "the whole", whole) for work, run in parts.items()]
