"""Slides on their way to batches: cut, stored, read by patches."""
