"""Settings of a training step of FocalMix; `experiments/configs/focalmix.py` explains each field."""

import dataclasses
import math
from typing import ClassVar

from medssl_jax.core.settings import LARGEST_SIDE, SHARE, SWITCH, WEIGHT, Settings, number, one_of, whole, within
from medssl_jax.detection.symmetries import GROUPS
from medssl_jax.models.detector import AnchorSettings

COMMON, OWN = "common", "own"  # who shares a divisor of the loss
PSEUDO, SURE, MARKS, TRUTH, BACKGROUND = "pseudo", "sure", "marks", "truth", "background"  # of unlabelled patches
STUDENT, EMA = "student", "ema"  # who makes them


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """Weights of the soft-target focal loss and of the boxes' loss."""

    section: ClassVar[str] = "loss"
    negative_weight: float = within(WEIGHT)
    positive_weight: float = within(WEIGHT)
    gamma: float = within(number(1, 100, or_zero=True))  # between, gradients at p = y are infinite
    box_weight: float = within(WEIGHT)
    normaliser: str = within(one_of((COMMON, OWN)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SslSettings(Settings):
    """The targets of unlabelled patches, and when these begin to count."""

    section: ClassVar[str] = "ssl"
    views: int = within(whole(1))
    views_at_once: int = within(whole(1))
    view_group: str = within(one_of(GROUPS))
    temperature: float = within(number(0, 100, above=True))
    ramp_start_share: float = within(SHARE)
    ramp_share: float = within(SHARE)
    weight: float = within(WEIGHT)
    targets: str = within(one_of((PSEUDO, SURE, MARKS, TRUTH, BACKGROUND)))
    sure_positive_ratio: float = within(WEIGHT)
    sure_positive_from: float = within(SHARE)
    sure_background_below: float = within(SHARE)
    marks_found_share: float = within(WEIGHT, default=0.6)
    marks_doubtful_share: float = within(WEIGHT, default=2.0)
    searches: int = within(whole(1, 100), default=1)
    teacher: str = within(one_of((STUDENT, EMA)))
    judge_pseudo_labels: bool = within(SWITCH)

    @property
    def are_guessed(self) -> bool:
        """True where each step predicts its targets; else its batch has them."""
        return self.targets in (PSEUDO, SURE)

    def __post_init__(self) -> None:
        super().__post_init__()
        views = len(GROUPS[self.view_group].flips)
        self.expect("views", self.views <= views, f"1 to {views}")
        self.expect(
            "sure_background_below",
            self.sure_background_below <= self.sure_positive_from,
            f"at most ssl.sure_positive_from, {self.sure_positive_from}",
        )
        self.expect(
            "marks_doubtful_share",
            self.marks_doubtful_share >= self.marks_found_share,
            f"at least ssl.marks_found_share, {self.marks_found_share}",
        )
        self.expect("views_at_once", self.views % self.views_at_once == 0, f"a divisor of ssl.views, {self.views}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixUpSettings(Settings):
    """Image-level and object-level MixUp."""

    section: ClassVar[str] = "mixup"
    image: bool = within(SWITCH)
    object: bool = within(SWITCH)
    across: bool = within(SWITCH)
    group: int = within(whole(1))
    eta: float = within(number(0, 1000, above=True))
    object_window: int = within(whole(3, LARGEST_SIDE))
    object_score: float = within(number(0, math.inf, above=True))  # above 1: no pseudo-label is an object
    object_nms_iou: float = within(SHARE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationSettings(Settings):
    """How strongly the student's patches are changed; 0 leaves a change out."""

    section: ClassVar[str] = "augmentation"
    labelled: bool = within(SWITCH)
    intensity_scale: float = within(SHARE)
    intensity_shift: float = within(number(0, 2))
    blur: float = within(number(0, 100))
    noise: float = within(number(0, 100))
    cut_out: float = within(SHARE)

    @property
    def strengths(self) -> dict[str, float]:
        """The arguments of `ssl.augmentation.augment`."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "labelled"}

    @property
    def is_on(self) -> bool:
        """True where anything is changed."""
        return any(self.strengths.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class FocalMixSettings:
    """Sections of a config, and what follows from them for its steps and its batches."""

    anchors: AnchorSettings
    loss: LossSettings
    ssl: SslSettings
    mixup: MixUpSettings
    augmentation: AugmentationSettings
    window_hu: tuple[float | int, float | int]
    ramp_start: int
    ramp_steps: int
    mixing_groups: int
    ema_decay: float
