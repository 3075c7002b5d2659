"""Where the rows of a batch lie: one device, or a mesh of all devices of all hosts. The only file that knows meshes.

Parameters lie on every device, and each device has its rows of the batch. What a step computes row by row needs no
communication; only MixUp looks at other rows, and only at those of its mixing group.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from medssl_jax.core.errors import InputError

ROWS = PartitionSpec(("group", "member"))
GROUPS = PartitionSpec("group")
EVERYWHERE = PartitionSpec()


@dataclasses.dataclass(frozen=True)
class Placement:
    """Devices that share a batch; without a mesh there is one, and nothing to share."""

    mesh: Mesh | None = None

    @property
    def devices(self) -> list[jax.Device]:
        """Those that share the batch."""
        return jax.local_devices()[:1] if self.mesh is None else list(self.mesh.devices.flat)

    @property
    def count(self) -> int:
        """How many devices share the batch."""
        return 1 if self.mesh is None else self.mesh.size

    def rows(self, tree: Any) -> Any:
        """Inside a compiled function: each device keeps its rows of the leading axis."""
        return tree if self.mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, ROWS))

    def map_groups(self, function: Callable[..., Any], *groups: Any) -> Any:
        """`function(*group)` of each mixing group; the devices that share one each work on the whole of it."""

        def one_by_one(*groups):
            return jax.lax.map(lambda group: function(*group), groups)

        if self.mesh is None:
            return one_by_one(*groups)
        return jax.shard_map(one_by_one, mesh=self.mesh, in_specs=GROUPS, out_specs=GROUPS, check_vma=False)(*groups)

    def map_rows(self, function: Callable[..., Any], *rows: Any, params: tuple[Any, ...] = ()) -> Any:
        """`function(*params, *rows)` by each device on its own rows, for what the compiler would not keep apart."""
        if self.mesh is None:
            return function(*params, *rows)
        specs = (*(EVERYWHERE for _ in params), *(ROWS for _ in rows))
        return jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=ROWS, check_vma=False)(*params, *rows)

    def compile_step(self, step: Callable[[Any, Any], tuple[Any, Any]]) -> jax.stages.Wrapped:
        """`step(state, batch)` compiled; the old state's memory becomes the new one's."""
        if self.mesh is None:
            return jax.jit(step, donate_argnums=0)
        state, batch = NamedSharding(self.mesh, EVERYWHERE), NamedSharding(self.mesh, ROWS)
        return jax.jit(step, in_shardings=(state, batch), out_shardings=(state, state), donate_argnums=0)

    def compile_rows(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function(params, *rows)` compiled, where each row of the result belongs to a row of what is given.

        Only for devices of this host, which has all rows.
        """
        if self.mesh is None:
            return jax.jit(function)
        params, rows = NamedSharding(self.mesh, EVERYWHERE), NamedSharding(self.mesh, ROWS)

        def call(params, rows):
            return function(params, *rows)

        compiled = jax.jit(call, in_shardings=(params, rows), out_shardings=rows)
        return lambda params, *arrays: compiled(params, jax.device_put(arrays, rows))

    def put_state(self, state: Any) -> Any:
        """The state, which every host has, on every device."""
        if self.mesh is None:
            return state
        sharding = NamedSharding(self.mesh, EVERYWHERE)
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), state)

    def put_batch(self, host_rows: Any) -> Any:
        """The global batch, of which this host has its own rows."""
        if self.mesh is None:
            return host_rows
        sharding = NamedSharding(self.mesh, ROWS)
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), host_rows)

    def take_home(self, state: Any) -> Any:
        """What `put_state` spread, as arrays of this host alone."""
        return state if self.mesh is None else jax.tree.map(lambda leaf: leaf.addressable_data(0), state)

    def abstract(self, state: Any, batch: Any) -> tuple[Any, Any]:
        """Shapes of a state and a global batch, with where they lie."""

        def shaped(tree, spec):
            sharding = None if self.mesh is None else NamedSharding(self.mesh, spec)
            return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)

        return shaped(state, EVERYWHERE), shaped(batch, ROWS)

    def host_rows(self, batch: int) -> range:
        """The rows of a global batch that this host reads; hosts have them in turn, equally many each."""
        if self.mesh is None:
            return range(batch)
        sharding = NamedSharding(self.mesh, ROWS)
        rows = np.arange(batch)
        own = np.concatenate([rows[place] for place in sharding.addressable_devices_indices_map((batch,)).values()])
        return range(own.min(), own.max() + 1)


HERE = Placement()


def place(devices: Sequence[jax.Device], *, batches: Sequence[int], groups: int = 1) -> Placement:
    """The largest placement on `devices` in which each has equally many rows of each of the `batches`.

    Hosts take part with equally many devices each. Where there are as many mixing groups as devices or more, no group
    is shared between devices. Raises `InputError` where there are more hosts than rows to share.
    """
    hosts: dict[int, list[jax.Device]] = {}
    for device in devices:
        hosts.setdefault(device.process_index, []).append(device)
    each = max(
        (
            count
            for count in range(1, min(map(len, hosts.values())) + 1)
            if all(batch % (count * len(hosts)) == 0 for batch in batches)
        ),
        default=0,
    )
    if not each:
        sizes = " + ".join(map(str, batches))
        raise InputError(f"a batch of {sizes} rows cannot be shared by {len(hosts)} hosts: make it a multiple of them")
    chosen = [device for index in sorted(hosts) for device in hosts[index][:each]]
    if len(chosen) == 1:
        return HERE
    grid = np.array(chosen).reshape(math.gcd(len(chosen), groups), -1)
    return Placement(Mesh(grid, ("group", "member"), axis_types=(AxisType.Auto,) * 2))
