"""TIFF files as slides are stored in."""
