"""Label-efficient medical imaging in JAX: FocalMix for nodules in CT, SOS for gigapixel slides."""

import importlib.metadata

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.inference import load_detector, load_slide_classifier

__all__ = ["load_detector", "load_slide_classifier"]
__version__ = importlib.metadata.version("medssl-jax")
