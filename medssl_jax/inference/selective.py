"""Classification of slides that decides from low resolution before it decodes a pixel of high resolution.

A branch that depends on data cannot be compiled: the networks are compiled one by one and Python decides between them,
which is also the only place where the time saved can be measured honestly.
"""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from medssl_jax.core.ahead import made_ahead
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.slides.foreground import foreground_patches
from medssl_jax.imaging.slides import BandedSlide, Slide, SlideLayout
from medssl_jax.inference.patch_batches import Patches, Stopwatch, encode_patches, filled_up
from medssl_jax.inference.selective_settings import SelectiveSettings, check_networks
from medssl_jax.inference.slide_programs import SlidePrograms
from medssl_jax.losses.confidence import switches
from medssl_jax.models.deferral import asking_threshold
from medssl_jax.models.sos_networks import SosNetworks

# What each network costs, in the order in which a slide goes through it.
LOW_STAGES = ("low_resolution_read", "low_network")
HIGH_STAGES = ("patch_read", "high_network")
WAITING_STAGES = ("low_resolution_read", "patch_read")  # in which networks have nothing to do


class SlideResult(NamedTuple):
    """The class of one slide and its making; patches are numbered row by row.

    `seconds` of the stages it went through: `low_resolution_read` is its share of the waiting for the batch's images,
    from the opening of the files to what is foreground, `low_network` its share of the batch, with the policy's time,
    then `patch_read`, which is the waiting for patches, and `high_network`. Where one pass gives everything, all
    waiting is `patch_read`. Probabilities are those of the networks that ran, `feature` is the LRN's v, `attention` is
    0 on patches that were not looked at. A slide without `foreground` is classified, and worth a warning. `asking` is
    what the rules `policy` and `deferral` ask by: the policy's logit, the gain foretold.
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


OpenSlide = Callable[[], Slide]
# Told of a slide by its place in the order: what is wrong with it; or itself while it is open, its foreground.
OnError = Callable[[int, InputError], None]
OnRead = Callable[[int, Slide, Bool[np.ndarray, " patches"]], None]


def refuse(place: int, error: InputError) -> None:
    """Stops at a slide that cannot be read."""
    del place
    raise error


def unheard(place: int, slide: Slide, foreground: Bool[np.ndarray, " patches"]) -> None:
    """Takes no notice."""
    del place, slide, foreground


class SelectiveClassifier:
    """Classifies slides; those that the LRN settles never have a patch decoded.

    Memory is bounded by two batches of low-resolution images, two of patches, a few bands of one slide, the features of
    a batch of slides, and a few kilobytes of every slide. Compiling is left out of all measured times. Patches whose
    mean is at most `background_threshold` grey levels are not looked at.

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
        self,
        slides: Sequence[OpenSlide],
        *,
        on_error: OnError = refuse,
        on_read: OnRead = unheard,
        progress: Progress = silent,
    ) -> Iterator[SlideResult]:
        """Results in the order of `slides`, of which one at a time is open.

        All are looked at in low resolution first, the next ones read meanwhile; then those for which the HRN is asked
        are opened again. Where it sees all of every slide, both come from one pass, and results as it goes on.

        `on_error` is told of a slide that cannot be read, which then has no result; the others go on. `on_read` is
        called, in the thread that reads, when a slide has its low-resolution image. `progress` wraps the slides, and
        then those that are opened again.
        """
        in_one_pass = self._settings.rule == "high" and not self._settings.top_k
        look = self._in_one_pass if in_one_pass else self._low_then_high
        with contextlib.closing(look(slides, on_error, on_read, progress)) as passages:
            yield from map(self._finish, passages)

    def high_by_top_k(
        self, slides: Sequence[OpenSlide], counts: Sequence[int], *, progress: Progress = silent
    ) -> Iterator[Float[np.ndarray, "counts classes"]]:
        """The HRN's probabilities of each slide if it looked at each of `counts` patches, the most relevant ones.

        Every patch of the foreground is read and encoded once, whatever the counts are. The classifier must have a
        `top_k`. Raises `InputError` at the first slide that cannot be read.
        """
        assert self._settings.top_k, "else the LRN does not tell which patches are relevant"
        high = self._programs.high
        with contextlib.closing(self._in_one_pass(slides, refuse, unheard, progress)) as passages:
            for passage in passages:
                masks = [most_relevant(passage.relevance, passage.foreground, count) for count in counts]
                said = [high(self._params, passage.features[None], mask[None], passage.v)[0] for mask in masks]
                passage.features = None
                yield np.concatenate(jax.device_get(said))

    def _low_then_high(
        self, slides: Sequence[OpenSlide], on_error: OnError, on_read: OnRead, progress: Progress
    ) -> Generator["_Passage", None, None]:
        passages: list[_Passage] = []
        reading = (self._read_low(place, open_slide, on_read) for place, open_slide in enumerate(progress(slides)))
        with contextlib.closing(made_ahead(reading)) as read:
            while True:
                watch = Stopwatch()
                batch = list(itertools.islice(read, self._settings.slide_batch))
                if not batch:
                    break
                share = watch.seconds() / len(batch)
                for passage in batch:
                    passage.seconds["low_resolution_read"] = share
                sound = list(_sound(batch, on_error))
                self._run_low(sound)
                passages += sound
        asking = [passage for passage in passages if passage.asks]
        patches = (_patches_of(passage, slides[passage.place]) for passage in (progress(asking) if asking else ()))
        with contextlib.closing(self._encode(asking, patches)) as encoded:
            for passage in passages:
                yield from _sound([next(encoded)] if passage.asks else [passage], on_error)

    def _in_one_pass(
        self, slides: Sequence[OpenSlide], on_error: OnError, on_read: OnRead, progress: Progress
    ) -> Generator["_Passage", None, None]:
        """The features of all slides, of the LRN last, which has the low-resolution image when the patches are gone."""
        passages = [_Passage(place, asks=True) for place in range(len(slides))]
        patches = (self._read_whole(passage, slides[passage.place], on_read) for passage in progress(passages))
        with contextlib.closing(self._encode(passages, patches)) as encoded:
            sound = _sound(encoded, on_error)
            while batch := list(itertools.islice(sound, self._settings.slide_batch)):
                self._run_low(batch)
                yield from batch

    def _read_low(self, place: int, open_slide: OpenSlide, on_read: OnRead) -> "_Passage":
        passage = _Passage(place)
        try:
            with open_slide() as slide:
                self._see(passage, slide, on_read)
        except InputError as error:
            passage.error = error
        return passage

    def _read_whole(self, passage: "_Passage", open_slide: OpenSlide, on_read: OnRead) -> Patches:
        with open_slide() as slide:
            if isinstance(slide, BandedSlide) and slide.one_pass_pays:
                for band in slide.bands():
                    for column in np.flatnonzero(self._foreground(band.low)).tolist():
                        yield band.row * self._layout.grid + column, band.patches[column]
                self._see(passage, slide, on_read)
            else:
                self._see(passage, slide, on_read)
                yield from _chosen_patches(slide, passage.foreground)

    def _see(self, passage: "_Passage", slide: Slide, on_read: OnRead) -> None:
        passage.name, passage.low_resolution = slide.name, slide.low_resolution()
        passage.foreground = self._foreground(passage.low_resolution)
        on_read(passage.place, slide, passage.foreground)

    def _foreground(self, low_resolution: UInt8[np.ndarray, "rows columns"]) -> Bool[np.ndarray, " patches"]:
        return foreground_patches(low_resolution, self._layout, self._background_threshold)

    def _run_low(self, batch: Sequence["_Passage"]) -> None:
        """Runs the LRN, where there is one, and who decides on all at once, which then need their images no more."""
        images = [passage.low_resolution for passage in batch]
        for passage in batch:
            passage.low_resolution = None
        if not batch or not self._networks.lrn:
            return
        low = self._programs.low
        watch = Stopwatch()
        filled = filled_up(images, self._settings.slide_batch)
        probability, v, asking, relevance = jax.device_get(low(self._params, filled))
        share = watch.seconds() / len(batch)
        for index, passage in enumerate(batch):
            passage.seconds["low_network"] = share
            passage.low_probability, passage.v = probability[index], v[index : index + 1]
            match self._settings.rule:
                case "confidence":
                    passage.asks = bool(switches(passage.low_probability[None], self._settings.c)[0])
                case "policy" | "deferral":
                    passage.asking = float(asking[index])
                    passage.asks = bool(asking[index] > self._asking_threshold)
                case rule:
                    passage.asks = rule == "high"
            if self._settings.top_k:
                passage.relevance = relevance[index]
                passage.looked_at = most_relevant(passage.relevance, passage.foreground, self._settings.top_k)

    def _encode(self, passages: Sequence["_Passage"], patches: Iterable[Patches]) -> Generator["_Passage", None, None]:
        """Hands each passage on when it has the features of its patches, or what is wrong with them."""
        if not passages:
            return
        assert self._networks.encoder is not None
        encoded = encode_patches(
            patches,
            functools.partial(self._programs.encode, self._params),
            batch=self._settings.patch_batch,
            numbers=self._layout.grid**2,
            depth=self._networks.encoder.features[-1],
        )
        with contextlib.closing(encoded):
            for passage, each in zip(passages, encoded, strict=True):
                passage.features, passage.error = each.features, each.error
                passage.seconds |= {"patch_read": each.waited, "high_network": each.looked}
                yield passage

    def _finish(self, passage: "_Passage") -> SlideResult:
        high_probability = attention = None
        if passage.asks:
            high = self._programs.high
            watch = Stopwatch()
            mask = passage.shown[None]
            (high_probability,), (attention,) = jax.device_get(
                high(self._params, passage.features[None], mask, passage.v)
            )
            passage.seconds["high_network"] += watch.seconds()
            passage.features = None
        deciding = passage.low_probability if high_probability is None else high_probability
        return SlideResult(
            name=passage.name,
            low_probability=passage.low_probability,
            high_probability=high_probability,
            feature=None if passage.v is None else passage.v[0],
            route="high" if passage.asks else "low",
            label=int(deciding.argmax()),
            seconds=passage.seconds,
            attention=attention,
            foreground=passage.foreground,
            asking=passage.asking,
        )


@dataclasses.dataclass(eq=False)
class _Passage:
    """A slide on its way, by its place in the order, and what is known of it so far."""

    place: int
    name: str = ""
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"low_resolution_read": 0.0})
    low_resolution: Any = None
    foreground: Any = None
    looked_at: Any = None  # of the foreground, where the HRN is not to see all of it
    low_probability: Any = None
    v: Any = None
    relevance: Any = None  # of each patch, where only the most relevant are looked at
    asking: float | None = None
    asks: bool = False
    features: Any = None
    error: InputError | None = None

    @property
    def shown(self) -> Bool[np.ndarray, " patches"]:
        """True for the patches that the HRN looks at, if it is asked."""
        return self.foreground if self.looked_at is None else self.looked_at


def _sound(passages: Iterable[_Passage], on_error: OnError) -> Iterator[_Passage]:
    """Those without an error; `on_error` is told of the others."""
    for passage in passages:
        if passage.error is None:
            yield passage
        else:
            on_error(passage.place, passage.error)


def _patches_of(passage: _Passage, open_slide: OpenSlide) -> Patches:
    with open_slide() as slide:
        yield from _chosen_patches(slide, passage.shown)


def _chosen_patches(slide: Slide, chosen: Bool[np.ndarray, " patches"]) -> Patches:
    numbers = np.flatnonzero(chosen).tolist()
    yield from zip(numbers, slide.patches(numbers), strict=True)


def most_relevant(
    relevance: Float[np.ndarray, " patches"], foreground: Bool[np.ndarray, " patches"], count: int
) -> Bool[np.ndarray, " patches"]:
    """True for the `count` patches of the foreground, or all of it, of the largest relevance; of equals the first."""
    order = np.argsort(-relevance, kind="stable")
    chosen = np.zeros(len(foreground), bool)
    chosen[order[foreground[order]][:count]] = True
    return chosen
