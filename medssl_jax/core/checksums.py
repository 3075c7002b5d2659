"""Checksums: SHA-256 of files, in a SHA256SUMS as `sha256sum --check` reads it, and of lines of text."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from medssl_jax.core.errors import InputError

SUMS_FILE = "SHA256SUMS"


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(folder: Path, names: Iterable[str]) -> str:
    """The text of SHA256SUMS for the files `names` in `folder`."""
    return "".join(f"{file_sha256(folder / name)}  {name}\n" for name in names)


def check_sums(folder: Path, names: Iterable[str], remedy: str) -> None:
    """Raises `InputError`, with the `remedy`, unless each of `names` has the sum that `folder`'s SHA256SUMS gives it.

    Reads them whole, about a gigabyte in a second.
    """
    try:
        sum_of = {name: sha256 for sha256, _, name in map(_parted, (folder / SUMS_FILE).read_bytes().splitlines())}
        for name in names:
            if name.encode() not in sum_of:
                raise InputError(f"{folder / SUMS_FILE}: damaged, it has no line of {name}: {remedy}")
            if file_sha256(folder / name).encode() != sum_of[name.encode()]:
                raise InputError(
                    f"{folder / name}: damaged, or else {SUMS_FILE} beside it, which gives it another SHA-256: {remedy}"
                )
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}: {remedy}") from error


def sealed(line: str) -> bytes:
    """A line of text behind its SHA-256, with its end."""
    return f"{hashlib.sha256(line.encode()).hexdigest()} {line}\n".encode()


def unsealed(written: bytes) -> str | None:
    """The line that `sealed` was given, None where it is damaged."""
    sha256, _, line = written.removesuffix(b"\n").partition(b" ")
    return line.decode() if hashlib.sha256(line).hexdigest().encode() == sha256 else None


def _parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    return line.partition(b"  ")
