"""The folder of a run: it belongs to one config and one set of scans, or the run cannot go on in it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_collections
from flax.traverse_util import flatten_dict

from medssl_jax.core.atomic import atomic_path, writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.locks import alone
from medssl_jax.core.settings import FORMER_FIELDS
from medssl_jax.parallel import hosts

# A run may go on with other values of these: they change what is shown, where data lies and how fast it comes.
FREE_TO_CHANGE = (
    "logging.",
    "inference.",
    "data.manual_dir",
    "data.data_dir",
    "data.cache_dir",
    "data.workers",
    "patches.loader_threads",
    "batches.loader_threads",
    "method.name",
)


@contextlib.contextmanager
def only_run_in(workdir: Path) -> Iterator[None]:
    """Makes the folder and keeps other runs out of it; the processes of several hosts are one run.

    Raises `InputError` on all of them where another run is in it, or it cannot be written.
    """
    with contextlib.ExitStack() as held:
        refusal = None
        if hosts.is_first():
            try:
                held.enter_context(alone(writable_directory(workdir), "running in"))
            except InputError as error:
                refusal = str(error)
        refusal = hosts.gather(refusal)[0]
        if refusal is not None:
            raise InputError(refusal)
        yield


def claim_workdir(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Makes the folder with the config as `config.json` in it.

    Raises `InputError` where it cannot be written, or has checkpoints of a config that differs in what is learnt.
    """
    path = writable_directory(workdir) / "config.json"
    wanted = json.loads(config.to_json())
    old = flatten_dict(_read_json(path), sep=".") if _has_begun(workdir, path) else {}
    new = flatten_dict(wanted, sep=".")
    if old and (outdated := sorted(old.keys() & FORMER_FIELDS) or sorted({"command"} - old.keys())):
        raise InputError(
            f"{path}: this run was started by another version, whose config does not load here (see {outdated[0]}): "
            "choose another --workdir, or go on with that version"
        )
    for field in sorted(old.keys() | new.keys()) if old else ():
        if old.get(field) != new.get(field) and not field.startswith(FREE_TO_CHANGE):
            raise InputError(
                f"{path}: this run was started with {field} = {old.get(field)}, now it is {new.get(field)}: "
                "choose another --workdir, or go on with the config it was started with"
            )
    _write_json(path, wanted)


def record_split(workdir: Path, split: Mapping[str, Any]) -> None:
    """Writes `split.json`: which scans are in which part, and the fingerprint of their data.

    Raises `InputError` where the run was started with other scans.
    """
    path = workdir / "split.json"
    if _has_begun(workdir, path) and _read_json(path) != split:
        raise InputError(
            f"{path}: this run was started with other scans than there are now: put the data back as it was, or choose "
            "another --workdir"
        )
    _write_json(path, split)


def _has_begun(workdir: Path, path: Path) -> bool:
    """True where there is a checkpoint; before the first, nothing was learnt from the recorded config and scans."""
    return path.exists() and any((workdir / "checkpoints").glob("[0-9]*"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}, expected an object")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not what a run wrote ({error}): copy it again, or choose another --workdir and start over"
        ) from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    if not hosts.is_first():
        return
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
