"""A phantom's folder: whose it is, how what is missing in it gets written, what is known of each thing in it.

`spec.json` says what the folder was made from, so an interrupted make goes on and two makes never mix.
"""

import csv
import dataclasses
import functools
import io
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import exclusive
from medssl_jax.core.names import file_name
from medssl_jax.core.progress import Progress
from medssl_jax.core.worker_pool import results_as_completed

SPEC_FILE = "spec.json"
TRUTH_FOLDER = "phantom"  # beside the real data set's folders; what tells a phantom from it

Item = TypeVar("Item")
Truth = TypeVar("Truth")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A data set that phantoms imitate; `telltale_names` are those of its real folder, over which none is written."""

    name: str
    make: int  # raised when the same spec would give other bytes, so that two makes never mix in one folder
    telltale_names: tuple[str, ...]
    subfolders: tuple[str, ...] = ()


def write_items(
    kind: Kind,
    spec: Any,
    directory: str | os.PathLike[str],
    items: Iterable[Item],
    write: Callable[[Any, Path, Item], None],
    is_finished: Callable[[Any, Path, Item], bool],
    *,
    workers: int,
    progress: Progress,
) -> Path:
    """Writes what is not yet finished of a phantom, in processes of their own if several; returns its folder.

    A phantom is the same where `kind` and every field of `spec`, a dataclass, are; the folder's spec.json says which.
    Whoever asks for one that another process is making waits for it, and says so.

    Raises:
      InputError: `directory` cannot be written, holds a phantom of another spec, or a telltale name and no spec.json.
    """
    directory = writable_directory(directory)
    _check_spec(kind, spec, directory)  # first: nothing is written to a folder that is refused
    (directory / TRUTH_FOLDER).mkdir(exist_ok=True)
    with exclusive(directory / TRUTH_FOLDER, "writing"):  # the only folder that the real data set has not
        if not _check_spec(kind, spec, directory):  # the process that this one waited for may have begun another
            _write_json(directory / SPEC_FILE, _record_of(kind, spec))
        for name in kind.subfolders:
            (directory / name).mkdir(exist_ok=True)
        missing = [item for item in items if not is_finished(spec, directory, item)]
        written = results_as_completed(functools.partial(write, spec, directory), missing, workers=workers)
        for _ in progress(written, total=len(missing)) if missing else ():
            pass
    return directory


def _check_spec(kind: Kind, spec: Any, directory: Path) -> bool:
    """True where the folder has a spec, this one, False where it has none yet."""
    path = directory / SPEC_FILE
    found = [name for name in kind.telltale_names if (directory / name).exists()]
    if path.exists():
        _check_made_from(json.loads(json.dumps(_record_of(kind, spec))), path)
        return True
    if found:
        raise InputError(
            f"{directory}: holds {found[0]} but no {SPEC_FILE}, so it is not a phantom: choose another folder"
        )
    return False


def _record_of(kind: Kind, spec: Any) -> dict[str, Any]:
    return {"make": kind.make, "kind": kind.name, **dataclasses.asdict(spec)}


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


def truth_path(directory: str | os.PathLike[str], name: str) -> Path:
    """Where what is known of a thing lies."""
    return Path(directory) / TRUTH_FOLDER / f"{name}.json"


def lies_in_phantom(path: Path, name: str) -> bool:
    """True for the file of a scan or slide in a phantom, which keeps the truth about each, by its name, beside them."""
    return truth_path(path.absolute().parent.parent, file_name(name)).is_file()


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
