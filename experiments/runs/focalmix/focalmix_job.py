"""A FocalMix run from its config: data, detector, training, inference, score."""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from data_builders.scan_source import ScanSource
from experiments.runs.focalmix.chosen import check_config, with_choice
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.guard import guard_lines
from experiments.runs.focalmix.operating_points import write_operating_points, write_points_on_test
from experiments.runs.focalmix.scans import (
    ScanDataSettings,
    all_metadata,
    findings_of,
    open_cache,
    prepared_scans,
    split_of,
)
from experiments.runs.focalmix.searches import searched
from experiments.runs.focalmix.validation import best_of, validation_of, write_validation
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, progress_bar, silent
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.scans.pipeline import Searched, batch_rows, patch_batches
from medssl_jax.data.scans.preparation import LUNGS
from medssl_jax.data.splits import Split, as_json
from medssl_jax.imaging.luna16_csv import is_luna16, write_series_uids
from medssl_jax.imaging.submission import Marks, read_marks, write_marks, write_submission
from medssl_jax.inference.sliding import SlidingDetector
from medssl_jax.inference.world import as_marks, rows_in_world
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN, FrocResult, score
from medssl_jax.metrics.nodules.mistakes import Mistakes, find_mistakes
from medssl_jax.parallel import hosts
from medssl_jax.parallel.device_memory import peak_bytes
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel, data_parallel
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.nodules.froc_figure import draw_froc
from medssl_jax.report.nodules.froc_tables import paper_results, sensitivity_table
from medssl_jax.report.nodules.mistakes_page import Seen, mistakes_page, threshold_of
from medssl_jax.report.nodules.views import LUNG_WINDOW_HU
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.records import Records, Watch, nothing_to_warn, unwatched
from medssl_jax.run_folder.workdir import claim_workdir, only_run_in, record_split
from medssl_jax.steps.focalmix_settings import MARKS, TRUTH
from medssl_jax.steps.focalmix_step import collapse_warning, focalmix_step
from medssl_jax.steps.score_settings import BEST
from medssl_jax.steps.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer


def run(config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched) -> FrocResult:
    """Everything from the files on disk to the score; what an earlier run of the same config finished is kept.

    Below `workdir`: `config.json`, `split.json`, `run.json`, `checkpoints/`, `metrics.jsonl` and TensorBoard events,
    `hashes.jsonl`, `submission.csv` and the `seriesuids.csv` it answers for, `froc.json`, `froc.png`, `mistakes.html`,
    which pictures missed nodules and the best false positives; with validation, `best/`, `validation.json`, which says
    what was scored, `operating_points.json` with `operating_points_on_test.json` and `reliability.png`.

    Raises `InputError` for a bad config, absent data, or a `workdir` that belongs to another config, that another run
    is in or that cannot be written.
    """
    check_config(config)
    with only_run_in(workdir):
        config, sources = with_choice(config, workdir, step_bytes)
        settings = settings_from(FocalMixConfig, config)
        claim_workdir(workdir, config)
        return _train_and_score(config, settings, workdir, watch, sources)


def _train_and_score(
    config: ml_collections.ConfigDict,
    settings: FocalMixConfig,
    workdir: Path,
    watch: Watch,
    sources: Sequence[ScanSource] | None,
) -> FrocResult:
    cache, split = open_data(settings, sources)
    if split.left_out:
        hosts.say(f"{len(split.left_out)} scans are not trained on: their patients are tested on (split.json)")
    if settings.oracles:
        hosts.say(f"an oracle, which no method can be: {' and '.join(settings.oracles)}")
    annotations, excluded = findings_of(settings.data, cache, split.test)
    record_split(workdir, as_json(split) | {"data_fingerprint": cache.fingerprint})
    state = train_focalmix(config, cache, split, workdir, watch)
    points = None
    if settings.validation.every:
        best = best_of(settings, workdir, sharding_of(settings, jax.devices()))
        if settings.score.checkpoint == BEST:
            state = best.state
        if hosts.is_first():
            write_validation(workdir, best, scored_step=int(state.step))
        on_validation = marker(settings, cache, split.validation, progress_bar("finding thresholds", "scans"))(state)
        if hosts.is_first():
            points = write_operating_points(settings, cache, split, workdir, on_validation, step=int(state.step))
    marks = marker(settings, cache, split.test, progress_bar("detecting", "scans"))(state)
    rates = settings.score.fps_per_scan
    result = score(marks, annotations, excluded, split.test, fps_per_scan=rates, bootstraps=settings.logging.bootstraps)
    if hosts.is_first():
        on_luna16 = any(map(is_luna16, cache.metadata_of.values()))
        _write_results(settings, workdir, split, marks, result, on_luna16=on_luna16)
        if points is not None:
            write_points_on_test(points, result.outcome, workdir)
        mistakes = find_mistakes(marks, annotations, excluded, split.test, threshold=threshold_of(result))
        _write_mistakes(settings, workdir, split, cache, result, mistakes)
    return result


def _write_results(
    settings: FocalMixConfig, workdir: Path, split: Split, marks: Marks, result: FrocResult, *, on_luna16: bool
) -> None:
    write_submission(workdir / "submission.csv", marks)
    write_series_uids(workdir / "seriesuids.csv", split.test)
    write_text(workdir / "froc.json", result.as_json())
    name = _name_of(split)
    write_figure(workdir / "froc.png", draw_froc({name: result}))
    rates = settings.score.fps_per_scan
    paper = paper_results(settings.split.labelled) if on_luna16 and rates == FPS_PER_SCAN else {}
    heading = f"{_data_name(settings.data, on_luna16)}, {len(split.test)} test scans"
    print(f"\n{heading}\n{sensitivity_table({name: result, **paper}, fps_per_scan=rates)}\nwritten to {workdir}")


def _write_mistakes(
    settings: FocalMixConfig, workdir: Path, split: Split, cache: CropCache, result: FrocResult, mistakes: Mistakes
) -> None:
    def scan_of(series_uid: str) -> Seen:
        scan = cache.scan(series_uid)
        return Seen(scan.hu_zyx, scan.grid)

    data = settings.data
    masked = ", masked outside the lungs" if data.mask_lungs else ""
    # Lungs are shown as readers hang them, anything else as the detector is told it.
    low, high = LUNG_WINDOW_HU if data.region == LUNGS else data.window_hu
    text = mistakes_page(
        _name_of(split),
        result,
        mistakes,
        froc_png=(workdir / "froc.png").read_bytes(),
        scan_of=scan_of,
        seen_as=f"what the detector saw, {data.spacing_mm:g} mm voxels{masked}",
        window_hu=(float(low), float(high)),
    )
    write_text(workdir / "mistakes.html", text)


def _name_of(split: Split) -> str:
    return f"{len(split.labelled)} labelled" + (f" + {len(split.unlabelled)} unlabelled" if split.unlabelled else "")


def open_data(settings: FocalMixConfig, sources: Sequence[ScanSource] | None = None) -> tuple[CropCache, Split]:
    """The scans of a config, and which of them are for what; makes and prepares those that are not there yet.

    `sources` are its prepared scans where they have been opened.
    """
    if sources is None:
        sources = prepared_scans(settings.data)
    split = split_of(settings.split, all_metadata(sources))
    return open_cache(
        settings.data, sources, {*split.labelled, *split.unlabelled, *split.validation, *split.test}
    ), split


def train_focalmix(
    config: ml_collections.ConfigDict, cache: CropCache, split: Split, workdir: Path, watch: Watch = unwatched
) -> TrainState:
    """Trains to `config.steps`, from the newest checkpoint in `workdir` if there is one.

    Where the unlabelled scans are searched on the way, what a search found is kept as `marks_STEP.csv`.
    """
    settings = settings_from(FocalMixConfig, config)
    sharding = sharding_of(settings, jax.devices())
    if split.unlabelled:
        for line in guard_lines(settings, map(cache.scan, split.labelled), split):
            hosts.say(line)
    validation = None
    if settings.validation.every:
        find = marker(settings, cache, split.validation)
        validation = validation_of(config, settings, cache, split, workdir, find)
    seed, logging = settings.seed, settings.logging
    train_step = jitted_step(settings, sharding)
    warn = collapse_warning if settings.ssl.are_guessed else nothing_to_warn  # known labels do not collapse
    turns = settings.search_steps

    def train_to(steps: int, searches: Sequence[Searched]) -> TrainState:
        return Trainer(
            init_state=functools.partial(jax.jit(settings.fresh_state), seed=np.uint32(seed)),
            train_step=train_step,
            batches=_batches(settings, cache, split, searches, sharding.host_rows),
            sharding=sharding,
            schedule=Schedule(steps, log_every=logging.log_every, save_every=logging.save_every, turns=turns),
            checkpoints=Checkpoints(workdir / "checkpoints", config=config.to_dict(), keep=logging.keep_checkpoints),
            records=Records(workdir, config, warn=warn, watch=watch),
            validation=validation,
        ).train()

    searches: list[Searched] = []
    for turn in turns:
        path = workdir / f"marks_{turn}.csv"
        if not path.exists():  # it is written once the run is there, before any step that needs it
            state = train_to(turn, searches)
            if state.step != turn:
                raise InputError(
                    f"{path}: is not there, but the run is at step {state.step} and needs it from step {turn} on: put "
                    "it back, or begin in another folder"
                )
            marks = marker(settings, cache, split.unlabelled, progress_bar("searching", "scans"))(state)
            if hosts.is_first():
                write_marks(path, marks)
            hosts.wait_for_all("searched")
        searches.append(searched(settings, cache, split, turn, read_marks(path)))
    return train_to(settings.steps, searches)


def _batches(
    settings: FocalMixConfig,
    cache: CropCache,
    split: Split,
    searches: Sequence[Searched],
    host_rows: Callable[[int], range],
) -> Batches:
    patches, seed = settings.patches, settings.seed
    rows = patch_batches(
        cache,
        split.labelled,
        split.unlabelled,
        settings=patches,
        seed=seed,
        searches=searches,
        keep_hidden_boxes=settings.ssl.judge_pseudo_labels or settings.ssl.targets == TRUTH,
        with_pseudo_boxes=settings.ssl.targets == MARKS,
        host_rows=host_rows,
    )
    return Batches(
        rows,
        lambda position: batch_rows(split.labelled, split.unlabelled, position, settings=patches, seed=seed),
        threads=patches.loader_threads,
        fetched_ahead=2 * patches.loader_threads,
    )


def jitted_step(settings: FocalMixConfig, sharding: DataParallel = SINGLE_DEVICE) -> jax.stages.Wrapped:
    """The training step of a config, compiled for the devices of a sharding."""
    detector = settings.detector()
    return sharding.jit_step(
        functools.partial(
            focalmix_step,
            predict=detector.predict,
            optimiser=settings.make_optimiser(),
            grid=detector.grid,
            settings=settings.step_settings,
            sharding=sharding,
        )
    )


def abstract_training(
    settings: FocalMixConfig, devices: Sequence[jax.Device]
) -> tuple[DataParallel, jax.stages.Wrapped, Any, Any]:
    """All that training on `devices` would compile: sharding, step, and the shapes of state and global batch."""
    sharding, patches = sharding_of(settings, devices), settings.patches
    batch = {"labelled": patches.abstract_batch(patches.labelled_batch)}
    if patches.unlabelled_batch:
        with_doubtful = settings.ssl.targets == MARKS
        batch["unlabelled"] = patches.abstract_batch(patches.unlabelled_batch, with_doubtful=with_doubtful)
    state = jax.eval_shape(settings.fresh_state)
    return sharding, jitted_step(settings, sharding), *sharding.abstract(state, batch)


def step_bytes(settings: FocalMixConfig) -> int:
    """What a device of this run holds at once in a training step, by the compiler's account; compiles the step.

    A step that the compiler refuses for want of memory takes more than there is.
    """
    _, step, state, batch = abstract_training(settings, jax.devices())
    try:
        return peak_bytes(step.lower(state, batch).compile())
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return sys.maxsize


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


def marker(
    settings: FocalMixConfig, cache: CropCache, series_uids: Sequence[str], progress: Progress = silent
) -> Callable[[TrainState], Marks]:
    """Finds marks on scans of the cache by states of a run; the devices of each host share its windows."""
    local = data_parallel(jax.local_devices(), batches=[settings.inference.window_batch])
    detector = settings.sliding_detector(local)

    def find(state: TrainState) -> Marks:
        return find_marks(detector, local.replicate(state.params_to_evaluate), cache, series_uids, progress)

    return find


def sharding_of(settings: FocalMixConfig, devices: Sequence[jax.Device]) -> DataParallel:
    """Those of `devices` that share the batch. Raises `InputError` where more hosts than rows would."""
    sizes = [size for size in (settings.patches.labelled_batch, settings.patches.unlabelled_batch) if size]
    return data_parallel(devices, batches=sizes, groups=settings.mixing_groups)


def _data_name(data: ScanDataSettings, on_luna16: bool) -> str:
    if data.phantom is not None:
        return "phantom (synthetic scans, not LUNA16)"
    if on_luna16:
        return "LUNA16"
    layout = " in LUNA16's layout, not its 888 scans" if data.data_set == "luna16" else ""
    return f"scans of {data.manual_dir}{layout}"
