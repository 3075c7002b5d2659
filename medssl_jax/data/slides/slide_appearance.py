"""The appearance of slides to a classifier: brightness and tissue, and how far a slide is from those of training."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

# Our choice: of slides that look as those of training do, one in thousands is farther from the mean.
FAR = 4.0  # standard deviations
LEAST_DEVIATION = 0.01  # where training slides are all alike, or there are few of them


class Appearance(NamedTuple):
    """The mean of the low-resolution image, of which white is 1, and the share of patches that are foreground."""

    brightness: float
    tissue: float


class Spread(NamedTuple):
    """The mean and standard deviation of one of these figures over slides."""

    mean: float
    deviation: float


@dataclasses.dataclass(frozen=True)
class AppearanceStatistics:
    """The spread of each figure over the slides of a training set."""

    brightness: Spread
    tissue: Spread

    @classmethod
    def of(cls, slides: Iterable[Appearance]) -> "AppearanceStatistics":
        """Measures one or more slides."""
        figures = np.array(list(slides), np.float64)
        return cls(*(Spread(float(each.mean()), float(each.std())) for each in figures.T))

    @classmethod
    def from_json(cls, content: Mapping[str, Mapping[str, float]]) -> "AppearanceStatistics":
        """Reads what `as_json` gave."""
        return cls(**{name: Spread(**content[name]) for name in Appearance._fields})

    def as_json(self) -> dict[str, dict[str, float]]:
        """Names and numbers, as a config keeps them."""
        return {name: getattr(self, name)._asdict() for name in Appearance._fields}

    def far_from(self, slide: Appearance) -> tuple[str, ...]:
        """The figures in which a slide is `FAR` from these."""
        return tuple(
            name
            for name, figure in slide._asdict().items()
            if abs(figure - getattr(self, name).mean) > FAR * max(LEAST_DEVIATION, getattr(self, name).deviation)
        )


def appearance_of(
    low_resolution: UInt8[np.ndarray, "side side"], foreground: Bool[np.ndarray, " patches"]
) -> Appearance:
    """The figures of one slide."""
    return Appearance(float(low_resolution.mean(dtype=np.float64)) / 255, float(foreground.mean(dtype=np.float64)))
