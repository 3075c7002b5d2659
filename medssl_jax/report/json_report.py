"""JSON reports of records and arrays, in which what is not defined is null."""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from medssl_jax.core.atomic import write_text


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` as JSON: NamedTuples become objects, arrays and tuples lists, nan null."""
    write_text(path, json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")


def single_precision(value: float) -> float:
    """The number in 9 digits, which tell any two float32 apart."""
    return float(f"{value:.9g}")


def _plain(content: Any) -> Any:
    if isinstance(content, tuple) and hasattr(content, "_asdict"):
        content = content._asdict()
    if isinstance(content, np.ndarray):
        content = content.tolist()
    if isinstance(content, Mapping):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
