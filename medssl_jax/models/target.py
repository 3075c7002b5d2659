"""What networks are traced for: the platform, and what follows from it for types and memory."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

DTYPES = ("auto", "float32", "bfloat16")  # that a network may be told to compute in

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


@contextlib.contextmanager
def compiled_for(platform: str) -> Iterator[None]:
    """Within, networks are traced as for `cpu`, `gpu` or `tpu`, whatever there is here."""
    before = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(before)


def target_platform() -> str:
    """The platform that networks are traced for: that of the devices here, unless `compiled_for` says otherwise."""
    return _platform.get() or jax.default_backend()


def computation_dtype(named: str) -> jnp.dtype:
    """The type of a network's activations, by one of `DTYPES`: `auto` is bfloat16 on accelerators, float32 on a CPU.

    Parameters, statistics of norms, and what a network gives are float32 with either.
    """
    if named == "auto":
        named = "float32" if target_platform() == "cpu" else "bfloat16"  # which a CPU is no faster in
    return jnp.dtype(named)


def computes_again(remat: bool) -> bool:
    """True where blocks are computed again in the backward pass: as told, but for a CPU, where nothing is.

    There it costs a tenth of the time and saves no memory: 583 MB with it, 559 without, for two patches of 64^3.
    """
    return remat and target_platform() != "cpu"
