"""Results of several scans in one folder: each has a folder of its own, whole or not there.

A scan's folder holds its results, of which detections.json says what they were made from, or failed.json with what is
wrong with the scan. So work that was stopped goes on, and processes with shards of the scans share the folder.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medssl_jax.core.atomic import atomic_folder
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.result_files import ALWAYS, FILE_OF_FORMAT, Choice
from medssl_jax.report.nodules.results import write_results
from medssl_jax.report.nodules.scan_report import ScanReport

RESULT, FAILURE = FILE_OF_FORMAT[ALWAYS], "failed.json"
OURS = {*FILE_OF_FORMAT.values(), FAILURE}


def write_scan_folder(
    folder: Path, detections: ScanReport, volume: Volume, *, choice: Choice, made_from: Mapping[str, Any]
) -> None:
    """Writes the results of one scan, in place of what the folder held of it.

    Raises `InputError` where it cannot be written or holds anything that is no result.
    """
    with _replaced(folder) as new:
        write_results(new, detections, volume, choice=choice, made_from=made_from)


def write_failure(folder: Path, reason: str, *, made_from: Mapping[str, Any]) -> None:
    """Writes why a scan could not be searched. Raises `InputError` as `write_scan_folder`."""
    with _replaced(folder) as new:
        write_json(new / FAILURE, {"reason": reason, "made_from": made_from})


def read_result(folder: Path, *, choice: Choice, made_from: Mapping[str, Any]) -> dict[str, Any] | None:
    """The content of a scan's detections.json; None where it is absent, or was made from anything else."""
    whole = all((folder / name).is_file() for name in choice.files)
    return _read(folder / RESULT, made_from) if whole else None


def read_failure(folder: Path, *, made_from: Mapping[str, Any]) -> str | None:
    """Why the scan could not be searched; None where it was, or not yet."""
    failure = _read(folder / FAILURE, made_from)
    return None if failure is None else failure["reason"]


def _read(path: Path, made_from: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, or damaged: made again
        return None
    is_current = isinstance(content, dict) and content.get("made_from") == json.loads(json.dumps(made_from))
    return content if is_current else None


@contextlib.contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - OURS):
        raise InputError(f"{folder}: is there and holds no results: choose another folder for the output")
    with atomic_folder(folder) as new:
        yield new
        if folder.is_dir():
            shutil.rmtree(folder)
