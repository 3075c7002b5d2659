"""What a detector does with a window, as a program that runs without this library: StableHLO, by `jax.export`.

The parameters are in it. The batch is as large as whoever runs it likes, on a CPU, a GPU or a TPU: the convolutions are
XLA's own, in float32, and not those that this library has for CPUs.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array, Float, Int16

from medssl_jax.data.scans.crop_cache import OUTSIDE_HU
from medssl_jax.data.scans.patches import normalise_hu
from medssl_jax.data.scans.preparation import HU_RANGE, LUNG_DILATION_MM
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.models.target import compiled_for
from medssl_jax.run_folder.weights import TrainedWeights

PLATFORMS = ("cpu", "cuda", "tpu")
SUFFIX = ".stablehlo"


def window_program(weights: TrainedWeights[Any]) -> bytes:
    """The serialised program of a detector; `jax.export.deserialize(bytearray(program)).call(windows_hu)` runs it.

    `windows_hu` are int16 (b, side, side, side), z, y, x: HU, as `description` says. What comes back are logits
    (b, anchors) and boxes (b, anchors, 6), centre and extents of each in voxels of its window.
    """
    side = weights.settings.patches.side
    model = dataclasses.replace(weights.settings.model, dtype="float32")
    detector = dataclasses.replace(weights.settings, model=model).detector()
    anchors = jnp.asarray(detector.grid.boxes_zyxdhw())
    params = jax.tree.map(jnp.asarray, weights.params)

    def answer(windows_hu: Int16[Array, "b s s s"]) -> tuple[Float[Array, "b anchors"], Float[Array, "b anchors 6"]]:
        prediction = detector.predict(params, normalise_hu(windows_hu, weights.settings.data.window_hu)[..., None])
        return prediction.logits, jax.vmap(decode_boxes, in_axes=(0, None))(prediction.deltas, anchors)

    (batch,) = export.symbolic_shape("b")
    windows = jax.ShapeDtypeStruct((batch, side, side, side), jnp.int16)
    with compiled_for("gpu"):
        return bytes(export.export(jax.jit(answer), platforms=PLATFORMS)(windows).serialize())


def description(weights: TrainedWeights[Any]) -> dict[str, Any]:
    """What whoever runs the program has to know, as JSON holds it: how scans become windows, and answers marks."""
    settings = weights.settings
    side = settings.patches.side
    return {
        "input": f"windows_hu: int16 (b, {side}, {side}, {side}), z, y, x; HU",
        "output": "logits: float32 (b, anchors); boxes_zyxdhw_voxel: float32 (b, anchors, 6), centre and extents in "
        "voxels of the window, whose first is 0",
        "platforms": list(PLATFORMS),
        "preprocessing": {
            "spacing_mm": settings.data.spacing_mm,
            "axes": "z towards the head, y to the back, x to the patient's left",
            "hu_range": list(HU_RANGE),
            "window_hu": list(settings.data.window_hu),
            "outside_hu": OUTSIDE_HU,
            "region": settings.data.region,
            "mask_lungs": settings.data.mask_lungs,
            "lung_dilation_mm": LUNG_DILATION_MM,
        },
        "anchors": {"strides": list(settings.anchors.strides), "sides_mm": [*map(list, settings.anchors.sides_mm)]},
        "postprocessing": dataclasses.asdict(settings.inference) | {"score": "1 / (1 + exp(-logit))"},
        "step": weights.step,
        "about": weights.about,
        **weights.experience.as_json(),
    }
