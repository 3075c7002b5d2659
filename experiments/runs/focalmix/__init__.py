"""A FocalMix run from its config: settings, scans, training, searches, score."""
