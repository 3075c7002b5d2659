"""A run of SOS, or of a method it is compared with, from its config: slides, networks, training."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from data_builders.lks.lks_files import CLASSES
from data_builders.slide_source import LksSource
from experiments.runs.slides import SlideSplit, layout_of, open_slides, phantom_of, split_of
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.foreground import foreground_patches
from medssl_jax.data.slide_appearance import Appearance, AppearanceStatistics, appearance_of
from medssl_jax.data.slide_batches import batch_rows, slide_batches
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.inference.selective import RULES, SelectiveClassifier, SelectiveSettings, check_settings
from medssl_jax.metrics.sos_methods import METHODS
from medssl_jax.models.pretrained import BLOCKS, FEATURES, read_resnet18
from medssl_jax.models.sos_networks import JOINS, SosNetworks, make_networks, measure_intensities
from medssl_jax.parallel.sharding import DataParallel, data_parallel
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.config_checks import (
    COMMON,
    LARGEST_BATCH,
    LARGEST_WIDTH,
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
from medssl_jax.train.load_run import load_run
from medssl_jax.train.optimiser import make_optimiser
from medssl_jax.train.records import Records, Watch, unwatched
from medssl_jax.train.rng import stream_key
from medssl_jax.train.sos_step import SosSettings, first_extra, sos_step
from medssl_jax.train.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer
from medssl_jax.train.workdir import claim_workdir, record_split

FETCHED_AHEAD = 2  # batches; those of LKS are large


class TrainedMethod(NamedTuple):
    """A trained method; its `config` knows intensities and appearance of the slides it was trained on."""

    config: ml_collections.ConfigDict
    step: int
    params: Any
    networks: SosNetworks

    @property
    def layout(self) -> SlideLayout:
        """How its slides are cut."""
        return layout_of(self.config.data)

    @property
    def training_appearance(self) -> AppearanceStatistics | None:
        """How the slides looked that it was trained on; a run of an older version does not know."""
        found = self.config.get("training_slides")
        return None if found is None else AppearanceStatistics.from_json(found.to_dict())

    def used_as(self, config: ml_collections.ConfigDict) -> "TrainedMethod":
        """The same networks with the inference of another config."""
        own = ml_collections.ConfigDict(self.config.to_dict())
        own.inference, own.method.name = config.inference, config.method.name
        return self._replace(config=own)

    def classifier(self, rule: str | None = None) -> SelectiveClassifier:
        """The method on slides, by another rule than its own where one is given."""
        settings = _selective_settings(self.config, rule or self.config.inference.rule)
        return SelectiveClassifier(self.networks, self.params, self.layout, settings)


def train_method(
    config: ml_collections.ConfigDict, workdir: Path, *, watch: Watch = unwatched
) -> tuple[TrainedMethod, LksSource, SlideSplit]:
    """Everything from the files on disk to a trained method; what an earlier run of the same config finished is kept.

    Below `workdir`: `config.json`, `split.json`, `run.json`, `checkpoints/`, `metrics.jsonl` and TensorBoard events,
    `hashes.jsonl`.

    Raises `InputError` for a bad config, absent data, or a `workdir` that belongs to another config or cannot be
    written.
    """
    check_config(config)
    claim_workdir(workdir, config)
    source = open_slides(config.data)
    split = split_of(config, source)
    record = {"data_fingerprint": source.fingerprint}
    if config.model.pretrained:
        record["pretrained_sha256"] = _file_digest(config.model.pretrained)
    names = {part: [source.names[index] for index in indices] for part, indices in dataclasses.asdict(split).items()}
    record_split(workdir, names | record)
    config = with_training_slides(config, source, split.train)
    state = _train(config, source, split.train, workdir, watch)
    return TrainedMethod(config, int(state.step), state.params_to_evaluate, networks_of(config)), source, split


def load_method(checkpoint: Path) -> TrainedMethod:
    """The method of a finished or running training, from its workdir or the folder `checkpoints` in it."""
    config, state = load_run(checkpoint, fresh_state, command="experiments.sos")
    return TrainedMethod(config, int(state.step), state.params_to_evaluate, networks_of(config))


def with_training_slides(
    config: ml_collections.ConfigDict, source: LksSource, train: Sequence[int]
) -> ml_collections.ConfigDict:
    """The config with `training_slides`, their appearance, and with their mean and deviation, unless it has its own."""
    appearances: list[Appearance] = []

    def images():
        for index in progress_bar("measuring", "slides")(train):
            with source.slide(index) as slide:
                image = slide.low_resolution()
            appearances.append(
                appearance_of(image, foreground_patches(image, source.layout, source.background_threshold))
            )
            yield image

    measured = measure_intensities(images())
    config = ml_collections.ConfigDict(config.to_dict())
    if config.model.intensity_deviation <= 0:
        config.model.intensity_mean, config.model.intensity_deviation = measured
    config.training_slides = AppearanceStatistics.of(appearances).as_json()
    return config


def networks_of(config: ml_collections.ConfigDict) -> SosNetworks:
    """The networks that the method of a config has."""
    return make_networks(config, layout_of(config.data), classes=len(CLASSES))


def training_of(config: ml_collections.ConfigDict) -> str:
    """What names a training: configs that differ only in what is done afterwards share it."""
    fields = json.loads(config.to_json())
    for field in ("inference", "logging"):
        del fields[field]
    del fields["method"]["name"]
    return json.dumps(fields, sort_keys=True)


RANGES = {
    **COMMON,
    "data.grid": whole(1, 4096),
    "data.patch_side": whole(1, 2**16),
    "data.shrink": whole(1, 2**16),
    "data.background_threshold": number(0, 255),
    "split.validation_share": number(0, 1, above=True, below=True),
    "batches.slides": whole(1, LARGEST_BATCH),
    "batches.chunk": whole(0, LARGEST_BATCH),
    "batches.symmetries": SWITCH,
    "batches.loader_threads": whole(1, 1024),
    **{f"model.{network}_features": each(whole(1, LARGEST_WIDTH)) for network in ("low", "high", "policy")},
    **{f"model.{network}_blocks": each(whole(0, 1024)) for network in ("low", "high", "policy")},
    "model.low_stem_block": whole(0, 2**16),
    "model.high_stem_block": whole(0, 2**16),
    "model.attention_features": whole(1, LARGEST_WIDTH),
    "model.intensity_mean": number(0, 1),
    "model.intensity_deviation": number(0, 1),  # 0: both are measured
    "method.name": one_of(METHODS),
    **{f"method.{name}": SWITCH for name in ("use_low", "use_high", "use_policy")},
    **{f"method.{name}": SWITCH for name in ("stop_feature", "stop_paradoxical_low")},
    "method.join": one_of(JOINS),
    **{f"method.{name}_weight": WEIGHT for name in ("low", "high", "paradoxical", "hesitant", "hurried")},
    "method.c": SHARE,
    "method.eps": SHARE,
    "method.policy_weight": WEIGHT,
    "method.entropy_weight": WEIGHT,
    "method.baseline_decay": number(0, 1, below=True),
    "optimiser.accumulate": whole(1),
    "inference.rule": one_of(RULES),
    "inference.c": SHARE,
    "inference.slide_batch": whole(1, LARGEST_BATCH),
    "inference.patch_batch": whole(1, LARGEST_BATCH),
}


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `InputError` for settings that would fail or mislead only later."""
    check_each(config, RANGES)
    method, model, optimiser, logging = config.method, config.model, config.optimiser, config.logging
    chance = 1 / len(CLASSES)
    executive = method.use_low and method.use_high and max(method.hesitant_weight, method.hurried_weight) > 0
    expectations = (
        *(
            (
                f"model.{name}_blocks",
                len(model[f"{name}_blocks"]) == len(model[f"{name}_features"]),
                f"as many as model.{name}_features",
            )
            for name in ("low", "high", "policy")
        ),
        (
            "model.pretrained",
            not model.pretrained or _is_resnet18(model),
            f"nothing, or features {FEATURES} and blocks {BLOCKS} of all three networks, with stem_block 0",
        ),
        ("method.use_low", method.use_low or method.use_high, "True where method.use_high is False"),
        ("method.use_policy", not method.use_policy or (method.use_low and method.use_high), "False without both"),
        (
            "method.c",
            not executive or chance < method.c < method.c + method.eps <= 1,
            f"more than 1/{len(CLASSES)}, and below 1 by method.eps ({method.eps}) or more",
        ),
        ("method.eps", not executive or method.eps > 0, "more than 0"),
        ("steps", config.steps % optimiser.accumulate == 0, "a multiple of optimiser.accumulate"),
        (
            "optimiser.ema_decay",
            optimiser.accumulate == 1 or optimiser.ema_decay == 0,
            "0 where optimiser.accumulate is above 1: an average would move with every step, not every update",
        ),
        ("logging.save_every", logging.save_every % logging.log_every == 0, "a multiple of log_every"),
        ("logging.save_every", logging.save_every % optimiser.accumulate == 0, "a multiple of optimiser.accumulate"),
    )
    check_together(config, expectations)
    if "phantom" in config.data:
        phantom_of(config.data)
    # What only networks and classifier can tell: whether stems, joins and the rule fit.
    rehearsal = ml_collections.ConfigDict(config.to_dict())
    rehearsal.model.intensity_deviation = rehearsal.model.intensity_deviation or 1.0
    check_settings(networks_of(rehearsal), _selective_settings(rehearsal, config.inference.rule))


def _is_resnet18(model):
    features = {tuple(model[f"{name}_features"]) for name in ("low", "high", "policy")}
    blocks = {tuple(model[f"{name}_blocks"]) for name in ("low", "high", "policy")}
    return features == {FEATURES} and blocks == {BLOCKS} and not model.low_stem_block and not model.high_stem_block


def _file_digest(path):
    read_resnet18(path)  # what is wrong with it is said before anything is computed
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _train(config, source, indices, workdir, watch) -> TrainState:
    sharding = sharding_of(config, jax.devices())
    train_step = sharding.jit_step(
        functools.partial(
            sos_step,
            networks=networks_of(config),
            optimiser=make_optimiser(config.optimiser, config.steps),
            settings=method_settings(config),
            sharding=sharding,
        )
    )
    rows = slide_batches(
        source,
        indices,
        batch=config.batches.slides,
        patches=config.method.use_high,
        symmetries=config.batches.symmetries,
        seed=config.seed,
        host_rows=sharding.host_rows,
    )

    def names_at(position: int) -> dict[str, list[str]]:
        rows = batch_rows(indices, position, batch=config.batches.slides, seed=config.seed)
        return {"slides": [source.names[index] for index in rows]}

    return Trainer(
        init_state=lambda: _first_state(config),
        train_step=train_step,
        batches=Batches(rows, names_at, threads=config.batches.loader_threads, fetched_ahead=FETCHED_AHEAD),
        sharding=sharding,
        schedule=Schedule(config.steps, log_every=config.logging.log_every, save_every=config.logging.save_every),
        checkpoints=Checkpoints(workdir / "checkpoints", config=config.to_dict(), keep=config.logging.keep_checkpoints),
        records=Records(workdir, config, watch=watch),
    ).train()


def sharding_of(config: ml_collections.ConfigDict, devices: Sequence[jax.Device]) -> DataParallel:
    """Those of `devices` that share the batch. Raises `InputError` where more hosts than slides would."""
    return data_parallel(devices, batches=[config.batches.slides])


def _first_state(config) -> TrainState:
    """The state that training begins with: only here pretrained weights are read."""
    backbone = read_resnet18(config.model.pretrained) if config.model.pretrained else None
    return fresh_state(config, backbone)


def fresh_state(config: ml_collections.ConfigDict, backbone: Any = None) -> TrainState:
    """The state before the first step, with the weights of a ResNet-18 where a `backbone` is given."""
    networks = networks_of(config)
    params = networks.init(stream_key(config.seed, "init", 0))
    return TrainState.create(
        params if backbone is None else networks.with_backbone(params, backbone),
        make_optimiser(config.optimiser, config.steps),
        keep_ema=config.optimiser.ema_decay > 0,
        extra=first_extra(networks),
    )


def _selective_settings(config, rule) -> SelectiveSettings:
    return SelectiveSettings(
        rule=rule,
        c=config.inference.c,
        slide_batch=config.inference.slide_batch,
        patch_batch=config.inference.patch_batch,
        background_threshold=config.data.background_threshold,
    )


def method_settings(config: ml_collections.ConfigDict) -> SosSettings:
    """What a config says of the training step."""
    derived = {"seed": config.seed, "chunk": config.batches.chunk, "ema_decay": config.optimiser.ema_decay}
    names = [field.name for field in dataclasses.fields(SosSettings)]
    return SosSettings(**{name: derived[name] if name in derived else config.method[name] for name in names})
