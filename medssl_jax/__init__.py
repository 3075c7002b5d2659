"""Label-efficient medical imaging in JAX: FocalMix for nodules in CT, SOS for gigapixel slides."""

import importlib.metadata

__version__ = importlib.metadata.version("medssl-jax")
