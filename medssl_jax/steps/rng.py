"""Random keys by name: nothing random is stored, so nothing random can be lost."""

import zlib

import jax
from jaxtyping import Array, Int, Integer


def stream_key(seed: Integer[Array, ""] | int, stream: str, step: Int[Array, ""] | int) -> Array:
    """The key of one named stream at one step; different names give unrelated keys."""
    named = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
    return jax.random.fold_in(named, step)
