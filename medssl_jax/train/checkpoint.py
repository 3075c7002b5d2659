"""Checkpoints of a run: state, place in the data and config as one. The only file that knows orbax."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from medssl_jax.errors import InputError


class Restored(NamedTuple):
    """A run as it was saved: its state, and the place in the stream of batches."""

    state: Any
    data_position: Mapping[str, Any]


class Checkpoints:
    """The checkpoints below one folder. Saving happens in the background: call `close`, or the last may be lost."""

    def __init__(self, directory: Path, *, keep: int = 2, read_only: bool = False):
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

    @property
    def latest_step(self) -> int | None:
        """The newest step that is whole on disk."""
        return self._manager.latest_step()

    def save(self, state: Any, data_position: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Saves all three together under the state's step, which must be new.

        Raises `InputError` where the disk does not take them; earlier checkpoints stay.
        """
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(dict(data_position)),
            config=ocp.args.JsonSave(dict(config)),
        )
        with _named(self.directory):
            self._manager.save(int(state.step), args=items)

    def config(self) -> dict[str, Any]:
        """The config the newest checkpoint was trained with. Raises `InputError` where there is no checkpoint."""
        if self.latest_step is None:
            raise InputError(
                f"{self.directory}: no checkpoint found, expected the folder `checkpoints` of a training run"
            )
        return self._read(ocp.args.Composite(config=ocp.args.JsonRestore())).config

    def restore(self, like: Any) -> Restored:
        """The newest checkpoint, in the shapes and shardings of `like`.

        Raises `InputError` where the parameters on disk are not those of this model, or the checkpoint is damaged.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore())
        saved = self._manager.item_metadata(self.latest_step).state
        if saved is not None:
            _check_same_parameters(saved["params"], abstract.params, f"{self.directory}/{self.latest_step}")
        restored = self._read(items)
        return Restored(restored.state, restored.data)

    def _read(self, items: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(self.latest_step, args=items)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.directory}/{self.latest_step}: not a whole checkpoint of a training run "
                f"({str(error).partition(chr(10))[0]}): remove this folder to go on from the one before"
            ) from error

    def close(self) -> None:
        """Waits until the last checkpoint is whole on disk. Raises `InputError` where the disk does not take it."""
        with _named(self.directory):
            self._manager.wait_until_finished()
            self._manager.close()


@contextlib.contextmanager
def _named(directory: Path) -> Iterator[None]:
    """What the disk refuses, as an error that names the folder."""
    try:
        yield
    except (OSError, ValueError) as error:  # TensorStore reports a full disk as a ValueError
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InputError(
            f"{directory}: checkpoints cannot be written there ({reason}): make room or choose "
            "another --workdir; earlier checkpoints are untouched"
        ) from error


def _check_same_parameters(saved, expected, where) -> None:
    def shapes(tree):
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
