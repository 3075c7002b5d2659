"""Being told to stop: SIGTERM, as clouds and schedulers send it, and SIGINT, which is Ctrl-C.

After SIGTERM a run that has something to save saves it first. At any other time, as while it compiles, and after Ctrl-C
always, the process ends at once, with one line.
"""

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from medssl_jax.core.atomic import remove_unfinished
from medssl_jax.parallel import hosts

PREEMPTED_STATUS = 75  # sysexits.h calls it EX_TEMPFAIL: try again
INTERRUPTED_STATUS = 128 + signal.SIGINT  # as shells have it

_saves_first = threading.Event()
_leaving = threading.Lock()


class Preempted(Exception):  # noqa: N818 - it is none
    """Raised when the run was saved and stopped because of a notice; what it says is for the user."""


def leave_when_told() -> None:
    """From here on Ctrl-C ends the process with a message and status 130, and SIGTERM with one and status 75.

    The latter only where there is nothing to save first. A thread listens, because Python's own handlers wait for XLA,
    which may compile for minutes, and because an exception can be swallowed on its way. Call it in the main thread.
    """
    listener, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_leave_when_told, args=(listener, waker), daemon=True).start()
    # Nobody listens then, all is done, and the system would end the process without a line.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def wait_while_leaving() -> None:
    """Comes back only if no other thread is ending the process: what it took away must not be complained of."""
    with _leaving:
        pass


def _leave_when_told(listener, _waker):
    while True:
        number = listener.recv(1)[0]
        if number == signal.SIGINT:
            _leave("Ctrl-C", INTERRUPTED_STATUS)
        if number == signal.SIGTERM and not _saves_first.is_set():
            _leave("SIGTERM", PREEMPTED_STATUS)


def _leave(cause, status):
    _leaving.acquire()  # for good: one line, whichever thread says it
    with contextlib.suppress(OSError, ValueError):  # a pipe whose reader was stopped too
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(f"stopped by {cause}: what is finished is kept, start it again to go on", file=sys.stderr, flush=True)
    remove_unfinished()
    os._exit(status)


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
