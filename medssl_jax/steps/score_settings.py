"""Settings of a detector's score, and of the scores on validation scans while it is trained."""

import dataclasses
from itertools import pairwise
from typing import ClassVar

from medssl_jax.core.settings import LARGEST_STEPS, Settings, each, number, one_of, whole, within

LAST, BEST = "last", "best"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreSettings(Settings):
    """The rates of false positives per scan whose mean sensitivity is the CPM, and the checkpoint that is scored."""

    section: ClassVar[str] = "score"
    fps_per_scan: tuple[float | int, ...] = within(each(number(0, 1000, above=True), most=64))
    checkpoint: str = within(one_of((LAST, BEST)))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("fps_per_scan", all(a < b for a, b in pairwise(self.fps_per_scan)), "rising rates")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidationSettings(Settings):
    """The steps between two scores on the validation scans; 0: none."""

    section: ClassVar[str] = "validation"
    every: int = within(whole(0, LARGEST_STEPS))
