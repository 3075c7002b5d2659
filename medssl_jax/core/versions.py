"""The versions of what a result was computed with."""

import importlib.metadata
import platform
from collections.abc import Sequence


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The installed versions of Python, this package, JAX, NumPy and `packages`."""
    names = ("medssl-jax", "jax", "numpy", *packages)
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
