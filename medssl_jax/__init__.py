"""Label-efficient medical imaging in JAX: FocalMix for nodules in CT, SOS for gigapixel slides."""

import importlib.metadata

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.imaging import Grid, Volume, read_volume
    from medssl_jax.inference import load_detector, load_slide_classifier
    from medssl_jax.inference.demonstration import DEMONSTRATION

__all__ = ["DEMONSTRATION", "Grid", "Volume", "load_detector", "load_slide_classifier", "read_volume"]
__version__ = importlib.metadata.version("medssl-jax")
