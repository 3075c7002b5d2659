"""The size of a lesion round a point: its two diameters in the axial plane, its volume, its mean density.

A rough measure for people who look at it, not a segmentation that was validated: what is dense, hangs together and lies
in a ball round the point. Vessels and pleura that touch the lesion inside the ball count with it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num

from medssl_jax.imaging.shapes import holding

PARENCHYMA_HU = -850.0  # of aerated lung; ours
LEAST_CONTRAST_HU = 100.0  # less than that above lung is no lesion that could be outlined; ours
BALL_DIAMETERS, BALL_MARGIN_MM = 0.6, 1.0  # the ball's radius: a fifth more than the lesion's, and a rim; ours
CORE_DIAMETERS = 0.2  # of the ball whose median stands for the lesion; ours
PIXEL_SPREAD = 1 / 12  # the variance of a pixel of side 1, which its centre alone has not


class LesionSize(NamedTuple):
    """Diameters in mm, along and across, of the axial slice where the lesion is largest; volume; mean density."""

    long_mm: float
    short_mm: float
    volume_mm3: float
    mean_hu: float


def lesion_size(
    hu_zyx: Num[np.ndarray, "z y x"],
    spacing_zyx_mm: tuple[float, float, float],
    centre_zyx: Float[np.ndarray, "3"],
    diameter_mm: float,
) -> LesionSize | None:
    """The size of what lies at `centre_zyx` (in voxels) and is roughly `diameter_mm` wide; None if nothing is denser.

    A voxel belongs to it from half way between aerated lung and the median of its core on. The diameters are the axes
    of the ellipse with the same second moments (Haralick & Shapiro, Computer and Robot Vision I, 1992, appendix A).
    """
    spacing = np.array(spacing_zyx_mm)
    reach_mm = BALL_DIAMETERS * diameter_mm + BALL_MARGIN_MM
    low = np.maximum(np.floor(centre_zyx - reach_mm / spacing).astype(int), 0)
    high = np.minimum(np.ceil(centre_zyx + reach_mm / spacing).astype(int) + 1, hu_zyx.shape)
    if (low >= high).any():
        return None
    hu = hu_zyx[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    from_centre_mm = [
        (np.arange(a, b) - middle) * mm for a, b, middle, mm in zip(low, high, centre_zyx, spacing, strict=True)
    ]
    squared_mm = sum(each**2 for each in np.meshgrid(*from_centre_mm, indexing="ij"))
    core = squared_mm <= max(squared_mm.min(), (CORE_DIAMETERS * diameter_mm) ** 2)
    contrast = float(np.median(hu[core])) - PARENCHYMA_HU
    if contrast < LEAST_CONTRAST_HU:
        return None
    dense = (hu >= PARENCHYMA_HU + contrast / 2) & (squared_mm <= reach_mm**2)
    lesion = holding(dense, core & dense)
    largest = lesion[lesion.sum(axis=(1, 2)).argmax()]
    long_mm, short_mm = _axes_mm(largest, spacing_zyx_mm[1:])
    return LesionSize(long_mm, short_mm, float(lesion.sum() * spacing.prod()), float(hu[lesion].mean()))


def _axes_mm(mask: Bool[np.ndarray, "y x"], spacing_yx_mm: tuple[float, float]) -> tuple[float, float]:
    pixels_mm = np.argwhere(mask) * spacing_yx_mm
    moments = np.cov(pixels_mm.T, bias=True) if len(pixels_mm) > 1 else np.zeros((2, 2))
    moments = moments + np.diag(np.square(spacing_yx_mm)) * PIXEL_SPREAD
    short, long = np.sqrt(np.linalg.eigvalsh(moments)) * 4
    return float(long), float(short)
