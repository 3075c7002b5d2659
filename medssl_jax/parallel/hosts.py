"""The processes of one run, one per host or one per device. The only file that knows that there may be several."""

import atexit
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from etils import epy
from jax.experimental import multihost_utils

from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    import orbax.checkpoint as ocp

# How long the others go on, or wait, after one has died.
HEARTBEAT_SECONDS = 20
LEAVING_SECONDS = 20
WAITING_MILLISECONDS = 7 * 24 * 3600 * 1000  # whoever waits for the dead is ended by the heartbeat
_waits = itertools.count()

Item = TypeVar("Item")


def connect() -> None:
    """Joins the other processes of this run where the environment names any; call it before JAX is used at all.

    JAX itself recognises Cloud TPU, SLURM, Open MPI and Kubernetes jobs; anywhere else it reads
    `JAX_COORDINATOR_ADDRESS` (host:port of process 0), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`. Raises `InputError`
    where these do not fit together or the other processes do not come.
    """
    if jax.distributed.is_initialized():
        return
    told = _addressed(os.environ)
    try:
        jax.distributed.initialize(
            **told, heartbeat_timeout_seconds=HEARTBEAT_SECONDS, shutdown_timeout_seconds=LEAVING_SECONDS
        )
    except ValueError as error:
        if told or "defined" not in str(error):
            raise InputError(f"the processes of this run cannot be joined: {error}") from error
        return  # nothing in the environment names another process
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"the processes of this run did not come together: {reason}: start all of them") from error
    if count() > 1:
        _explain_an_abort()


def _explain_an_abort() -> None:
    """Starts a small process that prints one plain line if JAX aborts this one because another one died.

    JAX aborts from within C++, and none of our own code runs after that, so another process has to say it.
    """
    line = (
        f"error: process {index()} of {count()} was ended, because another process of this run died or its "
        "machine was taken away; the first error is in the log of that one. What was saved is untouched: start all "
        "processes again to go on"
    )
    speaker = subprocess.Popen(
        [sys.executable, "-c", "import sys\nif not sys.stdin.read():\n    print(sys.argv[1], file=sys.stderr)", line],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_silence, speaker)


def _silence(speaker: subprocess.Popen[bytes]) -> None:
    # Where an exchange with a dead process fails before JAX hears of the death, the line is still needed.
    if getattr(sys, "last_type", None) is not jax.errors.JaxRuntimeError:
        speaker.communicate(b"ended by itself")


def _addressed(environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `jax.distributed.initialize` that JAX's own three variables give: all of them, or none.

    Raises `InputError` where one is missing or does not fit.
    """
    names = {
        "coordinator_address": "JAX_COORDINATOR_ADDRESS",
        "num_processes": "JAX_NUM_PROCESSES",
        "process_id": "JAX_PROCESS_ID",
    }
    found: dict[str, Any] = {key: environ[name] for key, name in names.items() if environ.get(name)}
    if not {"num_processes", "process_id"} & found.keys():
        return {}  # an address alone goes with a cluster that JAX knows
    for key, name in names.items():
        if key not in found:
            raise InputError(f"{name} is not set, expected it beside {', '.join(names[each] for each in found)}")
    for key in ("num_processes", "process_id"):
        if not found[key].isdigit():
            raise InputError(f"{names[key]} is {found[key]!r}, expected a number")
        found[key] = int(found[key])
    if found["process_id"] >= found["num_processes"]:
        raise InputError(
            f"JAX_PROCESS_ID is {found['process_id']}, expected less than JAX_NUM_PROCESSES ({found['num_processes']})"
        )
    return found


def count() -> int:
    """The number of processes that share the run."""
    return jax.process_count()


def index() -> int:
    """The number of this process, from 0."""
    return jax.process_index()


def is_first() -> bool:
    """True on the one process that writes and prints for all."""
    return index() == 0


def devices_by_process(devices: Sequence[jax.Device]) -> list[list[jax.Device]]:
    """The devices of each process that has any, in the order of the processes."""
    own: dict[int, list[jax.Device]] = {}
    for device in devices:
        own.setdefault(device.process_index, []).append(device)
    return [own[process] for process in sorted(own)]


def say(text: str) -> None:
    """Prints on the first process only."""
    if is_first():
        print(text, flush=True)


def own_share(items: Sequence[Item]) -> list[Item]:
    """Every n-th item, where n processes share them: those that this one works on."""
    return list(items[index() :: count()])


def joined_shares(shares: Sequence[Sequence[Item]]) -> list[Item]:
    """The items in their order, from what `own_share` gave to each process."""
    return [share[place] for place in range(max(map(len, shares))) for share in shares if place < len(share)]


def gather(own: Any) -> list[Any]:
    """Returns on every process what each of them gave, in their order.

    `own` is anything that JSON holds; floats stay as they are.
    """
    if count() == 1:
        return [json.loads(json.dumps(own))]
    wait_for_all("gather")
    message = np.frombuffer(json.dumps(own).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(message))).ravel()
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(message)] = message
    everyone = multihost_utils.process_allgather(padded)
    return [json.loads(row[:length].tobytes()) for row, length in zip(everyone, lengths, strict=True)]


def wait_for_all(name: str) -> None:
    """Returns once every process has called this with the same `name`.

    Unlike an exchange between devices, it waits as long as all processes are alive.
    """
    ocp.multihost.get_barrier_sync_fn()(key=f"{name} {next(_waits)}", timeout_ms=WAITING_MILLISECONDS)


def reached_stop(step: int) -> bool:
    """True where the run is to end after `step`, the same on all processes, since one of them received a SIGTERM."""
    return multihost_utils.reached_preemption_sync_point(step)
