"""Resampling by MONAI and by PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Int16
from monai.data import MetaTensor
from monai.transforms import Spacing
from torch.nn import functional

from medssl_jax.imaging.geometry import Grid


def both(hu_zyx: Int16[np.ndarray, "z y x"], grid: Grid, onto: Grid) -> dict[str, Callable[[], Any]]:
    """The same scan as ours, each from the array as it was read: on the processor, where files are."""
    affine = np.diag([*grid.spacing_zyx_mm, 1.0])
    spacing = Spacing(pixdim=onto.spacing_zyx_mm, mode="bilinear", padding_mode="border")
    return {
        "MONAI, Spacing": lambda: spacing(MetaTensor(torch.from_numpy(hu_zyx)[None].float(), affine=affine)),
        "F.interpolate": lambda: functional.interpolate(
            torch.from_numpy(hu_zyx)[None, None].float(), onto.size_zyx, mode="trilinear"
        ),
    }
