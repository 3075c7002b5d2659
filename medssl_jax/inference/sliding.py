"""Detection in a whole scan: windows of the training patch's size, joined by suppression over the scan.

Whole volumes at once would be faster, but GroupNorm's statistics are those of a patch, and a network that learned on
patches loses over ten points of CPM on volumes of another size.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int16, UInt8

from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.settings import LARGEST_BATCH, LARGEST_SIDE, SHARE, Settings, number, whole, within
from medssl_jax.data.scans.patches import cut_window, normalise_hu
from medssl_jax.data.scans.preparation import HU_RANGE
from medssl_jax.detection.anchors import AnchorGrid
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.detection.nms import Detections, suppress, top_detections
from medssl_jax.detection.prediction import Prediction
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlidingSettings(Settings):
    """The way through a scan; `experiments/configs/focalmix.py` explains each field."""

    section: ClassVar[str] = "inference"
    overlap: int = within(whole(0, LARGEST_SIDE))
    window_batch: int = within(whole(1, LARGEST_BATCH))
    candidates: int = within(whole(1))
    window_detections: int = within(whole(1, 2**16))
    scan_candidates: int = within(whole(1, 2**16))
    score_threshold: float = within(number(0, 1, above=True))
    nms_iou: float = within(SHARE)
    marks: int = within(whole(1, 2**16))


class ScanDetections(NamedTuple):
    """Boxes in voxels of the scan, best first."""

    boxes_zyxdhw_voxel: Float[np.ndarray, "n 6"]
    score: Float[np.ndarray, " n"]


class Window(NamedTuple):
    """A cube that the network sees, and the part of it, from `core_low` up to `core_high`, that it answers for."""

    start_zyx: np.ndarray
    core_low_zyx: np.ndarray
    core_high_zyx: np.ndarray


class SlidingDetector:
    """Finds nodules in scans of any size. The network, top-k and NMS of a window compile together, once.

    The devices of a `sharding` share the windows of a batch. The HU from one end of `window_hu` to the other are told
    apart.
    """

    def __init__(
        self,
        predict: Callable[[Any, Array], Prediction],
        grid: AnchorGrid,
        settings: SlidingSettings,
        sharding: DataParallel = SINGLE_DEVICE,
        *,
        window_hu: Sequence[float | int] = HU_RANGE,
    ):
        if settings.overlap >= grid.patch_side:
            raise InputError(
                f"inference.overlap is {settings.overlap}, expected 0 to less than the patch side {grid.patch_side}"
            )
        self._side, self._settings = grid.patch_side, settings
        anchors = grid.boxes_zyxdhw()

        def detect(params: Any, windows_hu: Array, core_low: Array, core_high: Array) -> Detections:
            prediction = predict(params, normalise_hu(windows_hu, window_hu)[..., None])
            boxes = decode_boxes(prediction.deltas, jnp.asarray(anchors))
            centre = boxes[..., :3]
            in_core = ((centre >= core_low[:, None]) & (centre < core_high[:, None])).all(-1)
            logits = jnp.where(in_core, prediction.logits, -jnp.inf)
            return jax.vmap(functools.partial(best_of_window, settings=settings))(logits, boxes)

        self._detect = sharding.jit_rows(detect)

    def __call__(
        self,
        params: Any,
        hu_zyx: Int16[np.ndarray, "z y x"],
        lungs_zyx: UInt8[np.ndarray, "z y x"],
        *,
        progress: Progress = silent,
    ) -> ScanDetections:
        """Boxes centred in the (dilated) lungs, or the body, of a scan that was prepared as the training scans were."""
        windows = [w for w in plan_windows(hu_zyx.shape, self._side, self._settings.overlap) if _has_lung(w, lungs_zyx)]
        count = self._settings.window_batch
        batches = [windows[first : first + count] for first in range(0, len(windows), count)]
        begun = (self._begin(params, hu_zyx, batch) for batch in progress(batches))
        boxes, scores = [np.zeros((0, 6), np.float32)], [np.zeros(0, np.float32)]
        # Answers are waited for when the next batch is begun, so that no device waits for its windows.
        for batch, answer in zip(batches, _one_behind(begun), strict=True):
            found_boxes, found_scores = _in_scan(answer, batch)
            boxes.append(found_boxes)
            scores.append(found_scores)
        return join_over_scan(np.concatenate(boxes), np.concatenate(scores), lungs_zyx, self._settings)

    def _begin(self, params: Any, hu_zyx: Int16[np.ndarray, "z y x"], windows: list[Window]) -> Detections:
        # The last batch is filled up with its first window, whose answers are then dropped.
        padded = windows + windows[:1] * (self._settings.window_batch - len(windows))
        return self._detect(
            params,
            np.stack([cut_window(hu_zyx, window.start_zyx, self._side) for window in padded]),
            np.stack([window.core_low_zyx for window in padded]),
            np.stack([window.core_high_zyx for window in padded]),
        )


def best_of_window(
    logits: Float[Array, " anchors"], boxes_zyxdhw: Float[Array, "anchors 6"], *, settings: SlidingSettings
) -> Detections:
    """The boxes of one window that have a chance in the scan, best first, after suppression among themselves."""
    return top_detections(
        logits,
        boxes_zyxdhw,
        candidates=settings.candidates,
        iou_threshold=settings.nms_iou,
        score_threshold=settings.score_threshold,
        count=settings.window_detections,
    )


def join_over_scan(
    boxes_zyxdhw: Float[np.ndarray, "n 6"],
    scores: Float[np.ndarray, " n"],
    lungs_zyx: UInt8[np.ndarray, "z y x"],
    settings: SlidingSettings,
) -> ScanDetections:
    """The best boxes that parts of a scan found: centred in the lungs, and after suppression over the whole of it."""
    inside = _in_mask(boxes_zyxdhw, lungs_zyx)
    boxes_zyxdhw, scores = boxes_zyxdhw[inside], scores[inside]
    best = np.argsort(-scores, kind="stable")[: settings.scan_candidates]
    missing = settings.scan_candidates - len(best)
    kept = _suppress(
        np.pad(boxes_zyxdhw[best], ((0, missing), (0, 0))),
        np.pad(scores[best], (0, missing)),
        iou_threshold=settings.nms_iou,
        score_threshold=settings.score_threshold,
        count=settings.marks,
    )
    valid = np.asarray(kept.valid)
    return ScanDetections(np.asarray(kept.boxes_zyxdhw)[valid], np.asarray(kept.scores)[valid])


_suppress = jax.jit(suppress, static_argnames=("iou_threshold", "score_threshold", "count"))


def plan_windows(shape_zyx: tuple[int, ...], side: int, overlap: int) -> list[Window]:
    """Windows that cover a scan; their cores, cut half-way through each overlap, cover every place exactly once.

    A scan smaller than a window lies in the middle of one.
    """
    axes = [_plan_axis(length, side, overlap) for length in shape_zyx]
    return [Window(*(np.array(part) for part in zip(*spans, strict=True))) for spans in itertools.product(*axes)]


def _plan_axis(length: int, side: int, overlap: int) -> list[tuple[Any, Any, Any]]:
    if length <= side:
        return [(-((side - length) // 2), -np.inf, np.inf)]
    count = 1 + -(-(length - side) // (side - overlap))
    starts = np.round(np.linspace(0, length - side, count)).astype(int)
    ends = [-np.inf, *((starts[:-1] + side + starts[1:] - 1) / 2), np.inf]
    return [(start, ends[i] - start, ends[i + 1] - start) for i, start in enumerate(starts)]


def _one_behind(items: Iterable[Item]) -> Iterator[Item]:
    """Each item when the next one has been made."""
    last: list[Item] = []
    for item in items:
        yield from last
        last = [item]
    yield from last


def _in_scan(found: Detections, windows: list[Window]) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, " n"]]:
    """Boxes of windows as boxes of the scan, and their scores."""
    boxes, scores, valid = (np.asarray(leaf)[: len(windows)] for leaf in found)
    corners = np.pad([window.start_zyx for window in windows], ((0, 0), (0, 3)))
    boxes = boxes + corners[:, None].astype(np.float32)
    return boxes[valid], scores[valid]


def _has_lung(window: Window, lungs_zyx: UInt8[np.ndarray, "z y x"]) -> bool:
    low, high = (
        np.clip(window.start_zyx + core, 0, lungs_zyx.shape).astype(int)
        for core in (window.core_low_zyx, window.core_high_zyx)
    )
    return bool(lungs_zyx[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))].any())


def _in_mask(boxes: Float[np.ndarray, "n 6"], mask_zyx: UInt8[np.ndarray, "z y x"]) -> Bool[np.ndarray, " n"]:
    index = np.round(boxes[:, :3]).astype(int)
    inside = np.all((index >= 0) & (index < mask_zyx.shape), axis=1)
    z, y, x = np.where(inside[:, None], index, 0).T
    return inside & (mask_zyx[z, y, x] > 0)
