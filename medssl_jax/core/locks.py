"""Work on a folder that one process does at a time.

The locks are flock's, which the system lets go of when a process ends, however it ends. Linux keeps them over NFS too,
for all machines that mount the folder, unless it was mounted with `nolock` or `local_lock=flock`; then, and on other
file systems without locks, they hold on one machine only.
"""

import contextlib
import datetime
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from medssl_jax.core.errors import InputError

LOCK_NAME = ".lock"


@contextlib.contextmanager
def exclusive(directory: Path, doing: str) -> Iterator[None]:
    """Waits until no other process is within, and says so.

    `directory` must exist and be writable; what another process did while this one waited is for the caller to look at.
    """
    with open(directory / LOCK_NAME, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting: another process is {doing} {directory}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def alone(directory: Path, doing: str) -> Iterator[None]:
    """Refuses to be where another process is, and tells which: its machine, its number and since when.

    `directory` must exist and be writable. Raises `InputError` where another process is within, or where the file
    system refuses to lock.
    """
    with open(directory / LOCK_NAME, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(
                f"{directory}: {holder} is {doing} it: wait until it has ended, or choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            raise InputError(
                f"{directory}: cannot be locked ({error.strerror}), so another process could be {doing} it: choose a "
                "folder on a file system with locks"
            ) from error
        file.truncate(0)
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since},")
        file.flush()
        yield
