"""A phantom's folder: whose it is, and how what is missing in it gets made.

`spec.json` says what the folder was made from, so an interrupted make goes on and two makes never mix.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from medssl_jax.atomic import atomic_path
from medssl_jax.errors import InputError
from medssl_jax.processes import results_as_completed
from medssl_jax.progress import Progress, silent

SPEC_FILE = "spec.json"
TRUTH_FOLDER = "phantom"  # beside the real data set's folders; what tells a phantom from it

Item = TypeVar("Item")


def claim_folder(directory: Path, wanted: dict[str, Any], telltale_names: Sequence[str]) -> None:
    """Writes spec.json, or makes sure that the one there says `wanted`.

    Raises InputError for another spec, or where one of `telltale_names` (parts of the real data set) lies without one.
    """
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
    except ValueError:
        raise InputError(f"{path}: not valid JSON: delete the folder or choose another one") from None
    differing = [key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key]]
    if differing:
        key = differing[0]
        value = found.get(key) if isinstance(found, dict) else found
        raise InputError(
            f"{path}: this phantom was made with {key} = {value}, asked for is {wanted[key]}: "
            "choose another folder, or delete this one to make it anew"
        )


def make_each(
    make: Callable[[Item], Any], items: Sequence[Item], *, workers: int = 1, progress: Progress = silent
) -> None:
    """Calls `make` (picklable if `workers` > 1) on every item, in processes of their own if there are several."""
    finished = results_as_completed(make, items, workers=workers)
    for _ in progress(finished, total=len(items)) if items else ():
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
