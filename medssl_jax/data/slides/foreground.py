"""The patches of a slide that hold tissue, found in its low-resolution image alone: no patch is decoded."""

import numpy as np
from jaxtyping import Bool, UInt8

from medssl_jax.imaging.slides import SlideLayout

# Our choice: stitched corners without a field of view are black, and the darkest tissue is brighter than this.
BACKGROUND_GREY_LEVELS = 1.0


def foreground_patches(
    low_resolution: UInt8[np.ndarray, "height side"], layout: SlideLayout, threshold: float = BACKGROUND_GREY_LEVELS
) -> Bool[np.ndarray, " patches"]:
    """True for each patch, row by row, that is brighter on average than `threshold` grey levels (0 to 255).

    `low_resolution` is the whole image, or a band of it that shows whole rows of patches.
    """
    block = layout.patch_low_side
    blocks = low_resolution.reshape(-1, block, layout.grid, block)
    return (blocks.mean(axis=(1, 3), dtype=np.float64) > threshold).ravel()
