"""Makes a run again from its run.json, and compares the two.

    python -m experiments.reproduce --run=runs/phantom/run.json --verify

A run of experiments.focalmix or experiments.sos; start it in the same working directory, where the data is. XLA and JAX
are set as they were. With --verify it ends at the first step that differs, and names the tensor: status 1.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    from experiments.runs import reproduce
    from medssl_jax.parallel import hosts
    from medssl_jax.run_folder import environment, run_record

DIFFERENT_STATUS = 1

_RUN = flags.DEFINE_string("run", None, "The run.json of the run, in its folder.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for the run made again; `reproduced` beside run.json if none.")
_VERIFY = flags.DEFINE_bool("verify", False, "Compares hashes at each log step, and what the runs wrote at the end.")
_STEPS = flags.DEFINE_integer("steps", None, "With --verify, ends after the last log step up to here.", lower_bound=1)
_ANYWAY = flags.DEFINE_bool("anyway", False, "Goes on where code, devices or data are not those of the run.")
_COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(_: Sequence[str]) -> None:
    """Tells of what stands in the way, makes the run, and gives the verdict."""
    command.expect_paths("run")
    path = Path(_RUN.value)
    workdir = Path(_WORKDIR.value) if _WORKDIR.value else path.parent / "reproduced"
    if workdir.resolve() == path.parent.resolve():
        raise InputError(f"{workdir}: is the folder of the run itself, expected another --workdir")
    if _STEPS.value and not _VERIFY.value:
        raise InputError("--steps is for --verify: give both, or neither for the whole run")
    record = run_record.read_run_record(path)
    restored = environment.restore_settings(record.sessions[0].environment)
    # Where the run was deterministic, its XLA_FLAGS say so.
    command.start_devices(keep_programs=_COMPILATION_CACHE.value, shared=True)
    if restored:
        hosts.say(f"set as in the run: {', '.join(restored)}")
    _refuse_or_warn(path, reproduce.obstacles(record))
    if not _VERIFY.value:
        reproduce.reproduce(record, workdir, anyway=_ANYWAY.value)
        return
    verdict = reproduce.verify(record, path.parent, workdir, steps=_STEPS.value, anyway=_ANYWAY.value)
    if verdict.difference:
        hosts.say(f"{verdict.difference}; the {verdict.steps} logged steps before are equal")
    else:
        hosts.say(f"{verdict.steps} steps compared, all equal" + ("" if verdict.files else "; not to the run's end"))
    for name, difference in verdict.files.items():
        hosts.say(f"{name:<16} {f'differs: {difference}' if difference else 'equal'}")
    for name in verdict.absent:
        hosts.say(f"{name:<16} not compared: absent in {path.parent}")
    if not verdict.is_equal:
        sys.exit(DIFFERENT_STATUS)


def _refuse_or_warn(path: Path, found: Sequence[str]) -> None:
    if found and not _ANYWAY.value:
        raise InputError(
            f"{path}: here the run cannot come out the same to the bit: {'; '.join(found)}: make it again where these "
            "are as they were, or give --anyway"
        )
    if found:
        hosts.say(f"warning: results can be equal to rounding at best: {'; '.join(found)}")


if __name__ == "__main__":
    command.run(main)
