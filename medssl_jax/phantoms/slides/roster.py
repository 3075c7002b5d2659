"""The slides of a split: its sequence of classes, the same however many of its slides are made."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

from medssl_jax.phantoms.slides.conditions import Conditions, draw_conditions
from medssl_jax.phantoms.slides.spec import LksPhantom, TellingPhantom

# LKS's slides of each split, the classes in their order everywhere.
LKS_SLIDES = {
    "train": {"Neg": 239, "AMA": 106, "SMA-V": 107, "SMA-T": 27},
    "test": {"Neg": 103, "AMA": 45, "SMA-V": 46, "SMA-T": 11},
}
NEGATIVE = "Neg"
SPLITS = tuple(LKS_SLIDES)
STREAMS = ("plan", "frame", "anatomy", "textures", "strokes", "imaging", "noise", "conditions")
STRENGTHS = (0.6, 1.4)  # of a positive serum


@dataclasses.dataclass(frozen=True)
class PlannedSlide:
    """The content of a slide. Another label leaves all else of it as it is, so that a slide has its negative twin."""

    split: str
    number: int
    label: str
    fine_only: bool  # the class shows at full resolution alone
    hazy: bool
    strength: float
    conditions: Conditions | None = None  # of a telling phantom

    @property
    def rated(self) -> str:
        """The class that the data set gives it, which raters may have mistaken."""
        return NEGATIVE if self.conditions is not None and self.conditions.flipped else self.label

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return f"{self.split}_{self.number:04d}"


def plan_slides(spec: LksPhantom) -> tuple[PlannedSlide, ...]:
    """All slides, train before test."""
    counts = {"train": spec.train, "test": spec.test}
    return tuple(slide for split in SPLITS for slide in itertools.islice(slides_of(spec, split), counts[split]))


def slides_of(spec: LksPhantom, split: str) -> Iterator[PlannedSlide]:
    """Yields the slides of a split without end."""
    written = dict.fromkeys(LKS_SLIDES[split], 0)
    for number, label in enumerate(class_sequence(split)):
        share = spec.share_fine_only if label != NEGATIVE else 0.0
        # Rounded at every step, so that the share holds in every class and in every number of slides.
        fine_only = math.floor((written[label] + 1) * share + 0.5) > math.floor(written[label] * share + 0.5)
        written[label] += 1
        rng = slide_generator(spec, split, number, "plan")
        by_chance, hinted, strength = rng.random() < spec.share_hazy, rng.random() < spec.share_hinted, rng.random()
        conditions = None
        if isinstance(spec, TellingPhantom):
            of_conditions = slide_generator(spec, split, number, "conditions")
            conditions = draw_conditions(spec, label != NEGATIVE, of_conditions)
        yield PlannedSlide(
            split=split,
            number=number,
            label=label,
            fine_only=fine_only,
            hazy=bool(by_chance or (fine_only and hinted) or (conditions is not None and conditions.veiled)),
            strength=STRENGTHS[0] + (STRENGTHS[1] - STRENGTHS[0]) * strength,
            conditions=conditions,
        )


def class_sequence(split: str) -> Iterator[str]:
    """Yields the classes of a split's slides: one of each, then whichever is furthest behind LKS's proportions."""
    slides = LKS_SLIDES[split]
    total = sum(slides.values())
    written = dict.fromkeys(slides, 1)
    yield from slides
    for count in itertools.count(len(slides) + 1):
        due = {label: slides[label] * count / total - written[label] for label in slides}
        label = max(due, key=lambda each: due[each])
        written[label] += 1
        yield label


def slide_generator(spec: LksPhantom, split: str, number: int, stream: str) -> np.random.Generator:
    """A slide's random numbers for one purpose: independent of other slides, other purposes and its label."""
    return spec.generator(SPLITS.index(split), number, STREAMS.index(stream))
