"""The notice that a machine is about to be taken away: SIGTERM, as clouds and schedulers send it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from medssl_jax import hosts

PREEMPTED_STATUS = 75  # sysexits.h calls it EX_TEMPFAIL: try again


class Preempted(Exception):  # noqa: N818 - it is none
    """Raised when the run was saved and stopped because of a notice; what it says is for the user."""


@contextlib.contextmanager
def preemption_notice() -> Iterator[Callable[[int], bool]]:
    """Within, SIGTERM no longer ends the process; the function that is given says whether to stop after a step.

    A second one ends it at once. Outside the main thread signals are not seen. Where several processes share the run,
    a notice to any of them stops all, after the same step.
    """
    if hosts.count() > 1:
        yield hosts.reached_stop  # JAX itself listens to SIGTERM then
        return
    came = threading.Event()

    def remember(number, frame):
        del frame
        if came.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        came.set()

    if threading.current_thread() is not threading.main_thread():
        yield lambda _: came.is_set()
        return
    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda _: came.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)
