"""A phantom's folder: whose it is, how what is missing in it gets made, what is known of each thing in it.

`spec.json` says what the folder was made from, so an interrupted make goes on and two makes never mix.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.core.worker_pool import results_as_completed

SPEC_FILE = "spec.json"
TRUTH_FOLDER = "phantom"  # beside the real data set's folders; what tells a phantom from it

Item = TypeVar("Item")
Truth = TypeVar("Truth")


def claim_folder(
    directory: str | os.PathLike[str],
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
    path = directory / SPEC_FILE
    wanted = {"make": make, "kind": kind, **dataclasses.asdict(spec)}
    found = [name for name in telltale_names if (directory / name).exists()]
    if path.exists():
        _check_made_from(json.loads(json.dumps(wanted)), path)
    elif found:
        raise InputError(
            f"{directory}: holds {found[0]} but no {SPEC_FILE}, so it is not a phantom: choose another folder"
        )
    else:
        _write_json(path, wanted)
    for name in (*subfolders, TRUTH_FOLDER):
        (directory / name).mkdir(exist_ok=True)
    return directory


def _check_made_from(wanted: dict[str, Any], path: Path) -> None:
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not valid JSON: delete the folder or choose another one") from None
    for field, value in wanted.items():
        found_value = found.get(field) if isinstance(found, dict) else found
        if found_value != value or not isinstance(found, dict):
            raise InputError(
                f"{path}: this phantom was made with {field} = {found_value}, asked for is {value}: "
                "choose another folder, or delete this one to make it anew"
            )


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


def truth_path(directory: str | os.PathLike[str], name: str) -> Path:
    """Where what is known of a thing lies."""
    return Path(directory) / TRUTH_FOLDER / f"{name}.json"


def write_truth(directory: Path, name: str, truth: Any) -> None:
    """Writes what is known of a thing, a dataclass, as JSON."""
    _write_json(truth_path(directory, name), dataclasses.asdict(truth))


def read_truth(directory: str | os.PathLike[str], name: str, kind: type[Truth]) -> Truth:
    """The truth, of a `kind`, that `write_truth` wrote of a thing. Raises `InputError` where there is no such file."""
    path = truth_path(directory, name)
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the truth of a phantom: make the phantom") from None
    truth: Truth = _of_kind(kind, record)
    return truth


def _of_kind(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return kind(**{name: _of_kind(hint, value[name]) for name, hint in get_type_hints(kind).items()})  # type: ignore[operator]
    if get_origin(kind) is tuple:  # all of one kind
        return tuple(_of_kind(get_args(kind)[0], each) for each in value)
    return value


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Writes rows as a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def _write_json(path: Path, record: Any) -> None:
    write_text(path, json.dumps(record, indent=1) + "\n")
