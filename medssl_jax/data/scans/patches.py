"""Patches cut from scans: where to cut on the host, scaling and normalisation on the device."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NotRequired, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int16

from medssl_jax.core.settings import LARGEST_BATCH, LARGEST_SIDE, SHARE, Settings, each, number, one_of, whole, within
from medssl_jax.data.scans.crop_cache import OUTSIDE_HU, CachedScan
from medssl_jax.data.scans.preparation import HU_RANGE
from medssl_jax.data.scans.pseudo_boxes import PseudoBoxes
from medssl_jax.detection.symmetries import GROUPS


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchSettings(Settings):
    """The settings by which patches are drawn, and how many at a time; sides and jitter in voxels."""

    section: ClassVar[str] = "patches"
    side: int = within(whole(1, LARGEST_SIDE))
    labelled_batch: int = within(whole(1, LARGEST_BATCH))
    unlabelled_batch: int = within(whole(0, LARGEST_BATCH))
    max_objects: int = within(whole(1, 1024))
    nodule_share: float = within(SHARE)
    unlabelled_nodule_share: float = within(SHARE)
    candidate_share: float = within(SHARE, default=0.0)
    candidates: int = within(whole(1, 100), default=3)
    jitter: int = within(whole(0, LARGEST_SIDE))
    scale_range: tuple[float, float] = within(each(number(0.1, 10), least=2, most=2))
    symmetry_group: str = within(one_of(GROUPS))
    loader_threads: int = within(whole(1, 1024))

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.scale_range
        self.expect("scale_range", low <= high, "two numbers, the smaller first")
        self.expect(
            "jitter",
            self.jitter * high <= self.side / 2,
            f"at most {int(self.side / 2 / high)}, half of patches.side over the larger scale, so that the nodule "
            "lies in its patch",
        )

    @property
    def window(self) -> int:
        """Side of the window that is read: what the strongest shrinking still fills the patch with."""
        return math.ceil(self.side / self.scale_range[0])

    def abstract_batch(self, rows: int, *, with_doubtful: bool = False) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes of a batch."""
        shape = jax.ShapeDtypeStruct
        doubtful = {"doubtful": shape((rows, self.max_objects), jnp.bool_)} if with_doubtful else {}
        return {
            "window_hu": shape((rows, *(self.window,) * 3), jnp.int16),
            "scale": shape((rows,), jnp.float32),
            "boxes_zyxdhw": shape((rows, self.max_objects, 6), jnp.float32),
            "valid": shape((rows, self.max_objects), jnp.bool_),
            **doubtful,
        }


class PatchBatch(TypedDict):
    """Windows of scans with the boxes as they lie in the scaled patch; rows that are not `valid` are padding.

    Where boxes are a detector's own, some are `doubtful` instead: they may hold a nodule.
    """

    window_hu: Int16[Array, "b w w w"]
    scale: Float[Array, " b"]
    boxes_zyxdhw: Float[Array, "b m 6"]
    valid: Bool[Array, "b m"]
    doubtful: NotRequired[Bool[Array, "b m"]]


def draw_labelled(scan: CachedScan, rng: np.random.Generator, settings: PatchSettings) -> dict[str, Any]:
    """A patch round a random nodule, off-centre by up to `jitter`, or (and where there is none) in the lungs."""
    if len(scan.boxes_zyxdhw_voxel) and rng.random() < settings.nodule_share:
        return _cut(scan, _place_by_nodule(scan, rng, settings), rng, settings)
    return _cut(scan, _place_in_lungs(scan, rng), rng, settings)


def draw_unlabelled(
    scan: CachedScan,
    rng: np.random.Generator,
    settings: PatchSettings,
    *,
    candidates_zyx: Float[np.ndarray, "n 3"] | None = None,
    keep_boxes: bool = False,
    pseudo_boxes: PseudoBoxes | None = None,
) -> dict[str, Any]:
    """A patch anywhere in the lungs; no label of the scan is looked at, and none handed on unless told to.

    `pseudo_boxes` take the place of labels: the patch then says which of its boxes are doubtful.

    Where there are candidates, voxels at which a nodule is suspected, `candidate_share` of the patches is drawn round
    one of them. With `unlabelled_nodule_share` above 0, an oracle's, that share is drawn round hidden nodules.
    """
    share = settings.unlabelled_nodule_share
    if share and len(scan.boxes_zyxdhw_voxel) and rng.random() < share:
        place = _place_by_nodule(scan, rng, settings)
    elif candidates_zyx is not None and len(candidates_zyx) and rng.random() < settings.candidate_share:
        place = _off_centre(candidates_zyx[rng.integers(len(candidates_zyx))], rng, settings)
    else:
        place = _place_in_lungs(scan, rng)
    if pseudo_boxes is not None:
        scan = dataclasses.replace(scan, boxes_zyxdhw_voxel=np.concatenate(pseudo_boxes))
        return _cut(scan, place, rng, settings, found=len(pseudo_boxes.found_zyxdhw))
    if not keep_boxes:
        scan = dataclasses.replace(scan, boxes_zyxdhw_voxel=np.zeros((0, 6), np.float32))
    return _cut(scan, place, rng, settings)


def cut_window(hu_zyx: Int16[np.ndarray, "z y x"], start_zyx: np.ndarray, side: int) -> Int16[np.ndarray, "s s s"]:
    """The cube of `side` voxels that begins at `start_zyx`; `OUTSIDE_HU` where it leaves the scan."""
    window = np.full((side,) * 3, OUTSIDE_HU, np.int16)
    low = np.clip(start_zyx, 0, hu_zyx.shape)
    high = np.clip(start_zyx + side, 0, hu_zyx.shape)
    source = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    target = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start_zyx, strict=True))
    window[target] = hu_zyx[source]
    return window


def normalise_hu(
    hu: Int16[Array, "*n"] | Float[Array, "*n"], window_hu: Sequence[float | int] = HU_RANGE
) -> Float[Array, "*n"]:
    """Maps a window of HU, -1200..600 unless given, to -1..1; what lies outside goes to its ends."""
    low, high = map(float, window_hu)
    return 2 * (jnp.clip(hu.astype(jnp.float32), low, high) - low) / (high - low) - 1


def scale_windows(
    windows: Int16[Array, "b w w w"],
    scale: Float[Array, " b"],
    side: int,
    *,
    window_hu: Sequence[float | int] = HU_RANGE,
) -> Float[Array, "b s s s 1"]:
    """Magnifies each window about its centre by `scale` and keeps the middle `side` voxels, normalised to -1..1.

    The HU from one end of `window_hu` to the other are told apart.

    Linear interpolation along each axis in turn, as matrix products: no gathers, any scale, one compilation.
    """
    window = windows.shape[-1]
    steps = (jnp.arange(side, dtype=jnp.float32) - (side - 1) / 2) / scale[:, None] + (window - 1) / 2
    weights = jnp.clip(1 - jnp.abs(steps[..., None] - jnp.arange(window, dtype=jnp.float32)), 0)
    voxels = normalise_hu(windows, window_hu)
    for _ in range(3):
        # The first axis is contracted and comes back last: after three turns the order is the old one.
        voxels = jnp.einsum("bzyx,bsz->byxs", voxels, weights)
    return voxels[..., None]


def _place_by_nodule(scan: CachedScan, rng: np.random.Generator, settings: PatchSettings) -> Float[np.ndarray, " 3"]:
    return _off_centre(scan.boxes_zyxdhw_voxel[rng.integers(len(scan.boxes_zyxdhw_voxel)), :3], rng, settings)


def _off_centre(
    centre_zyx: Float[np.ndarray, " 3"], rng: np.random.Generator, settings: PatchSettings
) -> Float[np.ndarray, " 3"]:
    return centre_zyx + rng.uniform(-settings.jitter, settings.jitter, 3)


def _place_in_lungs(scan: CachedScan, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    # Half a lattice of jitter makes every voxel of the lungs as likely as any other.
    return scan.places_zyx[rng.integers(len(scan.places_zyx))] + rng.uniform(-2, 2, 3)


def _cut(
    scan: CachedScan,
    centre_zyx: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
    settings: PatchSettings,
    *,
    found: int | None = None,
) -> dict[str, Any]:
    window = settings.window
    start = np.round(centre_zyx - (window - 1) / 2).astype(int)
    scale = rng.uniform(*settings.scale_range)
    group = GROUPS[settings.symmetry_group]
    member = rng.integers(len(group.flips))
    permutation, flips = group.permutation[member], group.flips[member]
    voxels = cut_window(scan.hu_zyx, start, window).transpose(permutation)
    voxels = voxels[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    centres = (scan.boxes_zyxdhw_voxel[:, :3] - start - (window - 1) / 2)[:, permutation] * np.where(flips, -1, 1)
    extents = scan.boxes_zyxdhw_voxel[:, 3:][:, permutation]
    boxes = np.hstack([centres * scale + (settings.side - 1) / 2, extents * scale]).astype(np.float32)
    touches = (np.abs(centres * scale) < settings.side / 2 + extents * scale / 2).all(1)
    # Nearest first, so that the one the patch was drawn for is kept where there are too many.
    order = np.argsort(np.abs(centres).max(1), kind="stable")
    kept = [index for index in order if touches[index]][: settings.max_objects]
    padded = np.zeros((settings.max_objects, 6), np.float32)
    padded[: len(kept)] = boxes[kept]
    valid = np.arange(settings.max_objects) < len(kept)
    known = {"valid": valid}
    if found is not None:  # the boxes after the first `found` are doubtful
        doubtful = np.zeros(settings.max_objects, bool)
        doubtful[: len(kept)] = np.array(kept, int) >= found
        known = {"valid": valid & ~doubtful, "doubtful": doubtful}
    return {
        "window_hu": np.ascontiguousarray(voxels),
        "scale": np.float32(scale),
        "boxes_zyxdhw": padded,
        **known,
    }
