"""Work on a folder that one process does at a time."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path

LOCK_NAME = ".lock"


@contextlib.contextmanager
def exclusive(directory: Path, doing: str) -> Iterator[None]:
    """Waits until no other process is within, and says so; the system lets go of it when a process ends, however.

    `directory` must exist and be writable; what another process did while this one waited is for the caller to look at.
    """
    with open(directory / LOCK_NAME, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another process is {doing} {directory}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
