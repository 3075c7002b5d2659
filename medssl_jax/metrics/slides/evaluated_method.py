"""The record of an evaluated method of SOS's table: its probabilities and classes of slides, and its cost."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from medssl_jax.metrics.slides.switching import MeanSeconds, low_share, switched_classes


@dataclasses.dataclass(frozen=True, eq=False)
class Probabilities:
    """Class probabilities of slides by both networks, whichever decides; None where the method has no such network."""

    label: Int[np.ndarray, " slides"]
    low: Float[np.ndarray, "slides classes"] | None
    high: Float[np.ndarray, "slides classes"] | None

    def both(self) -> tuple[Float[np.ndarray, "slides classes"], Float[np.ndarray, "slides classes"]]:
        """Those of the LRN and of the HRN, where the method has the two networks."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluatedMethod:
    """One method, trained with one seed, on the test slides; `rule` says who decides in it.

    `raw_seconds` is None where the slides as downloaded are gone. `peak_memory_bytes` is the compiler's account of the
    largest compiled program, which has `slide_batch` slides or `patch_batch` patches. `high_by_top_k` are the HRN's
    probabilities of test slides if it looks at so many patches, for those numbers that were tried. `asking` is what the
    rules `policy` and `deferral` ask the HRN by, the largest first: the policy's logit, the gain foretold.
    `validation_high_by_top_k` is of validation slides, `high_seconds_by_top_k` the mean seconds of the HRN's part then.
    """

    name: str
    seed: int
    rule: str
    c: float
    names: tuple[str, ...]
    predicted: Int[np.ndarray, " slides"]
    sent: Bool[np.ndarray, " slides"]
    test: Probabilities
    validation: Probabilities
    prepared_seconds: MeanSeconds
    raw_seconds: MeanSeconds | None
    parameters: int
    peak_memory_bytes: int
    slide_batch: int
    patch_batch: int
    high_by_top_k: Mapping[int, Float[np.ndarray, "slides classes"]] = dataclasses.field(default_factory=dict)
    asking: Float[np.ndarray, " slides"] | None = None
    validation_high_by_top_k: Mapping[int, Float[np.ndarray, "validation_slides classes"]] = dataclasses.field(
        default_factory=dict
    )
    high_seconds_by_top_k: Mapping[int, float] = dataclasses.field(default_factory=dict)

    @property
    def low_share(self) -> float:
        """LP, the share of slides that the LRN settles."""
        return low_share(self.sent)

    @property
    def right(self) -> Bool[np.ndarray, " slides"]:
        """True for slides that were given their class."""
        return self.predicted == self.test.label

    @property
    def has_switch(self) -> bool:
        """True where the method decides slide by slide whether to ask the HRN."""
        return self.rule in ("confidence", "policy", "deferral")

    @property
    def has_c(self) -> bool:
        """True where the switch has a threshold c."""
        return self.rule == "confidence"

    @property
    def settled_by(self) -> Float[np.ndarray, " slides"] | None:
        """What the switch settles slides at low resolution by, the largest first; None where there is no switch."""
        if self.has_c:
            return self.test.both()[0].max(axis=1)
        return None if self.asking is None else -self.asking

    def right_by_top_k(self) -> dict[int, Bool[np.ndarray, " slides"]]:
        """True for slides that are given their class by the same decisions with so many patches, by their number."""
        return {
            count: switched_classes(self.test.both()[0], high, self.sent) == self.test.label
            for count, high in self.high_by_top_k.items()
        }
