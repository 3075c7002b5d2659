"""The score from which marks are shown: as asked for, or from the detector's own operating points."""

import dataclasses

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.operating_points import OperatingPoints

DEFAULT_FPS_PER_SCAN = 1.0


@dataclasses.dataclass(frozen=True)
class AskedThreshold:
    """A rate of false positives, or a score, or neither: one false positive a scan where that is known, or the best.

    Raises `InputError` for both.
    """

    fps_per_scan: float | None = None
    min_probability: float | None = None

    def __post_init__(self) -> None:
        if self.fps_per_scan is not None and self.min_probability is not None:
            raise InputError("--fp_per_scan and --min_probability: found both, expected one of them: leave one out")

    def of(self, points: OperatingPoints | None) -> float | None:
        """The score for a detector with these points; None where nothing tells it, which stands for the ten best marks.

        Raises `InputError` where a rate was asked for that it has no point of.
        """
        if self.min_probability is not None:
            return self.min_probability
        asked = DEFAULT_FPS_PER_SCAN if self.fps_per_scan is None else self.fps_per_scan
        point = None if points is None else points.at_rate(asked)
        if point is not None:
            return point.threshold
        if self.fps_per_scan is None:
            return None
        if points is None:
            raise InputError(
                f"--fp_per_scan={asked:g}: this detector has no operating points, which training with split.validation "
                "gives: use --min_probability, or another detector"
            )
        known = ", ".join(f"{each.fps_per_scan:g}" for each in points.points)
        raise InputError(f"--fp_per_scan={asked:g}: this detector knows {known or 'no rate'}: take one of them")
