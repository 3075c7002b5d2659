"""Tells what a training step costs on chips that are not there.

python -m experiments.plan --config=configs/luna_25.py --topology=v5p:2x2x4 --topology=v5e:4x4
"""

from collections.abc import Sequence

from absl import flags
from etils import epy

from experiments import command

with epy.lazy_imports():
    import jax

    from experiments.runs import plan
    from medssl_jax.plan import topology
    from medssl_jax.report import plan_tables

_CONFIG = command.define_config_flag()
_TOPOLOGIES = flags.DEFINE_multi_string("topology", [], "Such as v5e:4x4 or v5p:2x2x4. Needs the extra `plan`.")


def main(_: Sequence[str]) -> None:
    """Compiles, and prints what is planned so far when each topology is done."""
    command.require_config_of("experiments.focalmix", _CONFIG.value)
    command.start_devices(keep_programs=False)  # a program that was kept tells less of itself
    if _TOPOLOGIES.value:
        jax.config.update("jax_platforms", "cpu")  # a TPU of this machine may be busy, and is not needed
    for named in _TOPOLOGIES.value:
        topology.topology_devices(named)  # a misspelt one is told before minutes go into the one before it
    names: list[str | None] = [*_TOPOLOGIES.value] or [None]
    plans = []
    for name in names:
        print(f"compiling the step for {name or 'the devices here'}: minutes for a real network", flush=True)
        plans.append(plan.plan(_CONFIG.value, name))
        print(f"\n{plan_tables.plan_text(plans)}\n", flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
