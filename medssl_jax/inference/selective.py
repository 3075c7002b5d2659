"""Classification of slides that decides from low resolution before it decodes a pixel of high resolution.

A branch that depends on data cannot be compiled: the networks are compiled one by one and Python decides between them,
which is also the only place where the time saved can be measured honestly.
"""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from medssl_jax.data.foreground import foreground_patches
from medssl_jax.errors import InputError
from medssl_jax.losses.sos import switches
from medssl_jax.models.sos import SosNetworks
from medssl_jax.slides import Slide, SlideLayout, TiffSlide

RULES = ("low", "high", "confidence", "policy")
# What each network costs, in the order in which a slide goes through it.
LOW_STAGES = ("low_resolution_read", "low_network")
HIGH_STAGES = ("patch_read", "high_network")


@dataclasses.dataclass(frozen=True)
class SelectiveSettings:
    """How slides are gone through; `experiments/configs/sos.py` explains each field.

    `rule` is who decides: `low` and `high` always take that network's answer, `confidence` is SOS's switch at `c`,
    `policy` is RDMS's.
    """

    rule: str
    c: float
    slide_batch: int
    patch_batch: int
    background_threshold: float


class SlideResult(NamedTuple):
    """What was made of one slide; patches are numbered row by row.

    `seconds` of the stages it went through: `low_resolution_read`, `low_network` (its share of the batch; with the
    policy's time), `patch_read`, `high_network`. Probabilities are those of the networks that ran, `attention` is 0 on
    patches that were not looked at. A slide without `foreground` is classified, and worth a warning.
    """

    name: str
    low_probability: Float[np.ndarray, " k"] | None
    high_probability: Float[np.ndarray, " k"] | None
    route: str
    label: int
    seconds: dict[str, float]
    attention: Float[np.ndarray, " patches"] | None
    foreground: Bool[np.ndarray, " patches"]


def refuse(slide: Slide, error: InputError) -> None:
    """Stops at a slide that cannot be read."""
    raise error


class SelectiveClassifier:
    """Classifies slides; those that the LRN settles never have a patch decoded.

    Memory is bounded by one batch of low-resolution images, one of patches, a few bands of one slide, and the features
    of a batch of slides. Compiling is left out of all measured times.

    Raises `InputError` where the rule does not fit the networks.
    """

    def __init__(self, networks: SosNetworks, params: Any, layout: SlideLayout, settings: SelectiveSettings):
        check_settings(networks, settings)
        self._networks, self._layout, self._settings = networks, layout, settings
        self._params = jax.device_put(params)
        self._programs: dict[str, jax.stages.Compiled] = {}

    @property
    def slide_batch(self) -> int:
        """How many slides the LRN looks at together."""
        return self._settings.slide_batch

    @property
    def peak_memory_bytes(self) -> int:
        """What the largest program run so far holds at once, by the compiler's account: parameters, images, scratch."""
        return max((_bytes(program.memory_analysis()) for program in self._programs.values()), default=0)

    def __call__(
        self, slides: Iterable[Slide], on_error: Callable[[Slide, InputError], None] = refuse
    ) -> Iterator[SlideResult]:
        """Results in the order of `slides`; slides are closed once their batch is done.

        `on_error` is told of a slide that cannot be read, which then has no result; the others go on.
        """
        slides = iter(slides)
        while batch := list(itertools.islice(slides, self._settings.slide_batch)):
            try:
                for read in self._run_low(batch, on_error):
                    try:
                        result = self._finish(read)
                    except InputError as error:
                        on_error(read.slide, error)
                    else:
                        yield result
            finally:
                for slide in batch:
                    slide.close()

    def _run_low(self, slides, on_error) -> list["_Read"]:
        """Reads low-resolution images, runs the LRN and the policy on all of them at once."""
        reads = []
        for slide in slides:
            try:
                reads.append(self._read(slide))
            except InputError as error:
                on_error(slide, error)
        if not reads or not self._networks.lrn:
            return reads
        images = _fill_up([read.low_resolution for read in reads], self._settings.slide_batch)
        low = self._program("low")
        watch = _Stopwatch()
        probability, v, asks = jax.device_get(low(self._params, images))
        share = watch.seconds() / len(reads)
        for index, read in enumerate(reads):
            read.seconds["low_network"] = share
            read.low_probability, read.v, read.asks = probability[index], v[index : index + 1], bool(asks[index])
        return reads

    def _read(self, slide: Slide) -> "_Read":
        # Where the HRN is always asked, one pass over a TIFF gives both what is shrunk and the patches.
        if self._settings.rule == "high" and isinstance(slide, TiffSlide):
            return self._read_in_one_pass(slide)
        watch = _Stopwatch()
        low_resolution = slide.low_resolution()
        return _Read(slide, low_resolution, {"low_resolution_read": watch.seconds()})

    def _read_in_one_pass(self, slide: TiffSlide) -> "_Read":
        low_rows: list[np.ndarray] = []

        def foreground_of_bands():
            for band in slide.bands():
                low_rows.append(band.low)
                foreground = foreground_patches(band.low, self._layout, self._settings.background_threshold)
                for column in np.flatnonzero(foreground):
                    yield band.row * self._layout.grid + column, band.patches[column]

        seconds: dict[str, float] = {}
        features = self._encode(foreground_of_bands(), seconds)
        return _Read(slide, np.concatenate(low_rows), seconds, features=features)

    def _finish(self, read: "_Read") -> SlideResult:
        foreground = foreground_patches(read.low_resolution, self._layout, self._settings.background_threshold)
        high_probability = attention = None
        route = "high" if self._goes_high(read) else "low"
        if route == "high":
            high_probability, attention = self._run_high(read, foreground)
        deciding = read.low_probability if high_probability is None else high_probability
        return SlideResult(
            name=read.slide.name,
            low_probability=read.low_probability,
            high_probability=high_probability,
            route=route,
            label=int(deciding.argmax()),
            seconds=read.seconds,
            attention=attention,
            foreground=foreground,
        )

    def _goes_high(self, read: "_Read") -> bool:
        match self._settings.rule:
            case "confidence":
                return bool(switches(read.low_probability[None], self._settings.c)[0])
            case "policy":
                return read.asks
            case rule:
                return rule == "high"

    def _run_high(self, read: "_Read", foreground):
        """The features of the foreground, unless they are there already, pooled; each slide fills the whole grid."""
        if read.features is None:
            indices = np.flatnonzero(foreground)
            patches = read.slide.patches(indices.tolist())
            read.features = self._encode(zip(indices, patches, strict=True), read.seconds)
        high = self._program("high")
        watch = _Stopwatch()
        probability, attention = jax.device_get(high(self._params, read.features, foreground[None], read.v))
        read.seconds["high_network"] += watch.seconds()
        return probability[0], attention[0]

    def _encode(self, patches: Iterator[tuple[int, np.ndarray]], seconds: dict[str, float]):
        """Features (1, grid * grid, d) of patches that come with their number, a batch at a time; 0 where none came."""
        assert self._networks.encoder is not None
        encode = self._program("encode")
        features = np.zeros((1, self._layout.grid**2, self._networks.encoder.features[-1]), np.float32)
        seconds |= {"patch_read": 0.0, "high_network": 0.0}
        while True:
            watch = _Stopwatch()
            batch = list(itertools.islice(patches, self._settings.patch_batch))
            seconds["patch_read"] += watch.seconds()
            if not batch:
                return features
            watch = _Stopwatch()
            filled = _fill_up([patch for _, patch in batch], self._settings.patch_batch)
            chosen = [number for number, _ in batch]
            features[0, chosen] = jax.device_get(encode(self._params, filled))[: len(batch)]
            seconds["high_network"] += watch.seconds()

    def _program(self, name: str) -> jax.stages.Compiled:
        if name not in self._programs:
            self._programs[name] = _compile(name, self._networks, self._layout, self._settings)
        return self._programs[name]


@dataclasses.dataclass(eq=False)
class _Read:
    """A slide on its way."""

    slide: Slide
    low_resolution: UInt8[np.ndarray, "s s"]
    seconds: dict[str, float]
    low_probability: Any = None
    v: Any = None
    asks: bool = False
    features: Float[np.ndarray, "1 patches d"] | None = None


class _Stopwatch:
    def __init__(self):
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def check_settings(networks: SosNetworks, settings: SelectiveSettings) -> None:
    """Raises `InputError` where the rule does not fit the networks, or a number is out of range."""
    needed: dict[str, dict[str, Any]] = {
        "low": {"low": networks.lrn},
        "high": {"high": networks.hrn},
        "confidence": {"low": networks.lrn, "high": networks.hrn},
        "policy": {"low": networks.lrn, "high": networks.hrn, "policy": networks.policy_network},
    }
    if settings.rule not in RULES:
        raise InputError(f"inference.rule is {settings.rule}, expected one of {', '.join(RULES)}")
    for name, network in needed[settings.rule].items():
        if network is None:
            raise InputError(
                f"inference.rule is {settings.rule}, which needs the {name} network: set method.use_{name}, or choose "
                "another rule"
            )
    if not 0 <= settings.c <= 1:
        raise InputError(f"inference.c is {settings.c}, expected 0 to 1")
    for name in ("slide_batch", "patch_batch"):
        if getattr(settings, name) < 1:
            raise InputError(f"inference.{name} is {getattr(settings, name)}, expected 1 or more")


def _fill_up(images, count):
    """Images as one array of a fixed size, so that one program does for all; what is beyond them is black."""
    filled = np.zeros((count, *images[0].shape), np.uint8)
    np.stack(images, out=filled[: len(images)])
    return filled


def _compile(name, networks, layout, settings) -> jax.stages.Compiled:
    match name:
        case "low":
            return _compile_low(networks, settings.slide_batch, settings.rule == "policy")
        case "encode":
            return _compile_encode(networks, settings.patch_batch)
        case _:
            return _compile_high(networks, layout.grid**2)


# Compiled once a process, whatever c or which parameters are tried.
@functools.cache
def _compile_low(networks: SosNetworks, slides: int, asks_policy: bool) -> jax.stages.Compiled:
    def low(params, images):
        logits, v = networks.low(params, images)
        asks = networks.policy(params, images) > 0 if asks_policy else jnp.zeros(slides, bool)
        return jax.nn.softmax(logits), v, asks

    return _compiled(low, networks, _abstract((slides, networks.low_side, networks.low_side), jnp.uint8))


@functools.cache
def _compile_encode(networks: SosNetworks, patches: int) -> jax.stages.Compiled:
    return _compiled(
        networks.encode, networks, _abstract((patches, networks.patch_side, networks.patch_side), jnp.uint8)
    )


@functools.cache
def _compile_high(networks: SosNetworks, patches: int) -> jax.stages.Compiled:
    assert networks.encoder is not None

    def high(params, features, mask, v):
        logits, attention = networks.high(params, features, mask, v)
        return jax.nn.softmax(logits), attention

    features = _abstract((1, patches, networks.encoder.features[-1]), jnp.float32)
    v = _abstract((1, networks.lrn.backbone.features[-1]), jnp.float32) if networks.lrn else None
    return _compiled(high, networks, features, _abstract((1, patches), bool), v)


def _compiled(function, networks, *arguments):
    params = jax.eval_shape(networks.init, jax.random.key(0))
    return jax.jit(function).lower(params, *arguments).compile()


def _abstract(shape, dtype):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


def _bytes(memory):
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
