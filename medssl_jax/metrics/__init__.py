"""The scores of detectors and of slide classifiers: pure functions of arrays and records."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.metrics.bootstrap import Interval, draw_counts, interval_95
    from medssl_jax.metrics.nodules.draws_table import draw_scores
    from medssl_jax.metrics.nodules.froc import (
        Curve,
        FrocResult,
        score,
        sensitivities,
    )
    from medssl_jax.metrics.nodules.matching import Outcome, joined, match
    from medssl_jax.metrics.nodules.operating_points import (
        Calibration,
        OperatingPoint,
        OperatingPoints,
        calibrate,
        expected_calibration_error,
        operating_points,
    )
    from medssl_jax.metrics.over_draws import (
        DrawScores,
        Judged,
        OverDraws,
        Recovered,
        holm,
        in_common,
        judged,
        over_draws,
        recovered_share,
    )
    from medssl_jax.metrics.slides.classification import (
        ClassScores,
        Estimate,
        accuracy_of_counts,
        class_scores,
        confusion_matrix,
        total_accuracy,
    )
    from medssl_jax.metrics.slides.switching import (
        MeanSeconds,
        SwitchCurve,
        SwitchScores,
        low_share,
        mean_over_runs,
        mean_seconds,
        speed_boost,
        switch_curve,
        switch_scores,
        switched_classes,
    )

__all__ = [
    "Calibration",
    "ClassScores",
    "Curve",
    "DrawScores",
    "Estimate",
    "FrocResult",
    "Interval",
    "Judged",
    "MeanSeconds",
    "OperatingPoint",
    "OperatingPoints",
    "Outcome",
    "OverDraws",
    "Recovered",
    "SwitchCurve",
    "SwitchScores",
    "accuracy_of_counts",
    "calibrate",
    "class_scores",
    "confusion_matrix",
    "draw_counts",
    "draw_scores",
    "expected_calibration_error",
    "holm",
    "in_common",
    "interval_95",
    "joined",
    "judged",
    "low_share",
    "match",
    "mean_over_runs",
    "mean_seconds",
    "operating_points",
    "over_draws",
    "recovered_share",
    "score",
    "sensitivities",
    "speed_boost",
    "switch_curve",
    "switch_scores",
    "switched_classes",
    "total_accuracy",
]
