"""The stream of training batches: labelled and unlabelled patches side by side.

Every row is a function of (seed, stream, position in the global shuffle): neither threads nor hosts change it, and
the stream resumes anywhere at no cost.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from medssl_jax.data.global_stream import batch_on_host, shuffled, then
from medssl_jax.data.scans.candidates import Candidates
from medssl_jax.data.scans.crop_cache import CachedScan, CropCache
from medssl_jax.data.scans.patches import PatchSettings, draw_labelled, draw_unlabelled
from medssl_jax.data.scans.pseudo_boxes import NO_BOXES, PseudoBoxes

Draw = Callable[[CachedScan, np.random.Generator, PatchSettings], dict[str, Any]]


class Searched(NamedTuple):
    """What a search of the unlabelled scans has found, and the first batch that knows of it."""

    batch: int
    candidates: Candidates
    pseudo_boxes: Mapping[str, PseudoBoxes]


def patch_batches(
    cache: CropCache,
    labelled: Sequence[str],
    unlabelled: Sequence[str],
    *,
    settings: PatchSettings,
    seed: int,
    searches: Sequence[Searched] = (),
    keep_hidden_boxes: bool = False,
    with_pseudo_boxes: bool = False,
    host_rows: Callable[[int], range] = range,
) -> grain.MapDataset:
    """Batch i holds `{"labelled": PatchBatch, "unlabelled": PatchBatch}`; without an unlabelled batch, only the first.

    Each stream goes through its scans in a new order every time round, one patch a scan. Of a batch of n rows, those
    that `host_rows(n)` names are read. Unlabelled patches are drawn round candidates of the newest of `searches`, too;
    `with_pseudo_boxes` they come with its boxes for theirs, and before the first search with none.
    `keep_hidden_boxes` leaves the boxes on patches that count as unlabelled, so that their targets can be judged.
    """

    def patches(series_uids: Sequence[str], draw: Draw, stream_seed: int) -> grain.MapDataset:
        def cut(series_uid: str, rng: np.random.Generator) -> dict[str, Any]:
            return draw(cache.scan(series_uid), rng, settings)

        return shuffled(series_uids, stream_seed).random_map(cut)

    def batches(rows: grain.MapDataset, batch: int) -> grain.MapDataset:
        return batch_on_host(rows, batch, host_rows(batch))

    streams = {"labelled": batches(patches(labelled, draw_labelled, 2 * seed), settings.labelled_batch)}
    if settings.unlabelled_batch:
        draw = functools.partial(draw_unlabelled, keep_boxes=keep_hidden_boxes)
        if with_pseudo_boxes:
            draw = functools.partial(draw, pseudo_boxes=NO_BOXES)
        rows = patches(unlabelled, draw, 2 * seed + 1)
        for search in searches:
            drawn_since = functools.partial(_draw_searched, draw, search, with_pseudo_boxes)
            rows = then(rows, patches(unlabelled, drawn_since, 2 * seed + 1), search.batch * settings.unlabelled_batch)
        streams["unlabelled"] = batches(rows, settings.unlabelled_batch)
    zipped = grain.experimental.ZipMapDataset(list(streams.values()))
    return zipped.map(lambda batches: dict(zip(streams, batches, strict=True)))


def _draw_searched(
    draw: Callable[..., dict[str, Any]],
    search: Searched,
    with_pseudo_boxes: bool,
    scan: CachedScan,
    rng: np.random.Generator,
    settings: PatchSettings,
) -> dict[str, Any]:
    known = {"pseudo_boxes": search.pseudo_boxes.get(scan.series_uid, NO_BOXES)} if with_pseudo_boxes else {}
    return draw(scan, rng, settings, candidates_zyx=search.candidates.get(scan.series_uid), **known)


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
