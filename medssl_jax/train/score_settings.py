"""Settings of a detector's score."""

import dataclasses
from itertools import pairwise
from typing import ClassVar

from medssl_jax.core.settings import Settings, each, number, within


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreSettings(Settings):
    """The rates of false positives per scan whose mean sensitivity is the CPM."""

    section: ClassVar[str] = "score"
    fps_per_scan: tuple[float | int, ...] = within(each(number(0, 1000, above=True), most=64))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("fps_per_scan", all(a < b for a, b in pairwise(self.fps_per_scan)), "rising rates")
