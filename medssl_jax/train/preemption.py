"""Stopping a run on request: by SIGTERM, which clouds and schedulers send, and by SIGINT, which is Ctrl-C.

On SIGTERM a run that has something to save saves it first. At any other time, such as during compilation, and always
on Ctrl-C, the process ends at once and prints one line.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator

from etils import epy

from medssl_jax.core.atomic import remove_unfinished

with epy.lazy_imports():
    from medssl_jax.parallel import hosts

# Entered for a training, it gives `must_stop(step)`.
Stop = Callable[[], contextlib.AbstractContextManager[Callable[[int], bool]]]

PREEMPTED_STATUS = 75  # sysexits.h calls it EX_TEMPFAIL: try again
INTERRUPTED_STATUS = 128 + signal.SIGINT  # as shells have it

_saves_first = threading.Event()
_leaving = threading.Lock()


class Preempted(Exception):  # noqa: N818 - not an error
    """Raised once a run has been saved and stopped on request; the message is for the user."""


def leave_when_told() -> None:
    """From here on Ctrl-C ends the process with one line and status 130, SIGTERM with one line and status 75.

    SIGTERM does so only where nothing has to be saved first. A thread listens for both, because Python's own handlers
    wait for XLA, which may compile for minutes, and because code on the way can swallow an exception. Call this in the
    main thread.
    """
    listener, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_leave_when_told, args=(listener, waker), daemon=True).start()
    # At exit nobody listens any more, and the system would end a process that has done its work without a line.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def wait_while_leaving() -> None:
    """Returns only if no other thread is ending the process, which removes files that are still in use."""
    with _leaving:
        pass


def _leave_when_told(listener: socket.socket, _waker: socket.socket) -> None:
    while True:
        number = listener.recv(1)[0]
        if number == signal.SIGINT:
            _leave("Ctrl-C", INTERRUPTED_STATUS)
        if number == signal.SIGTERM and not _saves_first.is_set():
            _leave("SIGTERM", PREEMPTED_STATUS)


def _leave(cause: str, status: int) -> None:
    _leaving.acquire()  # never released: only one thread prints the line
    with contextlib.suppress(OSError, ValueError):  # the reader of the pipe was stopped too
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(f"stopped by {cause}: what is finished is kept, start it again to go on", file=sys.stderr, flush=True)
    remove_unfinished()
    os._exit(status)


@contextlib.contextmanager
def preemption_notice() -> Iterator[Callable[[int], bool]]:
    """Yields `must_stop(step)`, true where the run is to stop after `step`. From its first call on SIGTERM waits.

    A second SIGTERM ends the process at once. So does the first, when the context ends without anything having stopped
    for it. Outside the main thread no signal is seen. Where several processes share the run, a SIGTERM to any of them
    stops all, after the same step.
    """
    if hosts.count() > 1:
        yield hosts.reached_stop  # here JAX itself listens for SIGTERM
        return
    came = threading.Event()

    def remember(number: int, _: types.FrameType | None) -> None:
        if came.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        came.set()

    def must_stop(_: int) -> bool:
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
