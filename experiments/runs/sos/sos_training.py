"""A run of SOS, or of a method it is compared with, from its config: slides, networks, training."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import UInt8

from data_builders.lks.lks_files import CLASSES
from data_builders.slide_source import LksSource
from experiments.runs.sos.post_training import post_training
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_slides import SlideSplit, open_slides, split_of
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics, appearance_of
from medssl_jax.data.slides.slide_batches import batch_rows, slide_batches
from medssl_jax.inference.trained_classifier import TrainedClassifier, TrainingSlides
from medssl_jax.models.pretrained import read_resnet18
from medssl_jax.models.sos_networks import measure_intensities
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel, data_parallel
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.load_run import MEASURED
from medssl_jax.run_folder.records import Records, Watch, unwatched
from medssl_jax.run_folder.workdir import claim_workdir, record_split
from medssl_jax.steps.sos_step import sos_step
from medssl_jax.steps.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer

FETCHED_AHEAD = 2  # batches; those of LKS are large


def train_method(
    config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched
) -> tuple[TrainedClassifier[SosConfig], LksSource, SlideSplit]:
    """Everything from the files on disk to a trained method; what an earlier run of the same config finished is kept.

    Below `workdir`: `config.json`, `split.json`, `run.json`, `checkpoints/`, `metrics.jsonl` and TensorBoard events,
    `hashes.jsonl`.

    Raises `InputError` for a bad config, absent data, or a `workdir` that belongs to another config or cannot be
    written.
    """
    settings = settings_from(SosConfig, config)
    claim_workdir(workdir, config)
    source = open_slides(settings.data)
    split = split_of(settings.data, settings.split, source, hold_out=settings.batches.held_out > 0)
    record = {"data_fingerprint": source.fingerprint}
    if settings.model.pretrained:
        record["pretrained_sha256"] = _file_digest(settings.model.pretrained)
    names = {part: [source.names[index] for index in indices] for part, indices in _parts(split)}
    record_split(workdir, names | record)
    slides = measure_slides(source, split.train)
    state = _train(config, settings, source, split, slides, workdir, watch)
    method = TrainedClassifier(config.to_dict(), settings, int(state.step), state.params_to_evaluate, slides)
    return method, source, split


def measure_slides(source: LksSource, train: Sequence[int]) -> TrainingSlides:
    """The classes, intensities and appearance of the slides that are trained on."""
    appearances: list[Appearance] = []

    def images() -> Iterator[UInt8[np.ndarray, "s s"]]:
        for index in progress_bar("measuring", "slides")(train):
            with source.slide(index) as slide:
                image = slide.low_resolution()
            appearances.append(
                appearance_of(image, foreground_patches(image, source.layout, source.background_threshold))
            )
            yield image

    intensities = measure_intensities(images())
    return TrainingSlides(CLASSES, intensities, AppearanceStatistics.of(appearances))


def _parts(split: SlideSplit) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The parts of a split that a run has."""
    return ((part, indices) for part, indices in dataclasses.asdict(split).items() if indices)


def _file_digest(path: str) -> str:
    read_resnet18(path)  # what is wrong with it is said before anything is computed
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _train(
    config: ml_collections.ConfigDict,
    settings: SosConfig,
    source: LksSource,
    split: SlideSplit,
    slides: TrainingSlides,
    workdir: Path,
    watch: Watch,
) -> TrainState:
    sharding, indices = sharding_of(settings, jax.devices()), split.train
    rows = slide_batches(
        source,
        indices,
        batch=settings.batches.slides,
        patches=settings.method.use_high,
        symmetries=settings.batches.symmetries,
        seed=settings.seed,
        host_rows=sharding.host_rows,
        held_out=split.held_out,
        held_out_rows=settings.batches.held_out,
    )

    def names_at(position: int) -> dict[str, list[str]]:
        rows = batch_rows(
            indices,
            position,
            batch=settings.batches.slides,
            seed=settings.seed,
            held_out=split.held_out,
            held_out_rows=settings.batches.held_out,
        )
        return {"slides": [source.names[index] for index in rows]}

    logging, measured = settings.logging, slides.for_checkpoint()
    return Trainer(
        init_state=lambda: _first_state(settings, measured),
        train_step=jitted_step(settings, slides, sharding),
        batches=Batches(rows, names_at, threads=settings.batches.loader_threads, fetched_ahead=FETCHED_AHEAD),
        sharding=sharding,
        schedule=Schedule(settings.steps, log_every=logging.log_every, save_every=logging.save_every),
        checkpoints=Checkpoints(
            workdir / "checkpoints", config=config.to_dict() | {MEASURED: measured}, keep=logging.keep_checkpoints
        ),
        records=Records(workdir, config, watch=watch),
        finish=post_training(settings, source, split.validation, slides),
    ).train()


def jitted_step(
    settings: SosConfig, slides: TrainingSlides, sharding: DataParallel = SINGLE_DEVICE
) -> jax.stages.Wrapped:
    """The training step of a config on the classes and intensities of `slides`, for the devices of a sharding."""
    return sharding.jit_step(
        functools.partial(
            sos_step,
            networks=settings.networks(slides.intensities, classes=len(slides.classes)),
            optimiser=settings.make_optimiser(),
            settings=settings.step_settings,
            sharding=sharding,
        )
    )


def sharding_of(settings: SosConfig, devices: Sequence[jax.Device]) -> DataParallel:
    """Those of `devices` that share the batch. Raises `InputError` where more hosts than slides would."""
    return data_parallel(devices, batches=[settings.batches.slides])


def _first_state(settings: SosConfig, measured: Mapping[str, Any]) -> TrainState:
    """The state that training begins with: only here pretrained weights are read."""
    backbone = read_resnet18(settings.model.pretrained) if settings.model.pretrained else None
    return jax.jit(functools.partial(settings.fresh_state, measured))(backbone)
