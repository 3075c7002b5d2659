"""What a training step costs on chips that are not there: python -m experiments.plan --config=C --topology=v5e:4x4.

The step is compiled, not run: memory, arithmetic, traffic and collectives of a chip, the least time of a step, and how
it scales from 4 to 256 chips. A real network takes minutes to compile. Without --topology, the local devices.
"""

from pathlib import Path

import jax
from absl import flags

from experiments import command
from medssl_jax.atomic import atomic_path, writable_directory
from medssl_jax.report.plan.figure import write_plan_figure
from medssl_jax.report.plan.tables import plan_text
from medssl_jax.runs.plan import plan

_CONFIG = command.define_config_flag()
_TOPOLOGY = flags.DEFINE_string("topology", None, "Such as v5e:4x4 or v5p:2x2x4; needs the extra `plan`.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for plan.md and plan.png; without it, the tables are only printed."
)


def main(_) -> None:
    """Compiles, prints, writes."""
    command.require_section(_CONFIG.value, "anchors", "experiments.focalmix")
    output = writable_directory(_OUTPUT.value) if _OUTPUT.value else None
    if _TOPOLOGY.value:
        # A TPU of this machine, or one that is busy, must not be waited for.
        jax.config.update("jax_platforms", "cpu")
    made = plan(_CONFIG.value, _TOPOLOGY.value)
    print(plan_text(made))
    if output is not None:
        with atomic_path(output / "plan.md") as temporary:
            Path(temporary).write_text(plan_text(made, markdown=True) + "\n")
        write_plan_figure(output / "plan.png", [made])
        print(f"\nwritten to {output}")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
