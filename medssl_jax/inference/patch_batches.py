"""Patches of many slides through one network, in batches that are filled across slides and read ahead of it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from medssl_jax.core.ahead import made_ahead
from medssl_jax.core.errors import InputError

Patches = Generator[tuple[int, UInt8[np.ndarray, "side side"]], None, None]  # of one slide, with their numbers


@dataclasses.dataclass(eq=False)
class EncodedPatches:
    """What became of a slide's patches: `features` by the number of the patch, 0 where none came.

    `waited` and `looked` are its seconds of waiting for patches and of the network; `error` is what made it end early.
    """

    features: Float[np.ndarray, "patches d"]
    waited: float = 0.0
    looked: float = 0.0
    error: InputError | None = None


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """So many by now."""
        return time.perf_counter() - self._start


def encode_patches(
    slides: Iterable[Patches], encode: Callable[[Any], Any], *, batch: int, numbers: int, depth: int
) -> Generator[EncodedPatches, None, None]:
    """The features of each slide's patches by `encode`, in the order of `slides`, each when it has all of them.

    `encode` takes `batch` patches and gives as many features of `depth`; a patch's number is below `numbers`. The next
    batch is read in a thread, `slides` in it too, while the network looks at this one: of the reading only waiting is
    measured. Slides share the seconds of a batch by their patches in it. A slide ends early where its patches raise
    `InputError`.
    """

    def none_yet() -> EncodedPatches:
        return EncodedPatches(np.zeros((numbers, depth), np.float32))

    with (
        contextlib.closing(_batches(slides, batch, none_yet)) as made,
        contextlib.closing(made_ahead(made)) as coming,
    ):
        while True:
            watch = Stopwatch()
            now = next(coming, None)
            waited = watch.seconds()
            if now is None:
                return
            watch = Stopwatch()
            if now.patches:
                features = jax.device_get(encode(filled_up(now.patches, batch)))
                for (slide, number), feature in zip(now.places, features, strict=False):
                    slide.features[number] = feature
            looked = watch.seconds()
            sharing = [slide for slide, _ in now.places] or now.ended
            for slide in sharing:
                slide.waited += waited / len(sharing)
                slide.looked += looked / len(sharing)
            yield from now.ended


def filled_up(images: Sequence[UInt8[np.ndarray, "side side"]], count: int) -> UInt8[np.ndarray, "{count} side side"]:
    """Images as one array of a fixed size, so that one program does for all; what is beyond them is black."""
    filled = np.zeros((count, *images[0].shape), np.uint8)
    np.stack(images, out=filled[: len(images)])
    return filled


class _Batch(NamedTuple):
    """Patches for the network, whose each is and which, and the slides that have no further ones."""

    patches: list[np.ndarray]
    places: list[tuple[EncodedPatches, int]]
    ended: list[EncodedPatches]


def _batches(
    slides: Iterable[Patches], size: int, none_yet: Callable[[], EncodedPatches]
) -> Generator[_Batch, None, None]:
    """Batches of `size` patches, the last of what is left."""
    batch = _Batch([], [], [])
    for patches in slides:
        slide = none_yet()
        try:
            with contextlib.closing(patches):
                for number, patch in patches:
                    batch.patches.append(patch)
                    batch.places.append((slide, number))
                    if len(batch.patches) == size:
                        yield batch
                        batch = _Batch([], [], [])
        except InputError as error:
            slide.error = error
        batch.ended.append(slide)
    yield batch
