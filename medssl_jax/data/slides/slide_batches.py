"""The stream of training batches of slides: low-resolution images, and their patches where the method wants them.

Every row is a function of (seed, position in the global shuffle): neither threads nor hosts change it, and the stream
resumes anywhere at no cost.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import grain
import numpy as np
from jaxtyping import Bool, Shaped

from medssl_jax.core.settings import LARGEST_BATCH, SWITCH, Settings, whole, within
from medssl_jax.data.global_stream import batch_on_host, shuffled, side_by_side
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.imaging.slides import Slide, SlideLayout

SYMMETRIES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlideBatchSettings(Settings):
    """How many slides make a batch, `held_out` of them of a fold of their own, and how many patches are a chunk."""

    section: ClassVar[str] = "batches"
    slides: int = within(whole(1, LARGEST_BATCH))
    chunk: int = within(whole(0, LARGEST_BATCH))
    symmetries: bool = within(SWITCH)
    held_out: int = within(whole(0, LARGEST_BATCH))
    loader_threads: int = within(whole(1, 1024))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("held_out", self.held_out < self.slides, f"less than batches.slides, {self.slides}")


@runtime_checkable
class SlideSource(Protocol):
    """Prepared slides by number, and what is known of them before one is read."""

    layout: SlideLayout
    background_threshold: float
    labels: tuple[int, ...]
    foreground_counts: tuple[int, ...]

    def slide(self, index: int) -> Slide: ...  # noqa: D102


def slide_batches(
    source: SlideSource,
    indices: Sequence[int],
    *,
    batch: int,
    patches: bool,
    symmetries: bool,
    seed: int,
    host_rows: Callable[[int], range] = range,
    held_out: Sequence[int] = (),
    held_out_rows: int = 0,
) -> grain.MapDataset:
    """Batch i holds `low_resolution` uint8 (batch, side, side) and `label` int32 (batch,).

    With `patches` also the foreground `patches` uint8 (batch, n, side, side), row by row, and their `mask` bool
    (batch, n); n is the largest foreground of `indices`, what is not masked is 0. With `symmetries` each slide is
    flipped and turned as a whole, in one of eight ways. The stream goes through `indices` in a new order every time
    round. Of a batch of n rows, those that `host_rows(n)` names are read.

    The last `held_out_rows` of a batch are of the slides `held_out` instead, in an order of their own; then a batch
    also has `held_out` bool (batch,), which tells them.
    """
    width = max(1, *(source.foreground_counts[index] for index in (*indices, *held_out)))
    order = _in_order(indices, batch=batch, seed=seed, held_out=held_out, held_out_rows=held_out_rows)
    apart = frozenset(held_out)

    def read(index: int, rng: np.random.Generator) -> dict[str, Any]:
        symmetry = int(rng.integers(SYMMETRIES)) if symmetries else 0
        with source.slide(index) as slide:
            low_resolution = slide.low_resolution()
            row = {
                "low_resolution": np.ascontiguousarray(turned(low_resolution, symmetry)),
                "label": np.int32(source.labels[index]),
            }
            if held_out_rows:
                row["held_out"] = np.bool_(index in apart)
            if patches:
                foreground = foreground_patches(low_resolution, source.layout, source.background_threshold)
                row |= _read_patches(slide, foreground, symmetry, width)
        return row

    return batch_on_host(order.random_map(read), batch, host_rows(batch))


def batch_rows(
    indices: Sequence[int],
    position: int,
    *,
    batch: int,
    seed: int,
    held_out: Sequence[int] = (),
    held_out_rows: int = 0,
) -> list[int]:
    """The slide of each row of the batch at `position`."""
    order = _in_order(indices, batch=batch, seed=seed, held_out=held_out, held_out_rows=held_out_rows)
    return [order[position * batch + row] for row in range(batch)]


def turned(images: Shaped[np.ndarray, "*images side side"], symmetry: int) -> Shaped[np.ndarray, "*images side side"]:
    """Images under one of the eight symmetries of the square: quarter turns, from 4 on of the mirrored image."""
    if symmetry >= SYMMETRIES // 2:
        images = images[..., ::-1]
    return np.rot90(images, symmetry % (SYMMETRIES // 2), axes=(-2, -1))


def _in_order(
    indices: Sequence[int], *, batch: int, seed: int, held_out: Sequence[int], held_out_rows: int
) -> grain.MapDataset:
    """The slide at each place of the stream."""
    order = shuffled(indices, seed)
    if not held_out_rows:
        return order
    counts = (batch - held_out_rows, held_out_rows)
    return side_by_side(order, shuffled(held_out, seed), counts).seed(seed)


def _read_patches(
    slide: Slide, foreground: Bool[np.ndarray, " patches"], symmetry: int, width: int
) -> dict[str, np.ndarray]:
    """The foreground patches of the turned slide, in its order; they are read in the order of the slide as it lies."""
    grid, side = slide.layout.grid, slide.layout.patch_side
    places = turned(np.arange(grid**2).reshape(grid, grid), symmetry).ravel()
    in_turned_order = places[foreground[places]]
    patches = np.zeros((width, side, side), np.uint8)
    ascending = np.argsort(in_turned_order)
    for place, patch in zip(ascending, slide.patches(in_turned_order[ascending].tolist()), strict=True):
        patches[place] = turned(patch, symmetry)
    return {"patches": patches, "mask": np.arange(width) < len(in_turned_order)}
