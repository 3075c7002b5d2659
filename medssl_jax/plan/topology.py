"""The chips of a TPU pod that is not there, to compile for."""

import os
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from medssl_jax.core.errors import InputError
from medssl_jax.core.requirements import install_line

KINDS = ("v4", "v5e", "v5p", "v6e")
# libtpu asks the machine it runs on what TPU host it is; where it is none, these are its answers.
WITHOUT_TPU = {"TPU_HOST_BOUNDS": "1,1,1", "TPU_WORKER_HOSTNAMES": "localhost"}
# It also keeps others from loading it; it is only to compile.
_COMPILE_ONLY = {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1", "TPU_SKIP_MDS_QUERY": "1", **WITHOUT_TPU}


def answer_for_absent_tpu() -> None:
    """Keeps libtpu, where it is installed to plan, from looking for a TPU aloud where JAX has found none."""
    if os.environ.get("TPU_SKIP_MDS_QUERY") == "1":  # set when JAX is imported
        for name, value in WITHOUT_TPU.items():
            os.environ.setdefault(name, value)


def topology_devices(topology: str) -> Sequence[jax.Device]:
    """Devices to compile for, one a chip, such as the 16 of `v5e:4x4`; nothing can run on them.

    Raises `InputError` for a topology that libtpu does not know, and where libtpu is not installed.
    """
    kind = topology.partition(":")[0]
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise InputError(f"--topology={topology}: unknown kind of TPU, expected KIND:SHAPE with a kind of {known}")
    try:
        import libtpu  # noqa: F401
    except ImportError:
        raise InputError(f"--topology needs libtpu, which is not installed: {install_line('plan')}") from None
    for name, value in _COMPILE_ONLY.items():
        os.environ.setdefault(name, value)
    # A v4 chip is two devices unless its cores are joined; later ones are joined, or have one.
    options: dict[str, Any] = {"chip_config_name": "megacore"} if kind == "v4" else {}
    if set(topology.partition(":")[2].split("x")) == {"1"}:
        options["chips_per_host_bounds"] = (1, 1, 1)  # libtpu takes a host as one of four chips
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=topology, **options).devices
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--topology={topology}: {reason}; expected a shape such as v5e:4x4 or v5p:2x2x4") from None
