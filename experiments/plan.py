"""Tells what a training step costs on chips that are not there.

python -m experiments.plan --config=configs/luna_25.py --topology=v5p:2x2x4 --topology=v5e:4x4
"""

from collections.abc import Sequence

import jax
from absl import flags

from experiments import command
from experiments.runs.plan import plan
from medssl_jax.plan.topology import topology_devices
from medssl_jax.report.plan_tables import plan_text

_CONFIG = command.define_config_flag()
_TOPOLOGIES = flags.DEFINE_multi_string("topology", [], "Such as v5e:4x4 or v5p:2x2x4. Needs the extra `plan`.")


def main(_: Sequence[str]) -> None:
    """Compiles, and prints what is planned so far when each topology is done."""
    command.require_config_of("experiments.focalmix", _CONFIG.value)
    if _TOPOLOGIES.value:
        jax.config.update("jax_platforms", "cpu")  # a TPU of this machine may be busy, and is not needed
    for named in _TOPOLOGIES.value:
        topology_devices(named)  # a misspelt one is told before minutes go into the one before it
    topologies: list[str | None] = [*_TOPOLOGIES.value] or [None]
    plans = []
    for topology in topologies:
        print(f"compiling the step for {topology or 'the devices here'}: minutes for a real network", flush=True)
        plans.append(plan(_CONFIG.value, topology))
        print(f"\n{plan_text(plans)}\n", flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
