"""Which patches of a slide hold tissue, told from its low-resolution image alone: no patch is decoded to find out."""

import numpy as np
from jaxtyping import Bool, UInt8

from medssl_jax.slides import SlideLayout

# Our choice: stitched corners without a field of view are black, and the darkest tissue is brighter than this.
BACKGROUND_GREY_LEVELS = 1.0


def foreground_patches(
    low_resolution: UInt8[np.ndarray, "side side"], layout: SlideLayout, threshold: float = BACKGROUND_GREY_LEVELS
) -> Bool[np.ndarray, " patches"]:
    """True for each patch, row by row, that is brighter on average than `threshold` grey levels (0 to 255)."""
    block = layout.low_side // layout.grid
    blocks = low_resolution.reshape(layout.grid, block, layout.grid, block)
    return (blocks.mean(axis=(1, 3), dtype=np.float64) > threshold).ravel()
