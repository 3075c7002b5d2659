"""Work on many items in several processes, none of which outlives the one that started them."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from medssl_jax.core.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def results_as_completed(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[Result]:
    """Yields `function(item)` of all items, whichever is finished first; one worker works in this process, in order.

    An exception of one item ends the work: what has not begun is dropped. Raises `InputError` where a worker was
    killed or could not start.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(function, items)
        return
    # The tracker of semaphores warns of those it has to clear away itself, as after a parent that was stopped.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    # Spawned, not forked: the caller may have JAX's threads running.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context, initializer=_end_with_parent) as pool:
        with _workers_leave_ctrl_c_to_their_parent():
            futures = [pool.submit(function, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process ended before its work was done: memory ran out, or it was started by a script of "
                'yours without the line `if __name__ == "__main__":`, which every worker runs again; what is finished '
                "is kept: start again with fewer workers, or with that line"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def _workers_leave_ctrl_c_to_their_parent() -> Iterator[None]:
    # A terminal sends it to all processes. Those that are started meanwhile keep it blocked; here it only comes later.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for its next item for ever.
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
