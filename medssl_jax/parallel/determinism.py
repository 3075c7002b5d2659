"""Settings with which a GPU computes the same bits twice.

XLA's flag leaves out kernels that add up in no fixed order, and does not choose among kernels by timing them, which may
differ at the next compilation. CPUs and TPUs need nothing. The precision of matrix products stays as it is:
TensorFloat-32 rounds, but the same way every time.
"""

import contextlib
import os
import re
from collections.abc import Iterator

import jax

from medssl_jax.core.errors import InputError

FLAG = "--xla_gpu_deterministic_ops"
ONLY_BEFORE_START = "jax_num_cpu_devices"  # a setting that JAX lets change until its first use, and not after


def make_deterministic() -> None:
    """Makes XLA use deterministic operations only, and refuse others; call it before JAX is used for the first time.

    Raises `InputError` where it is too late, or `XLA_FLAGS` says otherwise.
    """
    if is_deterministic():
        return
    flags = os.environ.get("XLA_FLAGS", "")
    if given := [flag for flag in flags.split() if flag.partition("=")[0] == FLAG]:
        raise InputError(f"XLA_FLAGS has {given[-1]}, expected {FLAG}=true or nothing of it with --deterministic")
    if _backend_has_started():
        raise InputError("--deterministic comes too late: JAX is in use already; set it before anything is computed")
    os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=true".strip()


def is_deterministic() -> bool:
    """True where XLA's flag is set, by `make_deterministic` or by hand; of several the last counts."""
    given = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag.partition("=")[0] == FLAG]
    return bool(given) and given[-1].partition("=")[2].lower() in ("", "1", "true")


@contextlib.contextmanager
def refusals_explained() -> Iterator[None]:
    """Turns XLA's refusal of an operation that is not deterministic into an `InputError` that names the operation."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        refused = re.search(r"HLO instruction (\S+) does not have a deterministic implementation", str(error))
        if refused is None:
            raise
        raise InputError(
            f"--deterministic: {refused[1]} has no deterministic implementation on this device: change the network so "
            "that it does without, or start without --deterministic"
        ) from error


def _backend_has_started() -> bool:
    before = getattr(jax.config, ONLY_BEFORE_START)
    try:
        jax.config.update(ONLY_BEFORE_START, before + 2)
    except RuntimeError:
        return True
    jax.config.update(ONLY_BEFORE_START, before)
    return False
