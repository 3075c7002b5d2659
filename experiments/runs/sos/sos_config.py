"""The whole config of a run of SOS, or of a method it is compared with: its sections, and what they are together."""

import dataclasses

from data_builders.lks.lks_files import CLASSES
from experiments.runs.sos.sos_slides import SlideDataSettings, SlideSplitSettings
from medssl_jax.data.slides.slide_batches import SlideBatchSettings
from medssl_jax.inference.selective_settings import check_networks
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES, ClassifierRunSettings
from medssl_jax.steps.sos_step import SosSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class SosConfig(ClassifierRunSettings):
    """`experiments/configs/sos.py` explains each field."""

    data: SlideDataSettings
    split: SlideSplitSettings
    batches: SlideBatchSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        method, accumulate, chance = self.method, self.optimiser.accumulate, 1 / len(CLASSES)
        executive = method.use_low and method.use_high and max(method.hesitant_weight, method.hurried_weight) > 0
        self.expect(
            "method.c",
            not executive or chance < method.c < method.c + method.eps <= 1,
            f"more than 1/{len(CLASSES)}, and below 1 by method.eps ({method.eps}) or more",
        )
        self.expect("method.eps", not executive or method.eps > 0, "more than 0")
        self.expect("steps", self.steps % accumulate == 0, "a multiple of optimiser.accumulate")
        self.expect(
            "optimiser.ema_decay",
            accumulate == 1 or self.optimiser.ema_decay == 0,
            "0 where optimiser.accumulate is above 1: an average would move with every step, not every update",
        )
        self.expect(
            "logging.save_every", self.logging.save_every % accumulate == 0, "a multiple of optimiser.accumulate"
        )
        self.expect(
            "batches.held_out",
            not self.batches.held_out or ((executive or method.use_policy) and not method.use_deferral),
            "0 without L_3 or a policy, and beside learned deferral, whose head has slides of its own",
        )
        patches, inference = self.data.layout.grid**2, self.inference
        for field, counts in (("top_k", (inference.top_k,)), ("top_k_tried", inference.top_k_tried)):
            self.expect(
                f"inference.{field}", max(counts, default=0) <= patches, f"at most {patches}, a slide's patches"
            )
        check_networks(self.networks(UNIT_INTENSITIES, classes=len(CLASSES)), self.inference)

    @property
    def step_settings(self) -> SosSettings:
        """The settings of a training step."""
        return SosSettings(
            chunk=self.batches.chunk, method=self.method, ema_decay=self.optimiser.ema_decay, steps=self.steps
        )
