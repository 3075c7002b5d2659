"""Interrupts a run at random moments, starts it again after each, and compares it with one that was left alone.

    python -m experiments.interrupt --config=configs/phantom.py --workdir=runs/interrupt --kills=20
    python -m experiments.interrupt --config=configs/phantom.py --workdir=runs/interrupt_term --kills=5 --signal=TERM

A run of experiments.focalmix or experiments.sos. It is in `whole` and in `interrupted` below --workdir; what it said,
in `whole.log` and `interrupted.log`. Status 1 where a bit differs or, with --signal=TERM, where it was not saved.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from experiments import command
from experiments.runs.equality import compare_runs
from experiments.runs.interruption import Command, Course, Interruption, draw_moments, run_interrupted, run_whole
from experiments.runs.jobs import Job, job_of
from medssl_jax.core.atomic import writable_directory
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.train.preemption import PREEMPTED_STATUS

DIFFERENT_STATUS = 1

_CONFIG = command.define_config_flag()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for both runs; a new one.", required=True)
_KILLS = flags.DEFINE_integer("kills", 20, "How often the run is interrupted.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Draws the moments; the run's own seed is in its config.", lower_bound=0)
_SIGNAL = flags.DEFINE_enum("signal", "KILL", ["KILL", "TERM"], "What interrupts it.")
_DETERMINISTIC = command.define_deterministic_flag()
_COMPILE_CACHE = flags.DEFINE_bool(
    "compile_cache", False, "JAX keeps what it compiled below --workdir: starts are faster."
)


def main(_) -> None:
    """The whole run, the interrupted one, what differs."""
    # SIGTERM as Ctrl-C: what was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config, workdir = _CONFIG.value, _new_folder(Path(_WORKDIR.value))
    job = job_of(config)
    run = [*_start_of(job), *(["--deterministic"] if _DETERMINISTIC.value else [])]
    job.check_config(config)
    job.open_data(config)  # so that the first run's course is that of a run on prepared data
    environment = dict(os.environ)
    if _COMPILE_CACHE.value:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(workdir.absolute() / "compile_cache")
    whole, interrupted = (
        Command([*run, f"--workdir={workdir / name}"], workdir / f"{name}.log", environment)
        for name in ("whole", "interrupted")
    )
    course = run_whole(whole)
    print(f"uninterrupted, the run takes {course.seconds:.0f} s", flush=True)
    interruptions = run_interrupted(
        interrupted,
        course,
        draw_moments(course, _KILLS.value, _SEED.value),
        signal.Signals[f"SIG{_SIGNAL.value}"],
        progress_bar("interrupting", "starts"),
    )
    compared = compare_runs(config, workdir / "whole", workdir / "interrupted")
    print(f"\ninterrupted {len(interruptions)} times and uninterrupted:")
    for name, difference in compared:
        print(f"{name:<20} {f'differs: {difference}' if difference else 'equal'}")
    all_saved = _SIGNAL.value == "KILL" or _all_saved(interruptions, course)
    if any(each.difference for each in compared) or not all_saved:
        sys.exit(DIFFERENT_STATUS)


def _all_saved(interruptions: Sequence[Interruption], course: Course) -> bool:
    """Before Python listens to signals, and when it does no more, a run has nothing to save and just ends."""
    saved = [each for each in interruptions if each.status == PREEMPTED_STATUS]
    lost = [each for each in interruptions if each not in saved and each.step not in (None, course.marks[-1].step)]
    longest = max(each.seconds_to_end for each in interruptions)
    print(
        f"status {PREEMPTED_STATUS} after {len(saved)} of {len(interruptions)} signals, "
        f"another while it trained after {len(lost)}; {longest:.1f} s to the end at the longest"
    )
    return not lost


def _new_folder(workdir: Path) -> Path:
    if writable_directory(workdir).exists() and any(workdir.iterdir()):
        raise InputError(f"{workdir}: is not empty, expected a new folder: choose another --workdir")
    return workdir


def _start_of(job: Job) -> list[str]:
    """What starts a run of the config with its overrides, but for the workdir."""
    holder = flags.FLAGS["config"]
    overrides = config_flags.get_override_values(holder).items()
    file = config_flags.get_config_filename(holder)
    return [sys.executable, "-m", job.command, f"--config={file}", *(f"--config.{k}={v}" for k, v in overrides)]


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
