"""The score from which marks are shown: as asked for, or from the detector's own operating points."""

import dataclasses

from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN
from medssl_jax.metrics.nodules.operating_points import OperatingPoints

DEFAULT_FPS_PER_SCAN = 1.0


@dataclasses.dataclass(frozen=True)
class AskedThreshold:
    """A rate of false positives, or a score, or neither: one false positive a scan where that is known, or the best.

    Raises `InputError` for both, and for a rate that no training finds a threshold of.
    """

    fps_per_scan: float | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.fps_per_scan is not None and self.min_score is not None:
            raise InputError("--fp_per_scan and --min_score: found both, expected one of them: leave one out")
        if self.fps_per_scan is not None and self.fps_per_scan not in FPS_PER_SCAN:
            rates = ", ".join(f"{each:g}" for each in FPS_PER_SCAN)
            raise InputError(
                f"--fp_per_scan={self.fps_per_scan:g}: thresholds are found for {rates} false positives a scan: take "
                "one of these, or a score of your own by --min_score"
            )

    def of(self, points: OperatingPoints | None) -> float | None:
        """The score for a detector with these points; None where nothing tells it, which stands for the ten best marks.

        Raises `InputError` where a rate was asked for that it has no point of.
        """
        if self.min_score is not None:
            return self.min_score
        asked = DEFAULT_FPS_PER_SCAN if self.fps_per_scan is None else self.fps_per_scan
        point = None if points is None else points.at_rate(asked)
        if point is not None:
            return point.threshold
        if self.fps_per_scan is None:
            return None
        if points is None:
            raise InputError(
                f"--fp_per_scan={asked:g}: this detector has no thresholds, which training with split.validation gives "
                "it: give a score of your own by --min_score, or another detector"
            )
        known = ", ".join(f"{each.fps_per_scan:g}" for each in points.points)
        told = f"has thresholds for {known}: take one of these, or" if known else "has no threshold: give"
        raise InputError(
            f"--fp_per_scan={asked:g}: was not reached on the validation scans of this detector, which {told} a score "
            "of your own by --min_score"
        )
