"""The stores of many slides, written in parallel; what is finished stays, what is stale is written anew.

A store is stale where its slide's files or the layout changed since. Slides that cannot be read are told of at the end,
when all others are finished.
"""

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.file_sample import size_and_samples
from medssl_jax.core.names import file_name
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.worker_pool import results_as_completed
from medssl_jax.data.slides.patch_store import SUFFIX, PreparedSlide, StoreError, write_patch_store
from medssl_jax.imaging.slides import PREPARED_IMAGE, SlideLayout, open_slide

ABANDONED_SECONDS = 3600
DECODING_THREADS = 2  # of each worker; the workers share the cores


@dataclasses.dataclass(frozen=True)
class SlideToStore:
    """A slide as it was downloaded and where its store goes."""

    source: Path
    store: Path
    layout: SlideLayout


def store_path(directory: Path, split: str, name: str) -> Path:
    """The path of a slide's store in a data set's directory."""
    return directory / "slides" / split / f"{file_name(name)}{SUFFIX}"


def write_stores(slides: Sequence[SlideToStore], *, workers: int = 1, progress: Progress = silent) -> None:
    """Brings every store up to date, by `workers` processes; `progress` wraps the slides that there is work for.

    Raises:
      InputError: slides cannot be read: one line for all, after the others are finished; or the disk is full, at once.
    """
    for folder in {slide.store.parent for slide in slides}:
        writable_directory(folder)
        _remove_abandoned(folder)
    waiting = [slide for slide in slides if not _is_current(slide)]
    results = results_as_completed(_write, waiting, workers=workers)
    failures = [failure for failure in progress(results, total=len(waiting)) if failure] if waiting else []
    if failures:
        raise InputError(
            f"{len(failures)} of {len(slides)} slides cannot be prepared, the others are finished and kept; mend these "
            f"or take them and their labels away, then start again: {' | '.join(sorted(failures))}"
        )


def describe_source(path: Path) -> str:
    """A short hash that changes with the slide's files and does not with where they lie.

    Of a TIFF its size and samples of its beginning, middle and end count, of a folder the names and sizes of all files
    and such samples of the low-resolution image: reading all of LKS takes hours. Raises `InputError` where there is
    none.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.jpg")):
                digest.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size}\n".encode())
            path = path / PREPARED_IMAGE
        digest.update(size_and_samples(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): copy the slide again") from error
    return digest.hexdigest()[:16]


def _is_current(slide: SlideToStore) -> bool:
    # A slide or store that cannot be read is for the worker to report or to replace.
    if not slide.store.is_file():
        return False
    try:
        with PreparedSlide(slide.store) as prepared:
            return prepared.layout == slide.layout and prepared.source == describe_source(slide.source)
    except InputError:
        return False


def _write(slide: SlideToStore) -> str | None:
    """Writes a store; the reason why its slide cannot be read is returned, so that the other slides go on."""
    try:
        with open_slide(slide.source, slide.layout, decoding_threads=DECODING_THREADS) as opened:
            write_patch_store(slide.store, opened, source=describe_source(slide.source))
    except StoreError:
        raise
    except InputError as error:
        return str(error)
    return None


def _remove_abandoned(folder: Path) -> None:
    """Removes what killed writers left; a live one writes every few seconds."""
    for path in folder.glob(f".*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another run clears it away as well
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()
