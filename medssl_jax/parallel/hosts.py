"""The processes of one run, one a host or one a device. The only file that knows that there may be several."""

import atexit
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from medssl_jax.core.errors import InputError

# How long the others go on, or wait, after one has died.
HEARTBEAT_SECONDS = 20
LEAVING_SECONDS = 20
WAITING_MILLISECONDS = 7 * 24 * 3600 * 1000  # whoever waits for the dead is ended by the heartbeat
_waits = itertools.count()

Item = TypeVar("Item")


def connect() -> None:
    """Joins the other processes of this run where the environment tells of any; call it before all use of JAX.

    JAX itself knows Cloud TPU, SLURM, Open MPI and Kubernetes jobs; anywhere else `JAX_COORDINATOR_ADDRESS` (host:port
    of process 0), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID` tell. Raises `InputError` where they do not fit together or
    the others do not come.
    """
    if jax.distributed.is_initialized():
        return
    told = _told(os.environ)
    try:
        jax.distributed.initialize(
            **told, heartbeat_timeout_seconds=HEARTBEAT_SECONDS, shutdown_timeout_seconds=LEAVING_SECONDS
        )
    except ValueError as error:
        if told or "defined" not in str(error):
            raise InputError(f"the processes of this run cannot be joined: {error}") from error
        return  # nothing in the environment tells of others
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"the processes of this run did not come together: {reason}: start all of them") from error
    if count() > 1:
        _leave_last_words()


def _leave_last_words() -> None:
    """Has a word said should this process end otherwise than by itself.

    Where another process dies, JAX aborts this one from within, in the middle of many lines of C++: no code of ours
    runs after that, so another process has to say it.
    """
    words = (
        f"error: process {jax.process_index()} of {count()} was ended, because another process of this run died or its "
        "machine was taken away; the first error is in the log of that one. What was saved is untouched: start all "
        "processes again to go on"
    )
    speaker = subprocess.Popen(
        [sys.executable, "-c", "import sys\nif not sys.stdin.read():\n    print(sys.argv[1], file=sys.stderr)", words],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_leave, speaker)


def _leave(speaker):
    # Where an exchange with a dead process fails before JAX hears of the death, that is where this one ends.
    if getattr(sys, "last_type", None) is not jax.errors.JaxRuntimeError:
        speaker.communicate(b"ended by itself")


def _told(environ) -> dict[str, Any]:
    """What the environment says in JAX's own names: all three, or none."""
    names = {
        "coordinator_address": "JAX_COORDINATOR_ADDRESS",
        "num_processes": "JAX_NUM_PROCESSES",
        "process_id": "JAX_PROCESS_ID",
    }
    found = {key: environ[name] for key, name in names.items() if environ.get(name)}
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
    """How many processes share the run."""
    return jax.process_count()


def is_first() -> bool:
    """Whether this process is the one that writes and speaks for all."""
    return jax.process_index() == 0


def say(text: str) -> None:
    """Prints on the first process only."""
    if is_first():
        print(text, flush=True)


def own_share(items: Sequence[Item]) -> list[Item]:
    """The items that this process works on: every n-th of n processes."""
    return list(items[jax.process_index() :: jax.process_count()])


def gather(own: Any) -> list[Any]:
    """What each process gives, in their order, on every one of them; anything that JSON holds, floats unchanged."""
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
    """Returns once every process has come to the place of that name.

    Unlike an exchange between devices, it waits as long as all are alive.
    """
    ocp.multihost.get_barrier_sync_fn()(key=f"{name} {next(_waits)}", timeout_ms=WAITING_MILLISECONDS)


def reached_stop(step: int) -> bool:
    """Whether a SIGTERM that came to any process ends the run after `step`: the same step for all of them."""
    return multihost_utils.reached_preemption_sync_point(step)
