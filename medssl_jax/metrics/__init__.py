"""The scores of detectors and of slide classifiers: pure functions of arrays and records."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.metrics.bootstrap import draw_counts, interval_95
    from medssl_jax.metrics.classification import (
        ClassScores,
        Estimate,
        accuracy_of_counts,
        class_scores,
        confusion_matrix,
        paired_accuracy_difference,
        total_accuracy,
    )
    from medssl_jax.metrics.froc import (
        CpmDifference,
        Curve,
        FrocResult,
        Interval,
        PooledResult,
        paired_cpm_difference,
        pooled_over_runs,
        score,
        sensitivities,
    )
    from medssl_jax.metrics.matching import Outcome, match
    from medssl_jax.metrics.switching import (
        MeanSeconds,
        SwitchCurve,
        SwitchScores,
        low_share,
        mean_over_runs,
        mean_seconds,
        sent_at_low_share,
        speed_boost,
        switch_curve,
        switch_scores,
        switched_classes,
    )

__all__ = [
    "ClassScores",
    "CpmDifference",
    "Curve",
    "Estimate",
    "FrocResult",
    "Interval",
    "MeanSeconds",
    "Outcome",
    "PooledResult",
    "SwitchCurve",
    "SwitchScores",
    "accuracy_of_counts",
    "class_scores",
    "confusion_matrix",
    "draw_counts",
    "interval_95",
    "low_share",
    "match",
    "mean_over_runs",
    "mean_seconds",
    "paired_accuracy_difference",
    "paired_cpm_difference",
    "pooled_over_runs",
    "score",
    "sensitivities",
    "sent_at_low_share",
    "speed_boost",
    "switch_curve",
    "switch_scores",
    "switched_classes",
    "total_accuracy",
]
