"""A phantom's folder: whose it is, and how what is missing in it gets made.

`spec.json` says what the folder was made from, so an interrupted make goes on and two makes never mix.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from medssl_jax.core.atomic import atomic_path, writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.worker_pool import results_as_completed

SPEC_FILE = "spec.json"
TRUTH_FOLDER = "phantom"  # beside the real data set's folders; what tells a phantom from it

Item = TypeVar("Item")


def claim_folder(
    directory: str | os.PathLike,
    kind: str,
    make: int,
    spec: Any,
    *,
    telltale_names: Sequence[str],
    subfolders: Iterable[str] = (),
) -> Path:
    """The folder for the phantom of `spec`, a dataclass: its spec.json says so, its `subfolders` and the truth's exist.

    A phantom is the same where `kind`, `make` and every field of `spec` are.

    Raises:
      InputError: `directory` cannot be written, holds a phantom of another spec, or one of `telltale_names` (parts of
        the real data set) and no spec.json.
    """
    directory = writable_directory(directory)
    _claim(directory, {"make": make, "kind": kind, **dataclasses.asdict(spec)}, telltale_names)
    for name in (*subfolders, TRUTH_FOLDER):
        (directory / name).mkdir(exist_ok=True)
    return directory


def make_missing(
    make: Callable[[Item], Any],
    items: Iterable[Item],
    is_finished: Callable[[Item], bool],
    *,
    workers: int = 1,
    progress: Progress = silent,
) -> None:
    """Calls `make` (picklable if `workers` > 1) on each item not yet finished, in processes of their own if several."""
    missing = [item for item in items if not is_finished(item)]
    finished = results_as_completed(make, missing, workers=workers)
    for _ in progress(finished, total=len(missing)) if missing else ():
        pass


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Writes atomically; a file that says the same already keeps its date."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def _claim(directory, wanted, telltale_names):
    path = directory / SPEC_FILE
    wanted = json.loads(json.dumps(wanted))
    if not path.exists():
        stranger = next((name for name in telltale_names if (directory / name).exists()), None)
        if stranger:
            raise InputError(
                f"{directory}: holds {stranger} but no {SPEC_FILE}, so it is not a phantom: choose another folder"
            )
        write_text(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON: delete the folder or choose another one") from None
    differing = [key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key]]
    if differing:
        key = differing[0]
        value = found.get(key) if isinstance(found, dict) else found
        raise InputError(
            f"{path}: this phantom was made with {key} = {value}, asked for is {wanted[key]}: "
            "choose another folder, or delete this one to make it anew"
        )
