"""A whole scan by MONAI's sliding window, through our network in PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Int16
from monai.inferers import sliding_window_inference
from torch.nn import functional

from experiments.benchmarks.peers.detector import predict_maps
from experiments.benchmarks.peers.devices import tensor
from experiments.benchmarks.peers.layers import Params, channels_last
from medssl_jax.data.preparation import HU_RANGE


def sliding_window(
    params: Params, hu_zyx: Int16[np.ndarray, "z y x"], *, side: int, overlap: int, batch: int
) -> Callable[[], Any]:
    """Maps of the whole scan, whose sides are filled up to multiples of the last stride."""
    low, high = HU_RANGE
    last_stride = max(int(name.removeprefix("lateral")) for name in params if name.startswith("lateral"))

    def predictor(windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = predict_maps(params, channels_last(windows))
        return tuple(torch.cat(maps[stride], 1) for stride in sorted(maps))

    def run() -> Any:
        voxels = 2 * (tensor(hu_zyx).float().clamp(low, high) - low) / (high - low) - 1
        missing = [-length % last_stride for length in hu_zyx.shape[::-1]]
        filled = functional.pad(voxels, [each for rest in missing for each in (0, rest)])[None, None]
        with torch.inference_mode():
            return sliding_window_inference(filled, side, batch, predictor, overlap=overlap / side)

    return run
