"""The stream of training batches: labelled and unlabelled patches side by side.

Every row is a function of (seed, stream, position in the global shuffle): neither threads nor hosts change it, and
the stream resumes anywhere at no cost.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import grain
import numpy as np

from medssl_jax.data.crop_cache import CachedScan, CropCache
from medssl_jax.data.global_stream import batch_on_host, shuffled
from medssl_jax.data.patches import PatchSettings, draw_labelled, draw_unlabelled

Draw = Callable[[CachedScan, np.random.Generator, PatchSettings], dict[str, Any]]


def patch_batches(
    cache: CropCache,
    labelled: Sequence[str],
    unlabelled: Sequence[str],
    *,
    settings: PatchSettings,
    seed: int,
    keep_hidden_boxes: bool = False,
    host_rows: Callable[[int], range] = range,
) -> grain.MapDataset:
    """Batch i holds `{"labelled": PatchBatch, "unlabelled": PatchBatch}`; without an unlabelled batch, only the first.

    Each stream goes through its scans in a new order every time round, one patch a scan. Of a batch of n rows, those
    that `host_rows(n)` names are read. `keep_hidden_boxes` leaves the boxes on patches that count as unlabelled, so
    that their targets can be judged.
    """

    def stream(series_uids: Sequence[str], draw: Draw, batch: int, stream_seed: int) -> grain.MapDataset:
        def cut(series_uid: str, rng: np.random.Generator) -> dict[str, Any]:
            return draw(cache.scan(series_uid), rng, settings)

        return batch_on_host(shuffled(series_uids, stream_seed).random_map(cut), batch, host_rows(batch))

    streams = {"labelled": stream(labelled, draw_labelled, settings.labelled_batch, 2 * seed)}
    if settings.unlabelled_batch:
        draw = functools.partial(draw_unlabelled, keep_boxes=keep_hidden_boxes)
        streams["unlabelled"] = stream(unlabelled, draw, settings.unlabelled_batch, 2 * seed + 1)
    zipped = grain.experimental.ZipMapDataset(list(streams.values()))
    return zipped.map(lambda batches: dict(zip(streams, batches, strict=True)))


def batch_rows(
    labelled: Sequence[str], unlabelled: Sequence[str], position: int, *, settings: PatchSettings, seed: int
) -> dict[str, list[str]]:
    """The series of each row of the batch at `position`, by stream."""
    parts = {
        "labelled": (labelled, settings.labelled_batch, 2 * seed),
        "unlabelled": (unlabelled, settings.unlabelled_batch, 2 * seed + 1),
    }
    return {
        name: [shuffled(series_uids, stream_seed)[position * batch + row] for row in range(batch)]
        for name, (series_uids, batch, stream_seed) in parts.items()
        if batch
    }
