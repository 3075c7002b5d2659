"""A FocalMix run from its config: data, detector, training, inference, score."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grain
import jax
import ml_collections
import numpy as np

from medssl_jax.data.crop_cache import CropCache
from medssl_jax.data.patches import PatchSettings
from medssl_jax.data.pipeline import patch_batches
from medssl_jax.data.splits import Split, draw_split
from medssl_jax.errors import InputError
from medssl_jax.geometry import voxel_zyx_to_world_xyz_mm
from medssl_jax.inference.sliding import SlidingDetector, SlidingSettings
from medssl_jax.metrics.marks import Marks
from medssl_jax.metrics.writers import MetricsWriter
from medssl_jax.models.detector import Detector, make_detector
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.focalmix import FocalMixSettings, focalmix_step
from medssl_jax.train.loop import train
from medssl_jax.train.optimiser import make_optimiser
from medssl_jax.train.rng import stream_key
from medssl_jax.train.state import TrainState


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `InputError` for settings that would fail or mislead only later."""
    log_every, save_every = config.logging.log_every, config.logging.save_every
    expectations = (
        ("steps", config.steps, config.steps >= 1, "1 or more"),
        ("loss.gamma", config.loss.gamma, config.loss.gamma >= 1, "1 or more: below, the gradient at p = y is infinite"),
        ("ssl.temperature", config.ssl.temperature, config.ssl.temperature > 0, "more than 0"),
        ("ssl.views", config.ssl.views, 1 <= config.ssl.views <= {"flips": 8, "cube": 48}.get(config.ssl.view_group, 0),
         "1 to 8 of view_group flips, or 1 to 48 of cube"),
        ("patches.symmetry_group", config.patches.symmetry_group, config.patches.symmetry_group in ("flips", "cube"), "flips or cube"),
        ("patches.labelled_batch", config.patches.labelled_batch, config.patches.labelled_batch >= 1, "1 or more"),
        ("logging.save_every", save_every, save_every % log_every == 0, f"a multiple of log_every ({log_every})"),
        ("model.features", config.model.features, len(config.model.features) == len(config.model.blocks), "as many as model.blocks"),
        ("anchors.strides", config.anchors.strides, len(config.anchors.strides) == len(config.anchors.sides_mm), "as many as anchors.sides_mm"),
    )  # fmt: skip
    for field, found, holds, expected in expectations:
        if not holds:
            raise InputError(f"config field {field} is {found}, expected {expected}")


def split_of(config: ml_collections.ConfigDict, cache: CropCache) -> Split:
    """The split that the config names, over the scans that are there."""
    split = config.split
    return draw_split(
        cache.subset_of,
        train_subsets=split.train_subsets,
        test_subsets=split.test_subsets,
        labelled=None if split.labelled < 0 else split.labelled,
        unlabelled=split.unlabelled,
        seed=split.seed,
    )


def train_focalmix(config: ml_collections.ConfigDict, cache: CropCache, split: Split, workdir: Path) -> TrainState:
    """Trains to `config.steps`, from the newest checkpoint in `workdir` if there is one."""
    detector = make_detector(config)
    optimiser = make_optimiser(config.optimiser, config.steps)
    keep_ema = config.optimiser.ema_decay > 0
    params = detector.init(stream_key(config.seed, "init", 0))
    state = TrainState.create(params, optimiser, keep_ema=keep_ema)
    step_function = jax.jit(
        functools.partial(
            focalmix_step,
            predict=detector.predict,
            optimiser=optimiser,
            grid=detector.grid,
            settings=_method_settings(config),
        ),
        donate_argnums=0,
    )
    patches = config.patches
    batches = patch_batches(
        cache,
        split.labelled,
        split.unlabelled,
        labelled_batch=patches.labelled_batch,
        unlabelled_batch=patches.unlabelled_batch,
        settings=_patch_settings(config),
        seed=config.seed,
    )
    options = grain.ReadOptions(num_threads=patches.loader_threads, prefetch_buffer_size=2 * patches.loader_threads)
    checkpoints = Checkpoints(workdir / "checkpoints", keep=config.logging.keep_checkpoints)
    writer = MetricsWriter(workdir, resume_step=checkpoints.latest_step or 0)
    try:
        return train(
            state,
            iter(batches.to_iter_dataset(options)),
            step_function,
            steps=config.steps,
            checkpoints=checkpoints,
            config=config.to_dict(),
            write_metrics=writer,
            log_every=config.logging.log_every,
            save_every=config.logging.save_every,
        )
    finally:
        writer.close()
        checkpoints.close()


def sliding_detector(config: ml_collections.ConfigDict, detector: Detector) -> SlidingDetector:
    """The whole-scan detector of a config."""
    return SlidingDetector(detector.predict, detector.grid, SlidingSettings(**config.inference))


def find_marks(
    detector: SlidingDetector, params: Any, cache: CropCache, series_uids: Sequence[str], progress: Callable = iter
) -> Marks:
    """Marks on scans of the cache, in world mm; `progress` wraps the iteration."""
    uids, centres, probabilities, diameters = [], [np.zeros((0, 3))], [np.zeros(0)], [np.zeros(0)]
    for series_uid in progress(series_uids):
        scan = cache.scan(series_uid)
        found = detector(params, scan.hu_zyx, scan.lungs_zyx)
        uids += [series_uid] * len(found.probability)
        centres.append(voxel_zyx_to_world_xyz_mm(found.boxes_zyxdhw_voxel[:, :3], scan.grid))
        probabilities.append(found.probability.astype(np.float64))
        diameters.append(found.boxes_zyxdhw_voxel[:, 3:].mean(1).astype(np.float64))
    return Marks(
        series_uid=tuple(uids),
        centre_xyz_mm=np.concatenate(centres),
        probability=np.concatenate(probabilities),
        diameter_mm=np.concatenate(diameters),
    )


def _patch_settings(config) -> PatchSettings:
    names = ("side", "max_objects", "nodule_share", "jitter", "scale_range", "symmetry_group")
    return PatchSettings(**{name: config.patches[name] for name in names})


def _method_settings(config) -> FocalMixSettings:
    return FocalMixSettings(
        seed=config.seed,
        positive_iou=config.anchors.positive_iou,
        ignored_iou=config.anchors.ignored_iou,
        negative_weight=config.loss.negative_weight,
        positive_weight=config.loss.positive_weight,
        gamma=config.loss.gamma,
        box_weight=config.loss.box_weight,
        views=config.ssl.views,
        view_group=config.ssl.view_group,
        temperature=config.ssl.temperature,
        ramp_start=round(config.ssl.ramp_start_share * config.steps),
        ramp_steps=round(config.ssl.ramp_share * config.steps),
        image_mixup=config.mixup.image,
        object_mixup=config.mixup.object,
        eta=config.mixup.eta,
        object_window=config.mixup.object_window,
        object_score=config.mixup.object_score,
        object_nms_iou=config.mixup.object_nms_iou,
        ema_decay=config.optimiser.ema_decay,
    )
