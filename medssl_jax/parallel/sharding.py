"""Data parallelism: parameters on every device, each device with its rows of the batch.

The only file that knows meshes. What a step computes row by row needs no communication; only MixUp looks at other
rows, and only at those of its mixing group.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from medssl_jax.core.errors import InputError
from medssl_jax.models.cpu_convolution import batch_shared
from medssl_jax.parallel import hosts

ROWS = PartitionSpec(("group", "member"))
GROUPS = PartitionSpec("group")
REPLICATED = PartitionSpec()


@dataclasses.dataclass(frozen=True)
class DataParallel:
    """The devices of all hosts that share a batch. Without a mesh there is one, and nothing to share."""

    mesh: Mesh | None = None

    @property
    def devices(self) -> list[jax.Device]:
        """The devices that share the batch."""
        return jax.local_devices()[:1] if self.mesh is None else list(self.mesh.devices.flat)

    @property
    def device_count(self) -> int:
        """The number of devices that share the batch."""
        return 1 if self.mesh is None else self.mesh.size

    def shard_rows(self, tree: Any) -> Any:
        """Inside a jitted function: keeps on each device its rows of the leading axis."""
        return tree if self.mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, ROWS))

    def map_groups(self, function: Callable[..., Any], *groups: Any) -> Any:
        """Applies `function(*group)` to each mixing group; devices that share a group each work on all of it."""

        def one_by_one(*groups: Any) -> Any:
            return jax.lax.map(lambda group: function(*group), groups)

        if self.mesh is None:
            return one_by_one(*groups)
        return jax.shard_map(one_by_one, mesh=self.mesh, in_specs=GROUPS, out_specs=GROUPS, check_vma=False)(*groups)

    def map_rows(self, function: Callable[..., Any], *rows: Any, params: tuple[Any, ...] = ()) -> Any:
        """Applies `function(*params, *rows)` on each device to its own rows, where the compiler would gather them."""
        if self.mesh is None:
            return function(*params, *rows)
        specs = (*(REPLICATED for _ in params), *(ROWS for _ in rows))
        return jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=ROWS, check_vma=False)(*params, *rows)

    def jit_step(self, step: Callable[[Any, Any], tuple[Any, Any]]) -> jax.stages.Wrapped:
        """Jits `step(state, batch)`, which returns the next state and metrics; the state's memory is donated."""
        if self.mesh is None:
            return jax.jit(step, donate_argnums=0)
        state, batch = NamedSharding(self.mesh, REPLICATED), NamedSharding(self.mesh, ROWS)
        step = batch_shared()(step)
        return jax.jit(step, in_shardings=(state, batch), out_shardings=(state, state), donate_argnums=0)

    def jit_rows(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Jits `function(params, *rows)`, which returns one row for each row it is given.

        The devices must all be of this host, which has all the rows.
        """
        if self.mesh is None:
            return jax.jit(function)
        params, rows = NamedSharding(self.mesh, REPLICATED), NamedSharding(self.mesh, ROWS)

        def call(params: Any, rows: tuple[Any, ...]) -> Any:
            return function(params, *rows)

        compiled = jax.jit(call, in_shardings=(params, rows), out_shardings=rows)
        return lambda params, *arrays: compiled(params, jax.device_put(arrays, rows))

    def replicate(self, state: Any) -> Any:
        """Copies a state that every host has to every device."""
        return self._from_host_local(state, REPLICATED)

    def shard_batch(self, host_rows: Any) -> Any:
        """Makes the global batch of the rows that each host has."""
        return self._from_host_local(host_rows, ROWS)

    def _from_host_local(self, tree: Any, spec: PartitionSpec) -> Any:
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, spec)
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree)

    def host_local(self, state: Any) -> Any:
        """Returns a replicated state as arrays of this host alone."""
        return state if self.mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), state)

    def abstract(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """Shapes, dtypes and shardings of a state and a global batch."""
        return self.abstract_state(state), batch if self.mesh is None else _shaped(
            batch, NamedSharding(self.mesh, ROWS)
        )

    def abstract_state(self, state: Any) -> Any:
        """Shapes, dtypes and shardings of a state."""
        return on_first_device(state) if self.mesh is None else _shaped(state, NamedSharding(self.mesh, REPLICATED))

    def host_rows(self, batch: int) -> range:
        """The rows of a global batch of `batch` rows that this host reads: as many as any other, one after another."""
        if self.mesh is None:
            return range(batch)
        sharding = NamedSharding(self.mesh, ROWS)
        rows = np.arange(batch)
        own = np.concatenate([rows[place] for place in sharding.addressable_devices_indices_map((batch,)).values()])
        return range(own.min(), own.max() + 1)


SINGLE_DEVICE = DataParallel()


def on_first_device(tree: Any) -> Any:
    """Shapes and dtypes of arrays that are to lie on the first device of this host."""
    return _shaped(tree, SingleDeviceSharding(jax.local_devices()[0]))


def _shaped(tree: Any, sharding: Sharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def data_parallel(devices: Sequence[jax.Device], *, batches: Sequence[int], groups: int = 1) -> DataParallel:
    """Shares batches among as many of `devices` as can have equally many rows of each of the sizes `batches`.

    Every host takes part with equally many devices. Where there are at least as many mixing groups as devices, no group
    is shared between devices. Raises `InputError` where there are more hosts than rows to share.
    """
    devices_of_host = hosts.devices_by_process(devices)
    each = max(
        (
            count
            for count in range(1, min(map(len, devices_of_host)) + 1)
            if all(batch % (count * len(devices_of_host)) == 0 for batch in batches)
        ),
        default=0,
    )
    if not each:
        sizes = " + ".join(map(str, batches))
        raise InputError(
            f"a batch of {sizes} rows cannot be shared by {len(devices_of_host)} hosts: make it a multiple of them"
        )
    chosen = [device for own in devices_of_host for device in own[:each]]
    if chosen == jax.local_devices()[:1]:
        return SINGLE_DEVICE
    grid = np.array(chosen).reshape(math.gcd(len(chosen), groups), -1)
    return DataParallel(Mesh(grid, ("group", "member"), axis_types=(AxisType.Auto,) * 2))
