"""Scans on their way to batches: prepared, cached, cut into patches, labelled by a detector."""
