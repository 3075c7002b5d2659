"""Classification of slides that decides from low resolution before it decodes a pixel of high resolution.

A branch that depends on data cannot be compiled: the networks are compiled one by one and Python decides between them,
which is also the only place where the time saved can be measured honestly.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from medssl_jax.core.ahead import made_ahead
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import LARGEST_BATCH, SHARE, Settings, each, number, one_of, whole, within
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.imaging.slides import BandedSlide, Slide, SlideLayout
from medssl_jax.inference.slide_programs import SlidePrograms
from medssl_jax.losses.confidence import switches
from medssl_jax.models.deferral import asking_threshold
from medssl_jax.models.sos_networks import SosNetworks

RULES = ("low", "high", "confidence", "policy", "deferral")
# What each network costs, in the order in which a slide goes through it.
LOW_STAGES = ("low_resolution_read", "low_network")
HIGH_STAGES = ("patch_read", "high_network")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectiveSettings(Settings):
    """The way through slides; `experiments/configs/sos.py` explains each field.

    `rule` is who decides: `low` and `high` always take that network's answer, `confidence` is SOS's switch at `c`,
    `policy` is RDMS's, `deferral` asks the HRN where a head on v foretells the largest gain, within `deferral_budget`
    as a share of the slides. Above 0, `top_k` is how many patches of a slide the HRN looks at: those of the foreground
    that speak most for the LRN's class. An evaluation tells what the HRN would say of the `top_k_tried` too.
    """

    section: ClassVar[str] = "inference"
    rule: str = within(one_of(RULES))
    c: float = within(SHARE)
    deferral_budget: float = within(number(0, 1, above=True))
    top_k: int = within(whole(0))
    top_k_tried: tuple[int, ...] = within(each(whole(1), least=0))
    slide_batch: int = within(whole(1, LARGEST_BATCH))
    patch_batch: int = within(whole(1, LARGEST_BATCH))


class SlideResult(NamedTuple):
    """The class of one slide and its making; patches are numbered row by row.

    `seconds` of the stages it went through: `low_resolution_read` begins with the opening of the file and ends with
    what is foreground, `low_network` is its share of the batch, with the policy's time, then `patch_read`, which is the
    waiting for patches, and `high_network`. Where one pass gives everything, all of it but the opening is `patch_read`.
    Probabilities are those of the networks that ran, `feature` is the LRN's v, `attention` is 0 on patches that were
    not looked at. A slide without `foreground` is classified, and worth a warning. `asking` is what the rules `policy`
    and `deferral` ask by: the policy's logit, the gain foretold.
    """

    name: str
    low_probability: Float[np.ndarray, " k"] | None
    high_probability: Float[np.ndarray, " k"] | None
    feature: Float[np.ndarray, " d"] | None
    route: str
    label: int
    seconds: dict[str, float]
    attention: Float[np.ndarray, " patches"] | None
    foreground: Bool[np.ndarray, " patches"]
    asking: float | None = None


def refuse(slide: Slide, error: InputError) -> None:
    """Stops at a slide that cannot be read."""
    raise error


class SelectiveClassifier:
    """Classifies slides; those that the LRN settles never have a patch decoded.

    Memory is bounded by one batch of low-resolution images, two of patches, a few bands of one slide, and the features
    of a batch of slides. Compiling is left out of all measured times. Patches whose mean is at most
    `background_threshold` grey levels are not looked at.

    Raises `InputError` where the rule does not fit the networks.
    """

    def __init__(
        self,
        networks: SosNetworks,
        params: Any,
        layout: SlideLayout,
        settings: SelectiveSettings,
        *,
        background_threshold: float,
    ):
        check_networks(networks, settings)
        self._networks, self._layout, self._settings = networks, layout, settings
        self._background_threshold = background_threshold
        self._params = jax.device_put(params)
        self._programs = SlidePrograms(
            networks,
            layout,
            rule=settings.rule,
            ranks=settings.top_k > 0,
            slide_batch=settings.slide_batch,
            patch_batch=settings.patch_batch,
        )
        # What the policy's logit, or the gain foretold, must be above.
        self._asking_threshold = (
            asking_threshold(np.asarray(params["deferral"]["percentiles"]), settings.deferral_budget)
            if settings.rule == "deferral"
            else 0.0
        )

    @property
    def slide_batch(self) -> int:
        """The number of slides that the LRN looks at together."""
        return self._settings.slide_batch

    @property
    def peak_memory_bytes(self) -> int:
        """Bytes that the largest program the rule may need holds at once: parameters, images, scratch.

        By the compiler's account, whichever programs the slides so far have needed.
        """
        return self._programs.peak_memory_bytes

    def __call__(
        self, slides: Iterable[Slide], *, on_error: Callable[[Slide, InputError], None] = refuse
    ) -> Iterator[SlideResult]:
        """Results in the order of `slides`; slides are closed once their batch is done.

        `on_error` is told of a slide that cannot be read, which then has no result; the others go on.
        """
        with contextlib.closing(self._batches(slides, on_error)) as batches:
            for passages in batches:
                yield from self._finish_each(passages, on_error)

    def high_by_top_k(
        self, slides: Iterable[Slide], counts: Sequence[int]
    ) -> Iterator[Float[np.ndarray, "counts classes"]]:
        """The HRN's probabilities of each slide if it looked at each of `counts` patches, the most relevant ones.

        Every patch of the foreground is read and encoded once, whatever the counts are. The classifier must have a
        `top_k`. Raises `InputError` at the first slide that cannot be read.
        """
        assert self._settings.top_k, "else the LRN does not tell which patches are relevant"
        high = self._programs.high
        with contextlib.closing(self._batches(slides, refuse)) as batches:
            for passages in batches:
                whole = ((each, _patches(each, each.foreground)) for each in passages)
                with contextlib.closing(self._encode(whole)) as encoded:
                    for passage in encoded:
                        if passage.error is not None:
                            raise passage.error
                        masks = [most_relevant(passage.relevance, passage.foreground, count) for count in counts]
                        said = [high(self._params, passage.features, mask[None], passage.v)[0] for mask in masks]
                        yield np.concatenate(jax.device_get(said))

    def _batches(
        self, slides: Iterable[Slide], on_error: Callable[[Slide, InputError], None]
    ) -> Generator[list["_Passage"], None, None]:
        """As many slides at a time as the LRN looks at, once it has, those that could be read; then they are closed."""
        passages = _begin_each(slides)
        while batch := list(itertools.islice(passages, self._settings.slide_batch)):
            try:
                yield self._run_low(batch, on_error)
            finally:
                for passage in batch:
                    passage.slide.close()

    def _run_low(self, batch: list["_Passage"], on_error: Callable[[Slide, InputError], None]) -> list["_Passage"]:
        """Reads low-resolution images, runs the LRN and the policy on all at once, returns those that could be read."""
        read = []
        for passage in batch:
            try:
                self._read(passage)
            except InputError as error:
                on_error(passage.slide, error)
            else:
                read.append(passage)
        if not read or not self._networks.lrn:
            return read
        low = self._programs.low
        watch = _Stopwatch()
        images = _fill_up([passage.low_resolution for passage in read], self._settings.slide_batch)
        probability, v, asks, relevance = jax.device_get(low(self._params, images))
        share = watch.seconds() / len(read)
        for index, passage in enumerate(read):
            passage.seconds["low_network"] = share
            passage.low_probability, passage.v = probability[index], v[index : index + 1]
            if self._settings.rule in ("policy", "deferral"):
                passage.asking = float(asks[index])
                passage.asks = bool(asks[index] > self._asking_threshold)
            if self._settings.top_k:
                passage.relevance = relevance[index]
                passage.looked_at = most_relevant(passage.relevance, passage.foreground, self._settings.top_k)
        return read

    def _read(self, passage: "_Passage") -> None:
        # Where the HRN is always asked, one pass gives both what is shrunk and the patches.
        one_pass = self._settings.rule == "high" and not self._settings.top_k
        if one_pass and isinstance(passage.slide, BandedSlide):
            self._read_in_one_pass(passage, passage.slide)
            return
        watch = _Stopwatch()
        passage.low_resolution = passage.slide.low_resolution()
        passage.foreground = self._foreground(passage.low_resolution)
        passage.seconds["low_resolution_read"] += watch.seconds()

    def _read_in_one_pass(self, passage: "_Passage", slide: BandedSlide) -> None:
        foreground_rows: list[np.ndarray] = []

        def foreground_of_bands() -> Iterator[tuple[int, np.ndarray]]:
            for band in slide.bands():
                foreground_rows.append(self._foreground(band.low))
                for column in np.flatnonzero(foreground_rows[-1]).tolist():
                    yield band.row * self._layout.grid + column, band.patches[column]

        for _ in self._encode([(passage, foreground_of_bands())]):
            if passage.error is not None:
                raise passage.error
        passage.low_resolution = slide.low_resolution()
        passage.foreground = np.concatenate(foreground_rows)

    def _foreground(self, low_resolution: UInt8[np.ndarray, "rows columns"]) -> Bool[np.ndarray, " patches"]:
        return foreground_patches(low_resolution, self._layout, self._background_threshold)

    def _finish_each(
        self, passages: Sequence["_Passage"], on_error: Callable[[Slide, InputError], None]
    ) -> Iterator[SlideResult]:
        waiting = [passage for passage in passages if self._goes_high(passage) and passage.features is None]
        shown = ((each, _patches(each, each.shown)) for each in waiting)
        with contextlib.closing(self._encode(shown)) as encoded:
            for passage in passages:
                if passage in waiting:
                    assert next(encoded) is passage
                if passage.error is None:
                    yield self._finish(passage)
                else:
                    on_error(passage.slide, passage.error)

    def _finish(self, passage: "_Passage") -> SlideResult:
        high_probability = attention = None
        route = "high" if self._goes_high(passage) else "low"
        if route == "high":
            high_probability, attention = self._run_high(passage)
        deciding = passage.low_probability if high_probability is None else high_probability
        return SlideResult(
            name=passage.slide.name,
            low_probability=passage.low_probability,
            high_probability=high_probability,
            feature=None if passage.v is None else passage.v[0],
            route=route,
            label=int(deciding.argmax()),
            seconds=passage.seconds,
            attention=attention,
            foreground=passage.foreground,
            asking=passage.asking,
        )

    def _goes_high(self, passage: "_Passage") -> bool:
        match self._settings.rule:
            case "confidence":
                return bool(switches(passage.low_probability[None], self._settings.c)[0])
            case "policy" | "deferral":
                return passage.asks
            case rule:
                return rule == "high"

    def _run_high(self, passage: "_Passage") -> tuple[Float[np.ndarray, " classes"], Float[np.ndarray, " patches"]]:
        """Probabilities and attention, of features that are there."""
        high = self._programs.high
        watch = _Stopwatch()
        mask = passage.shown[None]
        probability, attention = jax.device_get(high(self._params, passage.features, mask, passage.v))
        passage.seconds["high_network"] += watch.seconds()
        return probability[0], attention[0]

    def _encode(self, passages: Iterable[tuple["_Passage", "_Patches"]]) -> Generator["_Passage", None, None]:
        """Gives each passage its features (1, grid * grid, d), 0 where no patch came, and hands it on when it has all.

        Batches are filled across slides, since those whose few best patches are looked at would leave most of one
        empty. The next is read while the network looks at this one, so that of the reading only waiting is measured;
        slides share the seconds of a batch by their patches in it. What is wrong with a slide's patches is its `error`.
        """
        assert self._networks.encoder is not None
        encode, depth = self._programs.encode, self._networks.encoder.features[-1]

        def begun() -> Iterator[tuple["_Passage", "_Patches"]]:
            for passage, patches in passages:
                passage.features = np.zeros((1, self._layout.grid**2, depth), np.float32)
                passage.seconds |= {"patch_read": 0.0, "high_network": 0.0}
                yield passage, patches

        ahead = made_ahead(_in_batches(begun(), self._settings.patch_batch))
        with contextlib.closing(ahead) as batches:
            while True:
                watch = _Stopwatch()
                batch = next(batches, None)
                waited = watch.seconds()
                if batch is None:
                    return
                watch = _Stopwatch()
                if batch.patches:
                    filled = _fill_up(batch.patches, self._settings.patch_batch)
                    features = jax.device_get(encode(self._params, filled))[: len(batch.patches)]
                    for (passage, number), feature in zip(batch.places, features, strict=True):
                        passage.features[0, number] = feature
                looked = watch.seconds()
                for passage, _ in batch.places:
                    passage.seconds["patch_read"] += waited / len(batch.places)
                    passage.seconds["high_network"] += looked / len(batch.places)
                yield from batch.ended


@dataclasses.dataclass(eq=False)
class _Passage:
    """A slide on its way, and what is known of it so far."""

    slide: Slide
    seconds: dict[str, float]
    low_resolution: Any = None
    foreground: Any = None
    looked_at: Any = None  # of the foreground, where the HRN is not to see all of it
    low_probability: Any = None
    v: Any = None
    relevance: Any = None  # of each patch, where only the most relevant are looked at
    asking: float | None = None
    asks: bool = False
    features: Any = None
    error: InputError | None = None  # what is wrong with its patches

    @property
    def shown(self) -> Bool[np.ndarray, " patches"]:
        """True for the patches that the HRN looks at, if it is asked."""
        return self.foreground if self.looked_at is None else self.looked_at


_Patches = Iterator[tuple[int, np.ndarray]]  # with their numbers


class _Batch(NamedTuple):
    """Patches for the encoder, whose each is and which, and the slides that have no further ones."""

    patches: list[np.ndarray]
    places: list[tuple[_Passage, int]]
    ended: list[_Passage]


class _Stopwatch:
    def __init__(self) -> None:
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _begin_each(slides: Iterable[Slide]) -> Iterator[_Passage]:
    """Begins with each slide; where `slides` opens it as it is asked for, that is timed."""
    slides = iter(slides)
    while True:
        watch = _Stopwatch()
        slide = next(slides, None)
        if slide is None:
            return
        yield _Passage(slide, {"low_resolution_read": watch.seconds()})


def _patches(passage: _Passage, chosen: Bool[np.ndarray, " patches"]) -> _Patches:
    numbers = np.flatnonzero(chosen).tolist()
    return zip(numbers, passage.slide.patches(numbers), strict=True)


def _in_batches(passages: Iterable[tuple[_Passage, _Patches]], size: int) -> Iterator[_Batch]:
    """Batches of `size` patches, the last of what is left; a slide ends early where its patches cannot be read."""
    batch = _Batch([], [], [])
    for passage, patches in passages:
        try:
            for number, patch in patches:
                batch.patches.append(patch)
                batch.places.append((passage, number))
                if len(batch.patches) == size:
                    yield batch
                    batch = _Batch([], [], [])
        except InputError as error:
            passage.error = error
        batch.ended.append(passage)
    yield batch


def check_networks(networks: SosNetworks, settings: SelectiveSettings) -> None:
    """Raises `InputError` where the rule does not fit the networks."""
    needed: dict[str, dict[str, Any]] = {
        "low": {"low": networks.lrn},
        "high": {"high": networks.hrn},
        "confidence": {"low": networks.lrn, "high": networks.hrn},
        "policy": {"low": networks.lrn, "high": networks.hrn, "policy": networks.policy_network},
        "deferral": {"low": networks.lrn, "high": networks.hrn, "deferral": networks.defers or None},
    }
    if settings.top_k_tried and (networks.lrn is None or networks.hrn is None):
        raise InputError(
            f"config field inference.top_k_tried is {settings.top_k_tried}, expected () without both networks: the LRN "
            "chooses patches for the HRN"
        )
    if settings.top_k and networks.lrn is None:
        raise InputError(
            f"config field inference.top_k is {settings.top_k}, expected 0 where method.use_low is False: the LRN "
            "chooses the patches"
        )
    for name, network in needed[settings.rule].items():
        if network is None:
            raise InputError(
                f"config field inference.rule is {settings.rule}, which needs the {name} network: "
                f"set method.use_{name}, or choose another rule"
            )


def most_relevant(
    relevance: Float[np.ndarray, " patches"], foreground: Bool[np.ndarray, " patches"], count: int
) -> Bool[np.ndarray, " patches"]:
    """True for the `count` patches of the foreground, or all of it, of the largest relevance; of equals the first."""
    order = np.argsort(-relevance, kind="stable")
    chosen = np.zeros(len(foreground), bool)
    chosen[order[foreground[order]][:count]] = True
    return chosen


def _fill_up(images: Sequence[UInt8[np.ndarray, "side side"]], count: int) -> UInt8[np.ndarray, "{count} side side"]:
    """Images as one array of a fixed size, so that one program does for all; what is beyond them is black."""
    filled = np.zeros((count, *images[0].shape), np.uint8)
    np.stack(images, out=filled[: len(images)])
    return filled
