"""The whole config of a FocalMix run: its sections, and what they must be to each other."""

import dataclasses

from experiments.runs.focalmix.scans import ScanDataSettings
from medssl_jax.data.splits import SplitSettings
from medssl_jax.inference.trained_detector import DetectorRunSettings
from medssl_jax.steps.focalmix_settings import (
    BACKGROUND,
    EMA,
    MARKS,
    TRUTH,
    AugmentationSettings,
    FocalMixSettings,
    LossSettings,
    MixUpSettings,
    SslSettings,
)
from medssl_jax.steps.score_settings import BEST, ValidationSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FocalMixConfig(DetectorRunSettings):
    """`experiments/configs/focalmix.py` explains each field."""

    data: ScanDataSettings
    split: SplitSettings
    loss: LossSettings
    ssl: SslSettings
    mixup: MixUpSettings
    augmentation: AugmentationSettings
    validation: ValidationSettings

    @property
    def search_steps(self) -> tuple[int, ...]:
        """The steps after which unlabelled scans are searched: the burn-in's last, then evenly; none unless told to."""
        if not self.patches.candidate_share and self.ssl.targets != MARKS:
            return ()
        burn_in = self.step_settings.ramp_start
        return tuple(burn_in + turn * (self.steps - burn_in) // self.ssl.searches for turn in range(self.ssl.searches))

    def __post_init__(self) -> None:
        super().__post_init__()
        patches, split = self.patches, self.split
        unlabelled = abs(split.unlabelled_extra) + abs(split.unlabelled)
        self.expect(
            "patches.unlabelled_batch",
            (patches.unlabelled_batch > 0) == (unlabelled > 0),
            "0 just where split.unlabelled and split.unlabelled_extra are 0",
        )
        nobodys = split.unlabelled_extra != 0
        self.expect(
            "ssl.targets", not (nobodys and self.ssl.targets == TRUTH), "another where split.unlabelled_extra is not 0"
        )
        self.expect(
            "ssl.targets",
            self.ssl.targets != BACKGROUND or split.unlabelled == 0,
            "another where split.unlabelled is not 0, since labelled data sets hold nodules",
        )
        self.expect(
            "patches.unlabelled_nodule_share",
            not nobodys or patches.unlabelled_nodule_share == 0,
            "0 where split.unlabelled_extra is not 0",
        )
        burn_in = self.step_settings.ramp_start
        can_search = patches.unlabelled_batch > 0 and burn_in > 0
        later = f"unlabelled patches that begin to count later than at step {burn_in} (ssl.ramp_start_share)"
        self.expect("patches.candidate_share", patches.candidate_share == 0 or can_search, f"0, or {later}")
        self.expect("ssl.targets", self.ssl.targets != MARKS or can_search, f"another, or {later}")
        self.expect(
            "ssl.searches",
            self.ssl.searches == 1 or self.search_steps == tuple(sorted({*self.search_steps})),
            f"at most the {self.steps - burn_in} steps after the burn-in",
        )
        self.expect(
            "ssl.teacher",
            self.ssl.teacher != EMA or self.optimiser.ema_decay > 0,
            "student where optimiser.ema_decay is 0",
        )
        every = self.validation.every
        self.expect("validation.every", (every > 0) == (split.validation > 0), "0 just where split.validation is 0")
        self.expect("validation.every", every % self.logging.save_every == 0, "a multiple of logging.save_every")
        self.expect("score.checkpoint", self.score.checkpoint != BEST or every > 0, "last where split.validation is 0")
        rows = patches.labelled_batch + patches.unlabelled_batch
        self.expect(
            "mixup.group",
            rows <= self.mixup.group or rows % self.mixup.group == patches.labelled_batch % self.mixing_groups == 0,
            f"at least the {rows} rows of a batch, or a divisor that gives all groups equally many labelled ones",
        )

    @property
    def oracles(self) -> list[str]:
        """What no run could do that has no labels of its unlabelled scans."""
        if not self.patches.unlabelled_batch:
            return []
        truth = ["true labels on unlabelled patches (ssl.targets)"] if self.ssl.targets == TRUTH else []
        centred = ["unlabelled patches round hidden nodules (patches.unlabelled_nodule_share)"]
        return truth + (centred if self.patches.unlabelled_nodule_share else [])

    @property
    def mixing_groups(self) -> int:
        """How many groups of a batch's rows mix, each within itself."""
        return max(1, (self.patches.labelled_batch + self.patches.unlabelled_batch) // self.mixup.group)

    @property
    def step_settings(self) -> FocalMixSettings:
        """The settings of a training step."""
        return FocalMixSettings(
            anchors=self.anchors,
            loss=self.loss,
            ssl=self.ssl,
            mixup=self.mixup,
            augmentation=self.augmentation,
            window_hu=self.data.window_hu,
            ramp_start=round(self.ssl.ramp_start_share * self.steps),
            ramp_steps=round(self.ssl.ramp_share * self.steps),
            mixing_groups=self.mixing_groups,
            ema_decay=self.optimiser.ema_decay,
        )
