"""The readers of medical files, and the geometry of what they hold."""
