"""The notice that a machine is about to be taken away: SIGTERM, as clouds and schedulers send it.

A run that has something to save saves it first. At any other time, as while it compiles, it ends at once.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from medssl_jax import hosts

PREEMPTED_STATUS = 75  # sysexits.h calls it EX_TEMPFAIL: try again

_saves_first = threading.Event()


class Preempted(Exception):  # noqa: N818 - it is none
    """Raised when the run was saved and stopped because of a notice; what it says is for the user."""


def leave_when_told() -> None:
    """From here on SIGTERM ends the process with a message and status 75, unless it has something to save first.

    A thread listens, because Python's own handlers wait for XLA, which may compile for minutes. Call it in the main
    thread.
    """
    listener, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    threading.Thread(target=_leave_when_told, args=(listener, waker), daemon=True).start()


def _leave_when_told(listener, _waker):
    while signal.SIGTERM not in listener.recv(1) or _saves_first.is_set():
        pass
    print("stopped by SIGTERM: what is finished is kept, start it again to go on", file=sys.stderr, flush=True)
    os._exit(PREEMPTED_STATUS)


@contextlib.contextmanager
def preemption_notice() -> Iterator[Callable[[int], bool]]:
    """Gives a function that says whether to stop after a step. Once it is called, SIGTERM waits for its next call.

    A second SIGTERM ends the process at once, and so does, at the end, one that nothing was stopped for. Outside the
    main thread signals are not seen. Where several processes share the run, a notice to any of them stops all, after
    the same step.
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

    def must_stop(step):
        del step
        _saves_first.set()
        return came.is_set()

    if threading.current_thread() is not threading.main_thread():
        yield lambda _: came.is_set()
        return
    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield must_stop
    finally:
        _saves_first.clear()
        signal.signal(signal.SIGTERM, before)
    if came.is_set():
        signal.raise_signal(signal.SIGTERM)
