"""A whole scan by MONAI's sliding window, through our network in PyTorch."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from jaxtyping import Int16
from monai.inferers import sliding_window_inference
from torch.nn import functional

from experiments.benchmarks.peers.detector import predict_maps, predictor, volumes
from experiments.benchmarks.peers.devices import tensor
from experiments.benchmarks.peers.layers import Params, channels_last, tensors_of
from experiments.runs.focalmix_config import FocalMixConfig
from medssl_jax.data.preparation import HU_RANGE
from medssl_jax.detection.prediction import Prediction
from medssl_jax.inference.sliding import ScanDetections, SlidingDetector


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


def marks(params: Any, settings: FocalMixConfig, hu_zyx: Int16[np.ndarray, "z y x"]) -> ScanDetections:
    """What our own windows, suppression and join find with the network in PyTorch, everywhere in the scan."""
    detector, in_torch = settings.detector(), tensors_of(jax.device_get(params))

    def by_torch(patches: Any) -> Prediction:
        logits, deltas = predictor(in_torch, volumes(patches), "float32")()
        return Prediction(logits.cpu().numpy(), deltas.cpu().numpy())

    def predict(_: Any, patches: Any) -> Any:
        return jax.pure_callback(by_torch, jax.eval_shape(detector.predict, params, patches), patches)

    lungs_zyx = np.ones(hu_zyx.shape, np.uint8)
    return SlidingDetector(predict, detector.grid, settings.inference)(None, hu_zyx, lungs_zyx)


def matched(ours: ScanDetections, theirs: ScanDetections) -> int:
    """How many of our marks lie within 1 voxel of one of theirs whose probability is within 1e-3."""
    apart = np.linalg.norm(ours.boxes_zyxdhw_voxel[:, None, :3] - theirs.boxes_zyxdhw_voxel[None, :, :3], axis=-1)
    unlike = np.abs(ours.probability[:, None] - theirs.probability[None])
    return int(((apart <= 1) & (unlike <= 1e-3)).any(1).sum())
