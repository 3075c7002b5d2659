"""Trains SOS, or a method it is compared with, and evaluates it.

    python -m experiments.sos --config=configs/phantom_sos.py --workdir=runs/phantom_sos

Everything is written below --workdir; started again, the run goes on from its last checkpoint.
"""

from pathlib import Path

from absl import flags

from data_builders.lks.files import CLASSES
from experiments import command
from medssl_jax.progress import progress_bar
from medssl_jax.report.slides.sos_summary import write_summary
from medssl_jax.runs import sos as sos_run
from medssl_jax.runs.sos_evaluation import evaluate

_CONFIG = command.define_config_flag()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for checkpoints, metrics and results.", required=True)


def main(_) -> None:
    """Data, training, evaluation."""
    config, workdir = _CONFIG.value, Path(_WORKDIR.value)
    command.require_section(config, "method", "experiments.sos")
    method, source, split = sos_run.train_method(config, workdir)
    name = config.method.name
    evaluations = evaluate({name: method}, source, split, progress_bar("evaluating", "batches"))
    summary = write_summary(
        workdir,
        {name: [evaluations[name]]},
        CLASSES,
        is_lks="phantom" not in config.data,
        needs_high=sos_run.needs_high_resolution(config.data, evaluations[name].names),
    )
    print(f"\n{sos_run.data_name(config.data)}, {len(split.test)} test slides\n\n{summary}\nwritten to {workdir}")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    command.run(main)
