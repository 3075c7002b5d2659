"""The ten operations that some work spends most time in, by JAX's profiler."""

import collections
import heapq
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from experiments.benchmarks.bench import Measurement

SHOWN = 10
LONGEST_NAME = 60


def top_ten(work: str, run: Callable[[], Any]) -> list[Measurement]:
    """A row for each, with its share of the time of all operations."""
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_serialized_xspace(file.read_bytes())
    spent: dict[str, float] = collections.defaultdict(float)
    for name, nanoseconds in _operations(profile):
        spent[name] += nanoseconds
    return [
        Measurement(
            f"{work}: {name[:LONGEST_NAME]}",
            notes={"ms": nanoseconds / 1e6, "% of operations": 100 * nanoseconds / sum(spent.values())},
        )
        for name, nanoseconds in heapq.nlargest(SHOWN, spent.items(), key=lambda item: item[1])
    ]


def _operations(profile: jax.profiler.ProfileData) -> Iterator[tuple[str, float]]:
    """The name and time of every operation: on a GPU or TPU of its streams, on a CPU of XLA's threads."""
    planes = list(profile.planes)
    on_device = [plane for plane in planes if plane.name.startswith(("/device:GPU", "/device:TPU"))]
    for plane in on_device or [plane for plane in planes if plane.name == "/host:CPU"]:
        for line in plane.lines:
            if on_device and not (line.name or "").startswith(("Stream", "XLA Ops")):
                continue
            for event in line.events:
                if on_device or "hlo_op" in dict(event.stats):
                    yield event.name, event.duration_ns
