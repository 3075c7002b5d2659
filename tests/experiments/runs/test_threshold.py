"""The threshold that was asked for, or the detector's own, or one line."""

import math

import pytest

from experiments.runs.threshold import AskedThreshold
from medssl_jax.core.errors import InputError
from medssl_jax.metrics.nodules.operating_points import OperatingPoint, OperatingPoints

POINTS = OperatingPoints(
    "LUNA16", 1, 4, 8, (OperatingPoint(0.5, 0.8, 0.5, 0.5), OperatingPoint(1.0, 0.6, 0.7, 1.0)), None
)
NONE_REACHED = OperatingPoints("LUNA16", 1, 4, 8, (), None)


@pytest.mark.parametrize(
    ("asked", "points", "threshold"),
    [
        ({}, POINTS, 0.6),
        ({}, None, None),
        ({}, NONE_REACHED, None),
        ({"fps_per_scan": 0.5}, POINTS, 0.8),
        ({"min_score": 0.0}, POINTS, 0.0),
        ({"min_score": 0.25}, None, 0.25),
    ],
)
def test_what_is_taken(asked, points, threshold):
    assert AskedThreshold(**asked).of(points) == threshold


@pytest.mark.parametrize(
    ("points", "told"),
    [
        (None, "--fp_per_scan=2: this detector has no thresholds, which training with split"),
        (POINTS, "--fp_per_scan=2: was not reached .*, which has thresholds for 0.5, 1: take one of these, or a score"),
        (NONE_REACHED, "which has no threshold: give a score"),
    ],
)
def test_a_rate_that_is_not_known_is_refused(points, told):
    with pytest.raises(InputError, match=told):
        AskedThreshold(fps_per_scan=2.0).of(points)


@pytest.mark.parametrize("rate", [3.0, 0.0, -1.0, math.nan])
def test_a_rate_that_no_training_keeps_is_refused_before_a_detector_is_read(rate):
    with pytest.raises(InputError, match=r"thresholds are found for 0\.125, 0\.25, 0\.5, 1, 2, 4, 8 false positives"):
        AskedThreshold(fps_per_scan=rate)


def test_both_are_refused():
    with pytest.raises(InputError, match="--fp_per_scan and --min_score: found both"):
        AskedThreshold(fps_per_scan=1.0, min_score=0.5)
