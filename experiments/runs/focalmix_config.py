"""The whole config of a FocalMix run: its sections, and what they must be to each other."""

import dataclasses
from typing import ClassVar

from experiments.runs.scans import ScanDataSettings
from medssl_jax.data.patches import PatchSettings
from medssl_jax.data.splits import SplitSettings
from medssl_jax.inference.sliding import SlidingSettings
from medssl_jax.models.detector import AnchorSettings, DetectorSettings
from medssl_jax.train.focalmix_settings import FocalMixSettings, LossSettings, MixUpSettings, SslSettings
from medssl_jax.train.optimiser import OptimiserSettings
from medssl_jax.train.run_settings import RunSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FocalMixConfig(RunSettings):
    """`experiments/configs/focalmix.py` explains each field."""

    COMMAND: ClassVar[str] = "experiments.focalmix"
    data: ScanDataSettings
    split: SplitSettings
    patches: PatchSettings
    model: DetectorSettings
    anchors: AnchorSettings
    loss: LossSettings
    ssl: SslSettings
    mixup: MixUpSettings
    optimiser: OptimiserSettings
    inference: SlidingSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        patches, split, strides = self.patches, self.split, self.model.strides
        unlabelled = abs(split.unlabelled_extra) + split.unlabelled
        self.expect(
            "patches.unlabelled_batch",
            (patches.unlabelled_batch > 0) == (unlabelled > 0),
            f"0 just where split.unlabelled and split.unlabelled_extra ({unlabelled} scans) are 0",
        )
        self.expect(
            "patches.side", patches.side % strides[-1] == 0, f"a multiple of the backbone's last stride {strides[-1]}"
        )
        self.expect(
            "anchors.strides",
            set(self.anchors.strides) <= set(strides),
            f"some of the backbone's strides {strides}",
        )
        rows = patches.labelled_batch + patches.unlabelled_batch
        self.expect(
            "mixup.group",
            rows <= self.mixup.group or rows % self.mixup.group == patches.labelled_batch % self.mixing_groups == 0,
            f"at least the {rows} rows of a batch, or a divisor that gives all groups equally many labelled ones",
        )
        self.expect(
            "inference.overlap",
            self.inference.overlap < patches.side,
            f"0 to less than the patch side {patches.side}",
        )

    @property
    def mixing_groups(self) -> int:
        """How many groups of a batch's rows mix, each within itself."""
        return max(1, (self.patches.labelled_batch + self.patches.unlabelled_batch) // self.mixup.group)

    @property
    def step_settings(self) -> FocalMixSettings:
        """The settings of a training step."""
        return FocalMixSettings(
            seed=self.seed,
            anchors=self.anchors,
            loss=self.loss,
            ssl=self.ssl,
            mixup=self.mixup,
            ramp_start=round(self.ssl.ramp_start_share * self.steps),
            ramp_steps=round(self.ssl.ramp_share * self.steps),
            mixing_groups=self.mixing_groups,
            ema_decay=self.optimiser.ema_decay,
        )
