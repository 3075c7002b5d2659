"""A run of SOS, or of a method it is compared with, from its config: slides, networks, training."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
import optax
from jaxtyping import UInt8

from data_builders.slide_source import LksSource
from experiments.runs.sos_config import UNIT_INTENSITIES, SosConfig
from experiments.runs.sos_slides import SlideSplit, open_slides, split_of
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import settings_from
from medssl_jax.data.foreground import foreground_patches
from medssl_jax.data.slide_appearance import Appearance, AppearanceStatistics, appearance_of
from medssl_jax.data.slide_batches import batch_rows, slide_batches
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.inference.selective import SelectiveClassifier
from medssl_jax.models.pretrained import read_resnet18
from medssl_jax.models.sos_networks import Intensities, SosNetworks, measure_intensities
from medssl_jax.parallel.sharding import DataParallel, data_parallel
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.load_run import MEASURED, load_run
from medssl_jax.train.optimiser import make_optimiser
from medssl_jax.train.records import Records, Watch, unwatched
from medssl_jax.train.rng import stream_key
from medssl_jax.train.sos_step import first_extra, sos_step
from medssl_jax.train.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer
from medssl_jax.train.workdir import claim_workdir, record_split

FETCHED_AHEAD = 2  # batches; those of LKS are large


class TrainingSlides(NamedTuple):
    """The measures of the slides that a method was trained on."""

    intensities: Intensities
    appearance: AppearanceStatistics

    def as_json(self) -> dict[str, Any]:
        """Names and numbers, as a checkpoint keeps them."""
        return {"intensities": self.intensities._asdict(), "appearance": self.appearance.as_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrainingSlides":
        """Reads what `as_json` gave."""
        return cls(Intensities(**content["intensities"]), AppearanceStatistics.from_json(content["appearance"]))


class TrainedMethod(NamedTuple):
    """A trained method. `config` is what it was trained by, `settings` what it is used by."""

    config: Mapping[str, Any]
    settings: SosConfig
    step: int
    params: Any
    training_slides: TrainingSlides

    @property
    def networks(self) -> SosNetworks:
        """Those that `params` are of."""
        return self.settings.networks(self.training_slides.intensities)

    @property
    def layout(self) -> SlideLayout:
        """How its slides are cut."""
        return self.settings.data.layout

    def used_as(self, settings: SosConfig) -> "TrainedMethod":
        """The same networks with the inference of other settings."""
        method = dataclasses.replace(self.settings.method, name=settings.method.name)
        return self._replace(settings=dataclasses.replace(self.settings, inference=settings.inference, method=method))

    def classifier(self, rule: str | None = None) -> SelectiveClassifier:
        """The method on slides, by another rule than its own where one is given."""
        inference, data = self.settings.inference, self.settings.data
        if rule is not None:
            inference = dataclasses.replace(inference, rule=rule)
        return SelectiveClassifier(
            *(self.networks, self.params, data.layout, inference), background_threshold=data.background_threshold
        )


def train_method(
    config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched
) -> tuple[TrainedMethod, LksSource, SlideSplit]:
    """Everything from the files on disk to a trained method; what an earlier run of the same config finished is kept.

    Below `workdir`: `config.json`, `split.json`, `run.json`, `checkpoints/`, `metrics.jsonl` and TensorBoard events,
    `hashes.jsonl`.

    Raises `InputError` for a bad config, absent data, or a `workdir` that belongs to another config or cannot be
    written.
    """
    settings = settings_from(SosConfig, config)
    claim_workdir(workdir, config)
    source = open_slides(settings.data)
    split = split_of(settings.data, settings.split, source)
    record = {"data_fingerprint": source.fingerprint}
    if settings.model.pretrained:
        record["pretrained_sha256"] = _file_digest(settings.model.pretrained)
    names = {part: [source.names[index] for index in indices] for part, indices in dataclasses.asdict(split).items()}
    record_split(workdir, names | record)
    slides = measure_slides(source, split.train)
    state = _train(config, settings, source, split.train, slides, workdir, watch)
    method = TrainedMethod(config.to_dict(), settings, int(state.step), state.params_to_evaluate, slides)
    return method, source, split


def load_method(checkpoint: Path) -> TrainedMethod:
    """The method of a finished or running training, from its workdir or the folder `checkpoints` in it."""
    run = load_run(checkpoint, SosConfig, fresh_state)
    slides = TrainingSlides.from_json(run.measured["training_slides"])
    return TrainedMethod(run.config, run.settings, int(run.state.step), run.state.params_to_evaluate, slides)


def measure_slides(source: LksSource, train: Sequence[int]) -> TrainingSlides:
    """The intensities and the appearance of the slides that are trained on."""
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
    return TrainingSlides(intensities, AppearanceStatistics.of(appearances))


def training_of(config: ml_collections.ConfigDict) -> str:
    """The name of a training: configs that differ only in what is done afterwards share it."""
    fields = json.loads(config.to_json())
    for field in ("inference", "logging"):
        del fields[field]
    del fields["method"]["name"]
    return json.dumps(fields, sort_keys=True)


def _file_digest(path: str) -> str:
    read_resnet18(path)  # what is wrong with it is said before anything is computed
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _train(
    config: ml_collections.ConfigDict,
    settings: SosConfig,
    source: LksSource,
    indices: Sequence[int],
    slides: TrainingSlides,
    workdir: Path,
    watch: Watch,
) -> TrainState:
    sharding = sharding_of(settings, jax.devices())
    train_step = sharding.jit_step(
        functools.partial(
            sos_step,
            networks=settings.networks(slides.intensities),
            optimiser=optimiser_of(settings),
            settings=settings.step_settings,
            sharding=sharding,
        )
    )
    rows = slide_batches(
        source,
        indices,
        batch=settings.batches.slides,
        patches=settings.method.use_high,
        symmetries=settings.batches.symmetries,
        seed=settings.seed,
        host_rows=sharding.host_rows,
    )

    def names_at(position: int) -> dict[str, list[str]]:
        rows = batch_rows(indices, position, batch=settings.batches.slides, seed=settings.seed)
        return {"slides": [source.names[index] for index in rows]}

    logging, kept = settings.logging, config.to_dict() | {MEASURED: {"training_slides": slides.as_json()}}
    return Trainer(
        init_state=lambda: _first_state(settings),
        train_step=train_step,
        batches=Batches(rows, names_at, threads=settings.batches.loader_threads, fetched_ahead=FETCHED_AHEAD),
        sharding=sharding,
        schedule=Schedule(settings.steps, log_every=logging.log_every, save_every=logging.save_every),
        checkpoints=Checkpoints(workdir / "checkpoints", config=kept, keep=logging.keep_checkpoints),
        records=Records(workdir, config, watch=watch),
    ).train()


def sharding_of(settings: SosConfig, devices: Sequence[jax.Device]) -> DataParallel:
    """Those of `devices` that share the batch. Raises `InputError` where more hosts than slides would."""
    return data_parallel(devices, batches=[settings.batches.slides])


def optimiser_of(settings: SosConfig) -> optax.GradientTransformation:
    """The optimiser of a config, which updates once in `optimiser.accumulate` steps."""
    return make_optimiser(settings.optimiser, settings.steps, accumulate=settings.optimiser.accumulate)


def _first_state(settings: SosConfig) -> TrainState:
    """The state that training begins with: only here pretrained weights are read."""
    backbone = read_resnet18(settings.model.pretrained) if settings.model.pretrained else None
    return fresh_state(settings, backbone)


def fresh_state(settings: SosConfig, backbone: Any = None) -> TrainState:
    """The state before the first step, with the weights of a ResNet-18 where a `backbone` is given."""
    networks = settings.networks(UNIT_INTENSITIES)
    params = networks.init(stream_key(settings.seed, "init", 0))
    return TrainState.create(
        params if backbone is None else networks.with_backbone(params, backbone),
        optimiser_of(settings),
        keep_ema=settings.optimiser.ema_decay > 0,
        extra=first_extra(networks),
    )
