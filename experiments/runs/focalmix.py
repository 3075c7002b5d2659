"""A FocalMix run from its config: data, detector, training, inference, score."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from data_builders.scan_source import DATA_SETS
from experiments.runs.scans import all_metadata, findings_of, open_cache, phantom_of, prepared_scans
from medssl_jax.core.atomic import write_text
from medssl_jax.core.progress import Progress, progress_bar, silent
from medssl_jax.data.crop_cache import CropCache
from medssl_jax.data.patches import PatchSettings
from medssl_jax.data.pipeline import batch_rows, patch_batches
from medssl_jax.data.scan_metadata import ScanMetadata
from medssl_jax.data.splits import Split, as_json, draw_split
from medssl_jax.detection.symmetries import GROUPS
from medssl_jax.imaging.luna16_csv import is_luna16, write_series_uids
from medssl_jax.imaging.submission import Marks, write_submission
from medssl_jax.inference.sliding import SlidingDetector, SlidingSettings
from medssl_jax.inference.world import as_marks, rows_in_world
from medssl_jax.metrics.froc import FrocResult, score
from medssl_jax.models.detector import Detector, make_detector
from medssl_jax.parallel import hosts
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel, data_parallel
from medssl_jax.report.nodules.froc_figure import write_froc_figure
from medssl_jax.report.nodules.tables import paper_rows, result_row, sensitivity_table
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.config_checks import (
    COMMON,
    FOLDER,
    LARGEST_BATCH,
    LARGEST_SIDE,
    LARGEST_WIDTH,
    MANY,
    SHARE,
    SWITCH,
    WEIGHT,
    check_each,
    check_together,
    each,
    number,
    one_of,
    whole,
)
from medssl_jax.train.focalmix_step import FocalMixSettings, collapse_warning, focalmix_step
from medssl_jax.train.load_run import load_run
from medssl_jax.train.optimiser import make_optimiser
from medssl_jax.train.records import Records, Watch, unwatched
from medssl_jax.train.rng import stream_key
from medssl_jax.train.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer
from medssl_jax.train.workdir import claim_workdir, only_run_in, record_split


class LoadedDetector(NamedTuple):
    """A trained detector: `detector(params, hu_zyx, lungs_zyx)` finds nodules in a prepared scan."""

    config: ml_collections.ConfigDict
    step: int
    params: Any
    detector: SlidingDetector


def run(config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched) -> FrocResult:
    """Everything from the files on disk to the score; what an earlier run of the same config finished is kept.

    Below `workdir`: `config.json`, `split.json`, `run.json`, `checkpoints/`, `metrics.jsonl` and TensorBoard events,
    `hashes.jsonl`, `submission.csv` and the `seriesuids.csv` it answers for, `froc.json`, `froc.png`.

    Raises `InputError` for a bad config, absent data, or a `workdir` that belongs to another config, that another run
    is in or that cannot be written.
    """
    check_config(config)
    with only_run_in(workdir):
        return _train_and_score(config, workdir, watch)


def _train_and_score(config, workdir, watch):
    claim_workdir(workdir, config)
    cache, split = open_data(config)
    if split.left_out:
        hosts.say(f"{len(split.left_out)} scans are not trained on: their patients are tested on (split.json)")
    annotations, excluded = findings_of(config.data, cache, split.test)
    record_split(workdir, as_json(split) | {"data_fingerprint": cache.fingerprint})
    state = train_focalmix(config, cache, split, workdir, watch)
    local = data_parallel(jax.local_devices(), batches=[config.inference.window_batch])
    detector = scan_detector(config, make_detector(config), local)
    params = local.replicate(state.params_to_evaluate)
    marks = find_marks(detector, params, cache, split.test, progress_bar("detecting", "scans"))
    result = score(marks, annotations, excluded, split.test, bootstraps=config.logging.bootstraps)
    if hosts.is_first():
        _write_results(config, workdir, split, marks, result, on_luna16=any(map(is_luna16, cache.metadata_of.values())))
    return result


def _write_results(config, workdir, split, marks, result, *, on_luna16):
    write_submission(workdir / "submission.csv", marks)
    write_series_uids(workdir / "seriesuids.csv", split.test)
    write_text(workdir / "froc.json", result.as_json())
    name = f"{len(split.labelled)} labelled" + (f" + {len(split.unlabelled)} unlabelled" if split.unlabelled else "")
    write_froc_figure(workdir / "froc.png", {name: result})
    rows = [result_row(name, result)]
    if on_luna16:
        rows += paper_rows(config.split.labelled)
    heading = f"{_data_name(config, on_luna16)}, {len(split.test)} test scans"
    print(f"\n{heading}\n{sensitivity_table(rows)}\nwritten to {workdir}")


SIDES = each(number(0, LARGEST_SIDE, above=True), most=MANY)
RANGES = {
    **COMMON,
    "data.data_set": one_of(DATA_SETS),
    "data.cache_dir": FOLDER,
    "data.allow_absent": SWITCH,
    "data.mask_lungs": SWITCH,
    "data.workers": whole(0, 1024),  # 0: as many as there are cores
    "split.train_subsets": each(whole(0), most=MANY),
    "split.test_subsets": each(whole(0), most=MANY),
    "split.labelled": whole(-1),  # -1: all
    "split.unlabelled": whole(0),
    "split.unlabelled_extra": whole(-1),  # -1: all
    "patches.side": whole(1, LARGEST_SIDE),
    "patches.labelled_batch": whole(1, LARGEST_BATCH),
    "patches.unlabelled_batch": whole(0, LARGEST_BATCH),
    "patches.max_objects": whole(1, 1024),
    "patches.nodule_share": SHARE,
    "patches.jitter": whole(0, LARGEST_SIDE),
    "patches.scale_range": each(number(0.1, 10), least=2, most=2),
    "patches.symmetry_group": one_of(GROUPS),
    "patches.loader_threads": whole(1, 1024),
    "model.stem_features": whole(0, LARGEST_WIDTH),
    "model.features": each(whole(1, LARGEST_WIDTH), most=10),
    "model.blocks": each(whole(1, 1024), most=10),
    "model.pyramid_features": whole(1, LARGEST_WIDTH),
    "model.head_depth": whole(0, 1024),
    "model.prior": number(0, 1, above=True, below=True),
    "model.remat": SWITCH,
    "model.dtype": one_of(("float32", "bfloat16")),
    "anchors.strides": each(whole(1, LARGEST_SIDE)),
    "anchors.sides_mm": each(SIDES),
    "anchors.positive_iou": number(0, 1, above=True),
    "anchors.ignored_iou": number(0, 1, above=True),
    "loss.negative_weight": WEIGHT,
    "loss.positive_weight": WEIGHT,
    "loss.gamma": number(1, 100),  # below 1, gradients at p = y are infinite
    "loss.box_weight": WEIGHT,
    "ssl.views": whole(1),
    "ssl.view_group": one_of(GROUPS),
    "ssl.temperature": number(0, 100, above=True),
    "ssl.ramp_start_share": SHARE,
    "ssl.ramp_share": SHARE,
    "ssl.judge_guesses": SWITCH,
    "mixup.image": SWITCH,
    "mixup.object": SWITCH,
    "mixup.group": whole(1),
    "mixup.eta": number(0, 1000, above=True),
    "mixup.object_window": whole(3, LARGEST_SIDE),
    "mixup.object_score": number(0, math.inf, above=True),  # above 1: no pseudo-label is an object
    "mixup.object_nms_iou": SHARE,
    "inference.overlap": whole(0, LARGEST_SIDE),
    "inference.window_batch": whole(1, LARGEST_BATCH),
    "inference.candidates": whole(1),
    "inference.window_detections": whole(1, 2**16),
    "inference.scan_candidates": whole(1, 2**16),
    "inference.score_threshold": number(0, 1, above=True),
    "inference.nms_iou": SHARE,
    "inference.marks": whole(1, 2**16),
}


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `InputError` for settings that would fail or mislead only later."""
    check_each(config, RANGES)
    ssl, patches, anchors, mixup, logging = config.ssl, config.patches, config.anchors, config.mixup, config.logging
    stages = tuple(2 ** (stage + 1) for stage in range(len(config.model.features)))
    views = len(GROUPS[ssl.view_group].flips)
    unlabelled = abs(config.split.unlabelled_extra) + config.split.unlabelled
    low, high = patches.scale_range
    rows, groups = patches.labelled_batch + patches.unlabelled_batch, _mixing_groups(config)
    expectations = (
        ("split.labelled", config.split.labelled != 0, "1 or more, or -1 for all"),
        ("patches.scale_range", low <= high, "two numbers, the smaller first"),
        (
            "patches.unlabelled_batch",
            (patches.unlabelled_batch > 0) == (unlabelled > 0),
            f"0 just where split.unlabelled and split.unlabelled_extra ({unlabelled} scans) are 0",
        ),
        ("model.blocks", len(config.model.blocks) == len(stages), "as many as model.features"),
        ("patches.side", patches.side % stages[-1] == 0, f"a multiple of the backbone's last stride {stages[-1]}"),
        (
            "patches.jitter",
            patches.jitter * high <= patches.side / 2,
            f"at most {int(patches.side / 2 / high)}, half of patches.side over the larger scale, so that the nodule "
            "lies in its patch",
        ),
        ("anchors.sides_mm", len(anchors.strides) == len(anchors.sides_mm), "as many as anchors.strides"),
        ("anchors.strides", len(set(anchors.strides)) == len(anchors.strides), "each stride once"),
        ("anchors.strides", set(anchors.strides) <= set(stages), f"some of the backbone's strides {stages}"),
        ("anchors.ignored_iou", anchors.ignored_iou <= anchors.positive_iou, "above 0, at most positive_iou"),
        ("ssl.views", ssl.views <= views, f"1 to {views}"),
        (
            "mixup.group",
            rows <= mixup.group or rows % mixup.group == patches.labelled_batch % groups == 0,
            f"at least the {rows} rows of a batch, or a divisor that gives all groups equally many labelled ones",
        ),
        ("logging.save_every", logging.save_every % logging.log_every == 0, "a multiple of log_every"),
    )
    check_together(config, expectations)
    for part in (config.data, config.data.get("extra", {})):
        if "phantom" in part:
            phantom_of(part)
    scan_detector(config, make_detector(config))


def open_data(config: ml_collections.ConfigDict) -> tuple[CropCache, Split]:
    """The scans of a config, and which of them are for what; makes and prepares those that are not there yet."""
    sources = prepared_scans(config.data)
    split = split_of(config, all_metadata(sources))
    return open_cache(config.data, sources, {*split.labelled, *split.unlabelled, *split.test}), split


def split_of(config: ml_collections.ConfigDict, scans: Mapping[str, ScanMetadata]) -> Split:
    """The split that the config names, over the scans that are there."""
    split = config.split
    return draw_split(
        scans,
        train_subsets=split.train_subsets,
        test_subsets=split.test_subsets,
        labelled=None if split.labelled < 0 else split.labelled,
        unlabelled=split.unlabelled,
        unlabelled_extra=None if split.unlabelled_extra < 0 else split.unlabelled_extra,
        seed=split.seed,
    )


def train_focalmix(
    config: ml_collections.ConfigDict, cache: CropCache, split: Split, workdir: Path, watch: Watch = unwatched
) -> TrainState:
    """Trains to `config.steps`, from the newest checkpoint in `workdir` if there is one."""
    sharding = sharding_of(config, jax.devices())
    patches = config.patches
    sizes = {"labelled_batch": patches.labelled_batch, "unlabelled_batch": patches.unlabelled_batch}
    rows = patch_batches(
        cache,
        split.labelled,
        split.unlabelled,
        **sizes,
        settings=patch_settings(config),
        seed=config.seed,
        host_rows=sharding.host_rows,
    )
    return Trainer(
        init_state=lambda: fresh_state(config),
        train_step=jitted_step(config, sharding),
        batches=Batches(
            rows,
            lambda position: batch_rows(split.labelled, split.unlabelled, position, **sizes, seed=config.seed),
            threads=patches.loader_threads,
            fetched_ahead=2 * patches.loader_threads,
        ),
        sharding=sharding,
        schedule=Schedule(config.steps, log_every=config.logging.log_every, save_every=config.logging.save_every),
        checkpoints=Checkpoints(workdir / "checkpoints", config=config.to_dict(), keep=config.logging.keep_checkpoints),
        records=Records(workdir, config, warn=collapse_warning, watch=watch),
    ).train()


def jitted_step(config: ml_collections.ConfigDict, sharding: DataParallel = SINGLE_DEVICE) -> jax.stages.Wrapped:
    """The training step of a config, compiled for the devices that share its batches."""
    detector = make_detector(config)
    return sharding.jit_step(
        functools.partial(
            focalmix_step,
            predict=detector.predict,
            optimiser=make_optimiser(config.optimiser, config.steps),
            grid=detector.grid,
            settings=method_settings(config),
            sharding=sharding,
        )
    )


def abstract_training(
    config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> tuple[DataParallel, jax.stages.Wrapped, Any, Any]:
    """What training on `devices` would compile: sharding, step, and the shapes of state and global batch."""
    sharding = sharding_of(config, devices)
    settings, patches = patch_settings(config), config.patches
    sizes = {"labelled": patches.labelled_batch, "unlabelled": patches.unlabelled_batch}
    batch = {name: settings.abstract_batch(size) for name, size in sizes.items() if size}
    state = jax.eval_shape(functools.partial(fresh_state, config))
    return sharding, jitted_step(config, sharding), *sharding.abstract(state, batch)


def scan_detector(
    config: ml_collections.ConfigDict, detector: Detector, sharding: DataParallel = SINGLE_DEVICE
) -> SlidingDetector:
    """What finds nodules in a scan; the devices of the sharding share its windows."""
    return SlidingDetector(detector.predict, detector.grid, SlidingSettings(**config.inference), sharding)


def find_marks(
    detector: SlidingDetector, params: Any, cache: CropCache, series_uids: Sequence[str], progress: Progress = silent
) -> Marks:
    """Marks on scans of the cache, in world mm, in the order of the scans; `progress` wraps the iteration.

    Hosts share the scans, and all come back with all marks.
    """
    own = {}
    for series_uid in progress(hosts.own_share(series_uids)):
        scan = cache.scan(series_uid)
        found = detector(params, scan.hu_zyx, scan.lungs_zyx)
        own[series_uid] = rows_in_world(found, scan.grid).tolist()
    rows_of = {series_uid: rows for of_host in hosts.gather(own) for series_uid, rows in of_host.items()}
    return as_marks({series_uid: np.reshape(rows_of[series_uid], (-1, 5)) for series_uid in series_uids})


def load_detector(checkpoint: Path) -> LoadedDetector:
    """The detector of a finished or running training, from its workdir or the folder `checkpoints` in it."""
    config, state = load_run(checkpoint, fresh_state, command="experiments.focalmix")
    return LoadedDetector(
        config, int(state.step), state.params_to_evaluate, scan_detector(config, make_detector(config))
    )


def sharding_of(config: ml_collections.ConfigDict, devices: Sequence[jax.Device]) -> DataParallel:
    """Those of `devices` that share the batch. Raises `InputError` where more hosts than rows would."""
    sizes = [size for size in (config.patches.labelled_batch, config.patches.unlabelled_batch) if size]
    return data_parallel(devices, batches=sizes, groups=_mixing_groups(config))


def _mixing_groups(config) -> int:
    rows = config.patches.labelled_batch + config.patches.unlabelled_batch
    return max(1, rows // max(1, config.mixup.group))


def fresh_state(config: ml_collections.ConfigDict) -> TrainState:
    """The state before the first step."""
    params = make_detector(config).init(stream_key(config.seed, "init", 0))
    return TrainState.create(
        params, make_optimiser(config.optimiser, config.steps), keep_ema=config.optimiser.ema_decay > 0
    )


def _data_name(config, on_luna16) -> str:
    if "phantom" in config.data:
        return "phantom (synthetic scans, not LUNA16)"
    if on_luna16:
        return "LUNA16"
    layout = " in LUNA16's layout, not its 888 scans" if config.data.data_set == "luna16" else ""
    return f"scans of {config.data.manual_dir}{layout}"


def patch_settings(config: ml_collections.ConfigDict) -> PatchSettings:
    """What a config says of the patches to train on."""
    names = ("side", "max_objects", "nodule_share", "jitter", "scale_range", "symmetry_group")
    chosen = {name: config.patches[name] for name in names}
    return PatchSettings(**chosen, keep_hidden_boxes=config.ssl.judge_guesses)


def method_settings(config: ml_collections.ConfigDict) -> FocalMixSettings:
    """What a config says of the training step."""
    sections = {**config.anchors, **config.loss, **config.ssl, **config.mixup, **config.optimiser}
    derived = {
        "seed": config.seed,
        "ramp_start": round(config.ssl.ramp_start_share * config.steps),
        "ramp_steps": round(config.ssl.ramp_share * config.steps),
        "image_mixup": config.mixup.image,
        "object_mixup": config.mixup.object,
        "mixing_groups": _mixing_groups(config),
    }
    names = [field.name for field in dataclasses.fields(FocalMixSettings)]
    return FocalMixSettings(**{name: derived[name] if name in derived else sections[name] for name in names})
