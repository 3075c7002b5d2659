"""A whole scan by MONAI's sliding window, through our network in PyTorch."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jaxtyping import Int16
from monai.inferers import sliding_window_inference
from torch.nn import functional

from experiments.benchmarks.peers.detector import predict_maps, predictor, volumes
from experiments.benchmarks.peers.devices import tensor
from experiments.benchmarks.peers.layers import Params, channels_last, tensors_of
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.data.scans.patches import normalise_hu
from medssl_jax.data.scans.preparation import HU_RANGE
from medssl_jax.detection.prediction import Prediction
from medssl_jax.inference.sliding import ScanDetections, SlidingDetector
from medssl_jax.parallel.sharding import DataParallel


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
    in_torch = _PredictingInTorch(params=tensors_of(jax.device_get(params)))
    detector = SlidingDetector(lambda found, _: found, settings.detector().grid, settings.inference, in_torch)
    return detector(None, hu_zyx, np.ones(hu_zyx.shape, np.uint8))


@dataclasses.dataclass(frozen=True)
class _PredictingInTorch(DataParallel):
    """One device, which is given the prediction for its rows where a network's parameters would be.

    PyTorch is not called from within the compiled program: with one processor the two may wait for each other.
    """

    params: Params = dataclasses.field(default_factory=dict)

    def jit_rows(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = jax.jit(function)

        def predict_and_call(_: Any, windows_hu: Int16[np.ndarray, "b s s s"], *rows: Any) -> Any:
            patches = normalise_hu(jnp.asarray(windows_hu))[..., None]
            logits, deltas = predictor(self.params, volumes(patches), "float32")()
            return compiled(Prediction(logits.cpu().numpy(), deltas.cpu().numpy()), windows_hu, *rows)

        return predict_and_call


def matched(ours: ScanDetections, theirs: ScanDetections) -> int:
    """How many of our marks lie within 1 voxel of one of theirs whose score is within 1e-3."""
    apart = np.linalg.norm(ours.boxes_zyxdhw_voxel[:, None, :3] - theirs.boxes_zyxdhw_voxel[None, :, :3], axis=-1)
    unlike = np.abs(ours.score[:, None] - theirs.score[None])
    return int(((apart <= 1) & (unlike <= 1e-3)).any(1).sum())
