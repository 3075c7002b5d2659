"""Locks on folders, for work that only one process may do at a time.

They are `flock`'s: the system releases them when a process ends, however it ends. On Linux they also hold over NFS, for
all machines that mount the folder, unless it was mounted with `nolock` or `local_lock=flock`; then, and on other file
systems without locks, they hold on one machine only.
"""

import contextlib
import datetime
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from medssl_jax.core.errors import InputError

LOCK_NAME = ".lock"
LOOKS, SECONDS_BETWEEN_LOOKS = 20, 0.1  # for the name of whoever holds a lock; our choice


@contextlib.contextmanager
def exclusive(directory: Path, doing: str) -> Iterator[None]:
    """Waits, and says so, while another process holds the lock of `directory`.

    `directory` must exist and be writable; the caller must look at what another process did meanwhile. Raises
    `InputError` where the file system refuses to lock.
    """
    with open(directory / LOCK_NAME, "a") as file:
        if not _locked(file, directory, doing):
            print(f"waiting: another process is {doing} {directory}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def alone(directory: Path, doing: str) -> Iterator[None]:
    """Holds the lock of `directory`, or names the process that holds it already, its machine and since when.

    `directory` must exist and be writable. Raises `InputError` where another process holds the lock, or where the file
    system refuses to lock.
    """
    with open(directory / LOCK_NAME, "a+") as file:
        if not _locked(file, directory, doing):
            raise InputError(
                f"{directory}: {_holder(file)} is {doing} it: wait until it has ended, or choose another folder"
            )
        file.truncate(0)
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since},")
        file.flush()
        yield


@contextlib.contextmanager
def if_free(directory: Path, doing: str) -> Iterator[bool]:
    """True while this process holds the lock of `directory`, False where another holds it; never waits.

    `directory` must exist and be writable. Raises `InputError` where the file system refuses to lock.
    """
    with open(directory / LOCK_NAME, "a") as file:
        yield _locked(file, directory, doing)


def _locked(file: IO[str], directory: Path, doing: str) -> bool:
    """Takes the lock that `file` is; False where another has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        raise InputError(
            f"{directory}: cannot be locked ({error.strerror}), so another process could be {doing} it: choose a "
            "folder on a file system with locks"
        ) from error
    return True


def _holder(file: IO[str]) -> str:
    """Who holds the lock of `file`, which it writes there when it has it: never at once, so as not to be too early."""
    for _ in range(LOOKS):
        time.sleep(SECONDS_BETWEEN_LOOKS)
        file.seek(0)
        if holder := file.read().strip():
            return holder
    return "another process"
