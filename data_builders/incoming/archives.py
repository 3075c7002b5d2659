"""Zip archives of scans, unpacked for as long as they are read."""

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from medssl_jax.core.errors import InputError

SUFFIX = ".zip"
FIRST_BYTES = b"PK\x03\x04"  # of a zip with files in it
# What deflate makes of a CT is a third to a half of it; a header that claims more is no archive of scans.
LARGEST_RATIO, ALWAYS_ALLOWED_BYTES = 200, 1 << 28


@contextlib.contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Yields a temporary folder with the content of a zip, which is gone afterwards.

    Raises `InputError` where it is no zip, damaged, encrypted, claims to hold far more than its bytes can, or does not
    fit on the disk of temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="medssl_jax-") as name:
        folder = Path(name).resolve()
        try:
            with zipfile.ZipFile(archive) as opened:
                _check(archive, opened, folder)
                opened.extractall(folder)  # which takes .. and leading slashes out of names
        # zipfile has NotImplementedError for a compression that it does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            if _is_cut(archive):
                told = "is cut short, the list of its files at its end is not there"
                raise InputError(f"{archive}: {told}: copy it again, whole") from None
            raise InputError(f"{archive}: cannot be unpacked ({error}), expected a zip: copy it again") from None
        except OSError as error:
            raise InputError(
                f"{archive}: cannot be unpacked ({error.strerror or error}): unpack it yourself and give the folder"
            ) from None
        yield folder


def _is_cut(archive: Path) -> bool:
    """True for a file that begins as a zip and does not end as one."""
    with archive.open("rb") as file:
        return file.read(len(FIRST_BYTES)) == FIRST_BYTES and not zipfile.is_zipfile(archive)


def _check(archive: Path, opened: zipfile.ZipFile, folder: Path) -> None:
    members = opened.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise InputError(f"{archive}: is encrypted, expected a plain zip: unpack it yourself and give the folder")
    claimed, held = sum(member.file_size for member in members), archive.stat().st_size
    if claimed > max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * held):
        raise InputError(f"{archive}: claims {claimed / 1e9:.1f} GB in {held} bytes, expected scans: copy it again")
    free = shutil.disk_usage(folder).free
    if claimed > free:
        raise InputError(
            f"{archive}: holds {claimed / 1e9:.1f} GB, and {folder.parent} has {free / 1e9:.1f} GB free: set TMPDIR to "
            "a folder with more"
        )
