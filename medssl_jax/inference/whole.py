"""Detection in a whole scan at once, its slices shared by devices: for volumes larger than the memory of one.

The network is the one of `inference.sliding`, its input a volume whose z axis lies along the mesh. What a convolution
sees across the border of two devices is exchanged by XLA's partitioner, and nothing else is; each slab of the volume
then finds its best boxes where it lies, so that no device ever holds the anchors of all.

GroupNorm's statistics are those of the whole volume here, not those of a patch as in training, which cost over ten
points of CPM where it was measured. Windows are the rule; this is for what they cannot answer.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int16, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.crop_cache import OUTSIDE_HU
from medssl_jax.data.patches import normalise_hu
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.detection.nms import Detections
from medssl_jax.detection.prediction import Prediction
from medssl_jax.inference.sliding import ScanDetections, SlidingSettings, best_of_window, join_over_scan

# Sides are rounded up to so many strides, for scans to share compilations. Up to 8 devices divide the slabs alike, so
# that the padded volume, and with it GroupNorm's statistics and the marks, do not depend on their number.
SLABS_TOGETHER = 8
PLACES_TOGETHER = 4


class WholeScanDetector:
    """Finds nodules in a scan by one pass of the network over the whole of it.

    `predict_levels(params, volume)` gives one grid of predictions a level for a normalised volume `(1, z, y, x, 1)`
    whose sides are multiples of `stride`. A slab is `stride` slices deep, and `settings` speak of a slab where they
    speak of a window; `overlap` and `window_batch` have no meaning here.
    """

    def __init__(
        self,
        predict_levels: Callable[[Any, Array], Sequence[Prediction]],
        levels: tuple[AnchorLevel, ...],
        settings: SlidingSettings,
        mesh: Mesh,
        *,
        stride: int,
    ):
        self._settings, self._stride, self._devices = settings, stride, mesh.shape["space"]
        self._along_z = NamedSharding(mesh, PartitionSpec("space"))
        self._everywhere = NamedSharding(mesh, PartitionSpec())

        def detect(params, hu_zyx):
            prediction = predict_levels(params, normalise_hu(hu_zyx)[None, ..., None])
            slabs = hu_zyx.shape[0] // stride
            logits = jnp.concatenate([level.logits.reshape(slabs, -1) for level in prediction], 1)
            codes = jnp.concatenate([level.codes.reshape(slabs, -1, 4) for level in prediction], 1)
            anchors = AnchorGrid((stride, *hu_zyx.shape[1:]), levels).boxes_zyxdhw()
            # By hand, because the partitioner gathers what top-k looks through.
            find = jax.shard_map(
                jax.vmap(find_best, in_axes=(0, 0, None)),
                mesh=mesh,
                in_specs=(PartitionSpec("space"), PartitionSpec("space"), PartitionSpec()),
                out_specs=PartitionSpec("space"),
                check_vma=False,
            )
            return find(logits, codes, jnp.asarray(anchors))

        def find_best(logits, codes, anchors) -> Detections:
            return best_of_window(logits, decode_boxes(codes, anchors), settings=settings)

        self._detect = jax.jit(detect, in_shardings=(self._everywhere, self._along_z), out_shardings=self._everywhere)

    def __call__(
        self,
        params: Any,
        hu_zyx: Int16[np.ndarray, "z y x"],
        lungs_zyx: UInt8[np.ndarray, "z y x"],
        progress: Progress = silent,
    ) -> ScanDetections:
        """Boxes centred in the (dilated) lungs of one scan at 1 mm, prepared as the training scans were.

        Raises `InputError` where the devices have too little memory for the scan.
        """
        if not lungs_zyx.any():
            return ScanDetections(np.zeros((0, 6), np.float32), np.zeros(0, np.float32))
        params = jax.device_put(params, self._everywhere)
        (found,) = [self._detect_in(params, scan) for scan in progress([hu_zyx])]
        boxes, scores, valid = map(np.asarray, found)
        boxes = boxes + self._stride * np.arange(len(boxes))[:, None, None] * np.eye(6, dtype=np.float32)[0]
        return join_over_scan(boxes[valid], scores[valid], lungs_zyx, self._settings)

    def compile(self, params: Any, shape_zyx: tuple[int, int, int]) -> jax.stages.Compiled:
        """What runs for scans of this shape, made without running it: for its memory and its exchanges."""
        padded = padded_shape(shape_zyx, self._stride, self._devices)
        return self._detect.lower(params, jax.ShapeDtypeStruct(padded, jnp.int16)).compile()

    def _detect_in(self, params, hu_zyx) -> Detections:
        padded = padded_shape(hu_zyx.shape, self._stride, self._devices)
        missing = [(0, after - before) for before, after in zip(hu_zyx.shape, padded, strict=True)]
        try:
            volume = jax.device_put(np.pad(hu_zyx, missing, constant_values=OUTSIDE_HU), self._along_z)
            return jax.block_until_ready(self._detect(params, volume))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise InputError(
                f"a scan of {hu_zyx.shape} voxels, padded to {padded}, is too large for the memory of {self._devices} "
                "devices at once: take more devices, or inference.whole_scan=False for windows"
            ) from error


def padded_shape(shape_zyx: tuple[int, ...], stride: int, devices: int) -> tuple[int, int, int]:
    """The shape that a scan is padded to: whole slabs of `stride` slices, equally many on each device."""
    z, y, x = shape_zyx
    slabs, places = math.lcm(SLABS_TOGETHER, devices) * stride, PLACES_TOGETHER * stride
    return _round_up(z, slabs), _round_up(y, places), _round_up(x, places)


def _round_up(side: int, step: int) -> int:
    return -(-side // step) * step
