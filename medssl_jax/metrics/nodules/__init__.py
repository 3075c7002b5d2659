"""Scores of detectors: marks matched to nodules, FROC, operating points."""
