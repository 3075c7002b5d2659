"""The body in a CT from its HU, for scans in which lesions lie elsewhere than in lungs."""

import numpy as np
from etils import epy
from jaxtyping import UInt8

from medssl_jax.imaging.lungs import view_of_volume
from medssl_jax.imaging.resampling import resample_nearest
from medssl_jax.imaging.volumes import Volume

with epy.lazy_imports():
    from scipy import ndimage


def segment_body(volume: Volume) -> UInt8[np.ndarray, "z y x"]:
    """A mask of 0 and 1 on the grid of `volume`, a CT in HU: what is as dense as tissue, and what that encloses.

    That is its largest part, slice by slice with lungs and bowel; the couch is none of it. Rough: it says where to look
    for lesions. All zeros where there is no tissue.
    """
    view, grid = view_of_volume(volume)
    body = np.stack([ndimage.binary_fill_holes(of_slice) for of_slice in view.body])
    return resample_nearest(body.astype(np.uint8), grid, volume.grid)
