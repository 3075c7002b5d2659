"""Files that are either whole or not there.

What is written goes to a temporary name in the same folder and takes its own name only when it is complete, so a
crash, a full disk or a second reader never meets half a file.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medssl_jax.core.errors import InputError

_unfinished: set[Path] = set()


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` at exit; on any exception `path` stays as it was.

    The temporary name ends as `path` does, so writers that look at the extension work. An OSError that is about this
    file (full disk, read-only folder, missing parent) becomes an InputError; one about another file passes through.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{os.urandom(4).hex()}.{path.name}")
    _unfinished.add(temporary)
    try:
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) != temporary:
            raise
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "free some space or choose a folder you can write to and start again"
        ) from error
    finally:
        _remove(temporary)
        _unfinished.discard(temporary)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8; the file appears whole or not at all. Raises `InputError` where it cannot be written.

    A file name in it whose bytes are no UTF-8 is written with escapes, and does not fail.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a new temporary folder beside `path`, which takes its name at exit; on any exception nothing is left.

    `path` must not exist. An OSError becomes an InputError.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{os.urandom(4).hex()}.{path.name}")
    _unfinished.add(temporary)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.iterdir():
            _flush_to_disk(file)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written: {error.strerror or error}; "
            "free some space or choose a folder you can write to and start again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _unfinished.discard(temporary)


def remove_unfinished() -> None:
    """Removes what is being written just now; for a process that ends without coming back to where it writes."""
    for temporary in list(_unfinished):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            _remove(temporary)


def writable_directory(path: str | os.PathLike[str]) -> Path:
    """Makes the folder `path` if needed and proves that a file can be written there; InputError if not.

    Call it before the long computation whose result goes there.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise InputError(
            f"{path}: no folder that can be written to ({error.strerror or error}); choose another one"
        ) from error
    return path


def _flush_to_disk(path: Path) -> None:
    # Without it a power cut after the rename can leave the new name with no bytes behind it.
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    # The write has already been reported; what a broken disk keeps is a hidden file, not a wrong one.
    with suppress(OSError):
        path.unlink(missing_ok=True)
