"""Trained models at work: nodules in whole scans, classes of whole slides."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.inference.selective import SelectiveClassifier, SlideResult
    from medssl_jax.inference.selective_settings import SelectiveSettings
    from medssl_jax.inference.sliding import ScanDetections, SlidingDetector, SlidingSettings
    from medssl_jax.inference.trained_classifier import TrainedClassifier, load_slide_classifier
    from medssl_jax.inference.trained_detector import TrainedDetector, load_detector
    from medssl_jax.inference.world import as_marks, rows_in_world

__all__ = [
    "ScanDetections",
    "SelectiveClassifier",
    "SelectiveSettings",
    "SlideResult",
    "SlidingDetector",
    "SlidingSettings",
    "TrainedClassifier",
    "TrainedDetector",
    "as_marks",
    "load_detector",
    "load_slide_classifier",
    "rows_in_world",
]
