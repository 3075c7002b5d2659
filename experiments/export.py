"""Puts a trained detector or classifier into one file: python -m experiments.export --checkpoint=WORKDIR --output=FILE.

FILE.safetensors is taken by --checkpoint of experiments.detect and experiments.classify, and read by any program that
knows the format: the parameters by name, the config as JSON in its metadata. It names no folder of this machine.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    from medssl_jax.inference import trained_classifier, trained_detector
    from medssl_jax.train import checkpoint, load_run, run_settings, weights

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the --workdir of a training run; the checkpoint that its score is of is taken", required=True
)
OUTPUT = flags.DEFINE_string("output", None, "the file to write, .safetensors", required=True)
ABOUT = flags.DEFINE_string("about", "", "a line that whoever uses it is to be told, such as what it is not for")


def main(_: Sequence[str]) -> None:
    """Loads, writes and prints what the file holds."""
    path = Path(OUTPUT.value)
    if not weights.is_weights_file(path):
        raise InputError(f"--output={path}: expected a name that ends in {weights.SUFFIX}")
    command.start_devices(keep_programs=True)
    loaded = weights.load_weights(CHECKPOINT.value, _kind(Path(CHECKPOINT.value)))
    weights.write_weights(path, dataclasses.replace(loaded, about=ABOUT.value))
    print(f"written: {path}, {path.stat().st_size / 1e6:.2f} MB, trained for {loaded.step} steps")


def _kind(workdir: Path) -> "type[run_settings.RunSettings]":
    """Of the method that the run's config names; `load_weights` refuses what is neither."""
    checkpoints = checkpoint.Checkpoints(load_run.folder_of_checkpoints(workdir))
    told = checkpoints.config().get("command")
    checkpoints.close()
    classifier, detector = trained_classifier.ClassifierRunSettings, trained_detector.DetectorRunSettings
    return classifier if told == classifier.COMMAND else detector


if __name__ == "__main__":
    command.run(main)
