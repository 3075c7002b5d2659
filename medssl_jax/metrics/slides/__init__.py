"""Scores of slide classifiers: classes, switching between two resolutions, and what it is worth."""
