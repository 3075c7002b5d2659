"""One slide of LKS's size through each method of the SOS paper: seconds by stage, and the peak of memory.

Each method runs in a process of its own, untrained, and what it compiles is left out of a slide's seconds. A switch is
shown both ways: `settled` by the LRN, and `asked`, where the HRN looks at every patch that is not black. Then a
training step on one slide is compiled, for its memory; --whole_slide.steps=2 also takes two such steps (where the
config accumulates gradients, the weights move in every so many of them). Two cores of a CPU need a quarter of an hour
for each method that looks, and an hour for a step of its training; --whole_slide.grid=4 is a hundredth of it, with
patches of the same size. With --whole_slide.low_rows=4 four rows of 40 make the low-resolution image. A slide of 40 x
40 patches takes 1.6 GB of disk.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from data_builders.lks.lks_files import CLASSES
from experiments import command
from experiments.benchmarks.bench import Bench, Cost, Measurement, clock
from experiments.benchmarks.own_process import Measured, in_own_process
from experiments.benchmarks.parts import read_slide
from experiments.configs import _methods
from experiments.runs.sos.sos_config import SosConfig
from experiments.runs.sos.sos_training import jitted_step
from experiments.runs.sos.timed_files import FILE_KINDS
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics
from medssl_jax.data.slides.slide_batches import slide_batches
from medssl_jax.imaging.slides import SlideLayout, TiffSlide
from medssl_jax.inference.selective import SelectiveClassifier
from medssl_jax.inference.selective_settings import SelectiveSettings
from medssl_jax.inference.trained_classifier import TrainingSlides
from medssl_jax.models.sos_networks import Intensities
from medssl_jax.parallel.device_memory import peak_bytes
from medssl_jax.phantoms.slides.tiff import write_tiff
from medssl_jax.steps.state import TrainState

SMALLEST = {
    "config": "configs/phantom_sos.py",
    "grid": 2,
    "patch_side": 64,
    "shrink": 8,
    "methods": ("SOS",),
    "steps": 1,
}
KINDS = {kind.name: kind for kind in FILE_KINDS.values()}
DELTAS: Mapping[str, Callable[[ConfigDict], ConfigDict]] = {
    "Image-Level": _methods.image_level,
    "Patch-Level": _methods.patch_level,
    "Multi-Scale": _methods.multi_scale,
    "RDMS": _methods.rdms,
    "SOS": lambda config: config,
}
INTENSITIES = Intensities(0.04, 0.04)  # about those of the slides that are written here
# A training step reads none of the appearance.
SLIDES = TrainingSlides(CLASSES, INTENSITIES, AppearanceStatistics.of([Appearance(0, 0)]))
MARGIN, ROWS = 10, 256  # pixels
CERTAIN = 1e6  # a policy's logit that no image moves


class Passage(NamedTuple):
    """What classifying a slide takes, or a step of training on it, or compiling that: its cost, and seconds of stages.

    `patches` are those looked at, `program_bytes` those of the largest program, by the compiler's account.
    """

    cost: Cost
    seconds: Mapping[str, float]
    patches: int
    program_bytes: int


@dataclasses.dataclass
class OneSlide:
    """The slide of a file as the only one of a data set."""

    path: Path
    layout: SlideLayout
    background_threshold: float
    foreground_counts: tuple[int, ...]
    labels: tuple[int, ...] = (0,)

    def slide(self, _: int) -> TiffSlide:
        """The slide, to be closed."""
        return TiffSlide(self.path, self.layout)


def measure(
    bench: Bench,
    *,
    config: str = "configs/sos.py",
    grid: int = 40,
    patch_side: int = 1000,
    shrink: int = 40,
    file: str = "strips",
    methods: tuple[str, ...] = tuple(DELTAS),
    steps: int = 0,
    low_rows: int = 0,
) -> list[Measurement]:
    """Writes a slide in a `file` of one of `KINDS`, and sends it through each method, `bench.pairs` times.

    Where there are `steps`, each method is trained on it too. What is measured is told at once. Raises `InputError`
    for a kind or method that is none, for less than no step, and more `low_rows` than there are.
    """
    for flag, found, most in (("steps", steps, np.inf), ("low_rows", low_rows, shrink)):
        if not 0 <= found <= most:
            expected = "0 or more" if most == np.inf else f"0 to {most}"
            raise InputError(f"--whole_slide.{flag}: found {found}, expected {expected}")
    for flag, given, known in (("file", [file], KINDS), ("methods", methods, DELTAS)):
        if unknown := [each for each in given if each not in known]:
            raise InputError(f"--whole_slide.{flag}: found {unknown[0]}, expected {', '.join(known)}")
    cut = {"grid": grid, "patch_side": patch_side, "shrink": shrink}
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        in_own_process(write_slide, path, grid * patch_side + MARGIN, file)
        for method in methods:
            for route in ROUTES[settings_of(config, method, cut).inference.rule]:
                passes = [
                    in_own_process(classify, path, config, cut, method, route, low_rows) for _ in range(bench.pairs)
                ]
                measured.append(_told(f"{method} {route}".strip(), passes))
            compiled = in_own_process(compile_alone, config, cut, method)
            measured.append(_told(f"{method}, compiling a training step", [compiled]))
            if steps:
                trained = in_own_process(train, path, config, cut, method, steps)
                measured.append(_told(f"{method}, a training step", [trained]))
    return measured


def _told(work: str, passes: Sequence[Measured]) -> Measurement:
    results: list[Passage] = [each.result for each in passes]
    measurement = Measurement(work, [each.cost for each in results]).noting(
        patches=results[0].patches,
        **{f"{stage} s": float(np.median([each.seconds[stage] for each in results])) for stage in results[0].seconds},
        **{
            "peak MB": max(each.peak_mb for each in passes),
            "largest program MB": results[0].program_bytes / 1e6,
        },
    )
    told = ", ".join(f"{name} {value:.4g}" for name, value in measurement.notes.items())
    print(f"whole_slide: {work}: {measurement.median.wall:.1f} s, {told}", flush=True)
    return measurement


# What a rule can come to; where there is no choice it has no name.
ROUTES = {"low": ("",), "high": ("",), "confidence": ("settled", "asked"), "policy": ("settled", "asked")}


def settings_of(config: str, method: str, cut: Mapping[str, int]) -> SosConfig:
    """The settings of a method on slides cut so."""
    given = command.load_config(config)
    given.data.update(cut)
    given.data.phantom = None  # the slide is written here
    return settings_from(SosConfig, DELTAS[method](given))


def classify(path: Path, config: str, cut: Mapping[str, int], method: str, route: str, low_rows: int = 0) -> Passage:
    """Classifies the slide, the switch moved to where its route is certain; all rows count unless some do."""
    settings, asked = settings_of(config, method, cut), route == "asked"
    inference = dataclasses.replace(settings.inference, c=float(asked))
    classifier = untrained(settings, inference, policy=CERTAIN if asked else -CERTAIN)
    program_bytes = classifier.peak_memory_bytes  # compiles everything
    begin = clock()
    (result,) = classifier([lambda: TiffSlide(path, settings.data.layout, low_rows=low_rows or None)])
    end = clock()
    patches = 0 if result.attention is None else int(result.foreground.sum())
    return Passage(Cost(end.wall - begin.wall, end.cpu - begin.cpu), result.seconds, patches, program_bytes)


def untrained(settings: SosConfig, inference: SelectiveSettings, policy: float = 0.0) -> SelectiveClassifier:
    """A classifier by networks as they are drawn; where a policy decides, its logit is moved by `policy`."""
    networks = settings.networks(INTENSITIES, classes=4)
    # Drawn by NumPy: what draws them in JAX takes seconds to compile.
    rng, shapes = np.random.default_rng(0), jax.eval_shape(networks.init, jax.random.key(0))
    params: dict[str, Any] = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype(leaf.dtype), shapes)
    if inference.rule == "policy":
        params = networks.shift_policy(params, by=policy)
    layout, background_threshold = settings.data.layout, settings.data.background_threshold
    return SelectiveClassifier(networks, params, layout, inference, background_threshold=background_threshold)


def train(path: Path, config: str, cut: Mapping[str, int], method: str, steps: int) -> Passage:
    """Trains the method on the slide, all of whose patches are in the batch; the cost is that of one step."""
    settings = settings_of(config, method, cut)
    layout, threshold, begin = settings.data.layout, settings.data.background_threshold, clock()
    with TiffSlide(path, layout) as slide:
        foreground = foreground_patches(slide.low_resolution(), layout, threshold)
    batch = slide_batches(
        OneSlide(path, layout, threshold, (int(foreground.sum()),)),
        [0],
        batch=1,
        patches=settings.method.use_high,
        symmetries=settings.batches.symmetries,
        seed=settings.seed,
    )[0]
    read = clock()
    step, fresh_state = compiled_step(settings, batch)
    state, on_device = jax.jit(fresh_state)(), jax.device_put(batch)
    compiled = clock()
    for _ in range(steps):
        state, metrics = step(state, on_device)
        jax.block_until_ready((state, metrics))
    end = clock()
    cost = Cost((end.wall - compiled.wall) / steps, (end.cpu - compiled.cpu) / steps)
    patches = int(batch["mask"].sum()) if settings.method.use_high else 0
    return Passage(cost, {"read": read.wall - begin.wall}, patches, peak_bytes(step))


def compile_alone(config: str, cut: Mapping[str, int], method: str) -> Passage:
    """Compiles a training step of the method on a slide without a black patch, and runs nothing."""
    settings = settings_of(config, method, cut)
    layout, array = settings.data.layout, jax.ShapeDtypeStruct
    low, side = layout.low_side, layout.patch_side
    patches = layout.grid**2 if settings.method.use_high else 0
    batch = {"low_resolution": array((1, low, low), np.uint8), "label": array((1,), np.int32)}
    if patches:
        batch |= {"patches": array((1, patches, side, side), np.uint8), "mask": array((1, patches), np.bool_)}
    begin = clock()
    step, _ = compiled_step(settings, batch)
    end = clock()
    return Passage(Cost(end.wall - begin.wall, end.cpu - begin.cpu), {}, patches, peak_bytes(step))


def compiled_step(
    settings: SosConfig, batch: Mapping[str, Any]
) -> tuple[jax.stages.Compiled, Callable[[], TrainState]]:
    """The training step for batches such as `batch`, of which shapes will do, and what gives its first state."""

    def fresh_state() -> TrainState:
        return settings.fresh_state(SLIDES.for_checkpoint())

    return jitted_step(settings, SLIDES).lower(jax.eval_shape(fresh_state), batch).compile(), fresh_state


def write_slide(path: Path, side: int, file: str, number: int = 0) -> None:
    """Writes a disc of noise in one of `KINDS`; slides of another `number` have other noise."""
    kind = KINDS[file]
    write_tiff(path, _bands(side, number), (side, side), kind.layout, levels=kind.levels)


def _bands(side: int, number: int) -> Iterator[UInt8[np.ndarray, "rows {side}"]]:
    return (read_slide.disc_rows(side, top, min(ROWS, side - top), number) for top in range(0, side, ROWS))
