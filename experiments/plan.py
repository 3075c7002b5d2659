"""What a training step costs on chips that are not there: python -m experiments.plan --config=C --topology=v5e:4x4.

The step is compiled, not run: memory, arithmetic, traffic and collectives of a chip, the least time of a step, and how
it scales from 4 to 256 chips. With several --topology they are compiled one after the other, without one it is
for the local devices.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags

from experiments import command
from experiments.runs.plan import plan
from medssl_jax.core.atomic import atomic_path, writable_directory
from medssl_jax.plan.plan import Plan
from medssl_jax.plan.topology import topology_devices
from medssl_jax.report.plan.figure import write_plan_figure
from medssl_jax.report.plan.tables import plan_text

_CONFIG = command.define_config_flag()
_TOPOLOGIES = flags.DEFINE_multi_string(
    "topology", None, "Such as v5e:4x4 or v5p:2x2x4; may be given several times. Needs the extra `plan`."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for plan.md and plan.png; without it, the tables are only printed."
)


def main(_) -> None:
    """Compiles, prints, writes; of several topologies each when it is done."""
    command.require_config_of("experiments.focalmix", _CONFIG.value)
    output = writable_directory(_OUTPUT.value) if _OUTPUT.value else None
    if _TOPOLOGIES.value:
        # A TPU of this machine, or one that is busy, must not be waited for.
        jax.config.update("jax_platforms", "cpu")
    for named in _TOPOLOGIES.value or []:
        topology_devices(named)  # what is misspelt is told before minutes go into the one before it
    topologies: Sequence[str | None] = _TOPOLOGIES.value or [None]
    plans: list[Plan] = []
    for topology in topologies:
        print(f"compiling the step for {topology or 'the devices here'}: minutes for a real network", flush=True)
        plans.append(plan(_CONFIG.value, topology))
        print(f"\n{plan_text(plans[-1:])}\n", flush=True)
        if output is not None:
            _write(output, plans)
    if output is not None:
        print(f"written to {output}")


def _write(output, plans) -> None:
    with atomic_path(output / "plan.md") as temporary:
        Path(temporary).write_text(plan_text(plans, markdown=True) + "\n")
    write_plan_figure(output / "plan.png", plans)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
