"""Checkpoints of a run: state, place in the data and config as one. The only file that saves and reads by orbax.

All processes of a run save together, and orbax makes them wait for each other; where a damaged checkpoint is put aside,
all wait for the first process, by `parallel.hosts.wait_for_all`.
"""

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.parallel import hosts
from medssl_jax.steps.step_metrics import StepMetrics

Read = TypeVar("Read")

FORMAT = 2
LONGEST_REASON = 160  # TensorStore's go on for several hundred characters


class Restored(NamedTuple):
    """A run as it was saved: its state, its position in the stream of batches, the metrics not yet written."""

    state: Any
    data_position: Mapping[str, Any]
    pending: Sequence[StepMetrics]


class Checkpoints:
    """The checkpoints below one folder, of a run of `config`; without a config they can only be read.

    Saving happens in the background: call `close`, or the last may be lost. Reading passes over a damaged checkpoint,
    with a warning, for the one before.
    """

    def __init__(self, directory: Path, *, config: Mapping[str, Any] | None = None, keep: int = 2):
        read_only = config is None
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=not read_only, read_only=read_only)
        with _named(directory):
            self._manager = ocp.CheckpointManager(
                Path(directory).absolute(),
                options=options,
                item_handlers={
                    "state": ocp.StandardCheckpointHandler(),
                    "data": ocp.JsonCheckpointHandler(),
                    "config": ocp.JsonCheckpointHandler(),
                },
            )
        self.directory = directory
        self._config = config
        self._passed_over: set[int] = set()

    @property
    def latest_step(self) -> int | None:
        """The newest step on disk."""
        return self._manager.latest_step()

    def save(
        self,
        state: Any,
        data_position: Mapping[str, Any],
        *,
        pending: Sequence[StepMetrics] = (),
    ) -> None:
        """Saves them and the config together, under the state's step, which must be new.

        Raises `InputError` where the disk does not take them; earlier checkpoints stay.
        """
        config = dict(self._config or {})
        place = {
            "position": dict(data_position),
            # Floats of 32 bits go through JSON unchanged.
            "pending": [{name: [float(each) for each in pair] for name, pair in step.items()} for step in pending],
        }
        digests = {"state": _digest(state), "place": _json_digest(place), "config": _json_digest(config)}
        data = {"format": FORMAT, **place, "digests": digests}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(data),
            config=ocp.args.JsonSave(config),
        )
        with _named(self.directory):
            self._manager.save(int(state.step), args=items)

    def config(self) -> dict[str, Any]:
        """The config of the newest whole checkpoint. Raises `InputError` where there is no checkpoint."""

        def read(step: int) -> dict[str, Any]:
            return self._read_whole(step).config

        found = self._newest_whole(read)
        if found is None:
            raise InputError(
                f"{self.directory}: no checkpoint found, expected the folder `checkpoints` of a training run"
            )
        return found

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that is whole, in the shapes and shardings of `like`; None where there is none.

        Where this run may save, damaged newer ones are put aside as `damaged-STEP`, so that their steps can be saved
        again. Raises `InputError` where the parameters on disk are not those of this model, or all are damaged.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)

        def read(step: int) -> Restored:
            data = self._read_whole(step).data
            _read_every_array(Path(self.directory).absolute() / str(step) / "state")
            saved = self._manager.item_metadata(step).state
            if saved is not None:
                _check_same_parameters(saved["params"], abstract.params, f"{self.directory}/{step}")
            state = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))).state
            if _digest(state) != data["digests"]["state"]:
                raise ValueError("its arrays are not those that were saved")
            pending = [
                {name: (np.float32(total), np.float32(count)) for name, (total, count) in each.items()}
                for each in data["pending"]
            ]
            return Restored(state, data["position"], pending)

        return self._newest_whole(read)

    def _read_whole(self, step: int) -> Any:
        """Config and data of a step. Raises `ValueError` where they are not those that were saved."""
        items = ocp.args.Composite(data=ocp.args.JsonRestore(), config=ocp.args.JsonRestore())
        read = self._manager.restore(step, args=items)
        if read.data.get("format") != FORMAT:
            raise InputError(
                f"{self.directory}/{step}: a checkpoint of another version of this software (format "
                f"{read.data.get('format', 1)}, expected {FORMAT}): go on with the version that wrote it, or choose "
                "another --workdir and start over"
            )
        place = {name: read.data[name] for name in ("position", "pending")}
        if _json_digest(place) != read.data["digests"]["place"]:
            raise ValueError("its place in the data is not the one that was saved")
        if _json_digest(read.config) != read.data["digests"]["config"]:
            raise ValueError("its config is not the one that was saved")
        return read

    def _newest_whole(self, read: Callable[[int], Read]) -> Read | None:
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = read(step)
            except InputError:
                raise
            except Exception as error:  # whatever orbax raises over a damaged file
                damaged[step] = _reason(error)
                continue
            for each, reason in damaged.items():
                if each in self._passed_over:  # already, in an earlier call
                    continue
                self._passed_over.add(each)
                print(
                    f"warning: {self.directory}/{each}: a damaged checkpoint ({reason}), passed over for step {step}",
                    file=sys.stderr,
                    flush=True,
                )
                self._put_aside(each)
            return found
        if damaged:
            step, reason = next(iter(damaged.items()))
            raise InputError(
                f"{self.directory}/{step}: not a whole checkpoint of a training run ({reason}), and there is none "
                "before it that is: copy the folder again, or choose another --workdir and start over"
            )
        return None

    def _put_aside(self, step: int) -> None:
        if self._config is None:
            return
        if hosts.is_first():
            with _named(self.directory):
                target = Path(self.directory) / f"damaged-{step}"
                if target.exists():
                    shutil.rmtree(target)
                (Path(self.directory) / str(step)).rename(target)
        hosts.wait_for_all(f"checkpoint {step} put aside")
        self._manager.reload()

    def drop_after(self, step: int) -> None:
        """Removes the checkpoints of later steps, which a run that goes on after `step` makes again."""
        for each in self._manager.all_steps():
            if each > step:
                with _named(self.directory):
                    self._manager.delete(each)

    def wait(self) -> None:
        """Returns once what was saved is whole on disk. Raises `InputError` where the disk does not take it."""
        with _named(self.directory):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until the last checkpoint is whole on disk. Raises `InputError` where the disk does not take it."""
        with _named(self.directory):
            self._manager.wait_until_finished()
            self._manager.close()


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """Turns what the disk refuses into an `InputError` that names the folder."""
    try:
        yield
    except (OSError, ValueError) as error:  # TensorStore reports a full disk as a ValueError
        raise InputError(
            f"{directory}: checkpoints cannot be written there ({_reason(error)}): make room or choose "
            "another --workdir; earlier checkpoints are untouched"
        ) from error
    except RecursionError as error:  # orbax reads the metadata of all steps when it opens the folder
        raise InputError(
            f"{directory}: a _CHECKPOINT_METADATA below it is damaged ({_reason(error)}): copy the folder again, or "
            "remove that file"
        ) from error


def _reason(error: BaseException) -> str:
    """The first line of an error, cut short where it is long."""
    line = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    return printable(line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}...")


def _read_every_array(folder: Path) -> None:
    """Reads each array in a folder of orbax's, and parses its notes on them. Raises what TensorStore and JSON raise.

    Orbax reads them in an event loop, which ends with the first that fails, and each of the others prints a traceback
    of its own. So what cannot be read is found here first.
    """
    for path in sorted(folder.glob("array_metadatas/process_*")):
        json.loads(path.read_bytes())
    context = tensorstore.Context()  # of all arrays, which lie in the same few files
    files = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    keys = [key.decode() for key in tensorstore.KvStore.open(files, context=context).result().list().result()]
    if not keys:
        raise ValueError("it holds no arrays")
    arrays = [
        {"driver": "zarr", "kvstore": {**files, "path": key.removesuffix(".zarray")}}
        for key in keys
        if key.endswith("/.zarray")
    ]
    opened = [tensorstore.open(array, open=True, context=context) for array in arrays]
    for read in [each.result().read() for each in opened]:
        read.result()


def _digest(state: Any) -> str:
    """SHA-256 of every number: an array file that lost a part reads as zeros, without an error."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        array = np.asarray(jax.device_get(leaf))
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _json_digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_same_parameters(saved: Any, expected: Any, where: str) -> None:
    def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
        return {
            jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
            if hasattr(leaf, "shape")
        }

    found, wanted = shapes(saved), shapes(expected)
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise InputError(
                f"{where}: a checkpoint of another architecture: {name} is {found.get(name, 'absent')}, this config "
                f"makes it {wanted.get(name, 'absent')}; use the config it was trained with, or a new --workdir"
            )
