"""Puts a trained detector or classifier into one file: python -m experiments.export --checkpoint=WORKDIR --output=FILE.

FILE.safetensors is taken by --checkpoint of experiments.detect and experiments.classify, and read by any program that
knows the format: the parameters by name, the config as JSON in its metadata. It names no folder of this machine.

With --stablehlo, what a detector does with a window is written beside it as FILE.stablehlo, a program with its
parameters that jax.export runs without this library, and FILE.json, which says how scans become windows, and answers
marks.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core import atomic
from medssl_jax.core.errors import InputError

with epy.lazy_imports():
    from medssl_jax.inference import trained_classifier, trained_detector, window_program
    from medssl_jax.report import json_report
    from medssl_jax.run_folder import weights, weights_place
    from medssl_jax.steps import run_settings

CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "the --workdir of a training run, of which the checkpoint that its score is of is taken, or a file that this wrote",
    required=True,
)
OUTPUT = flags.DEFINE_string("output", None, "the file to write, .safetensors", required=True)
ABOUT = flags.DEFINE_string("about", None, "a line that whoever uses it is to be told, such as what it is not for")
STABLEHLO = flags.DEFINE_bool("stablehlo", False, "also write a detector's window program and its description")


def main(_: Sequence[str]) -> None:
    """Loads, writes and prints what the file holds."""
    path = Path(OUTPUT.value)
    weights_place.expect_weights(Path(CHECKPOINT.value))
    if not weights_place.is_weights_file(path):
        raise InputError(f"--output={path}: expected a name that ends in {weights_place.SUFFIX}")
    atomic.writable_directory(path.parent)
    command.start_devices(keep_programs=True)
    kind = _kind(CHECKPOINT.value)
    if STABLEHLO.value and kind is not trained_detector.DetectorRunSettings:
        raise InputError(f"--stablehlo: is of detectors, and {CHECKPOINT.value} is a classifier: leave it out")
    loaded = weights.load_weights(CHECKPOINT.value, kind)
    if ABOUT.value is not None:
        loaded = dataclasses.replace(loaded, about=ABOUT.value)
    weights.write_weights(path, loaded)
    print(f"written: {path}, {path.stat().st_size / 1e6:.2f} MB, trained for {loaded.step} steps")
    if STABLEHLO.value:
        program = path.with_suffix(window_program.SUFFIX)
        with atomic.atomic_path(program) as unfinished:
            unfinished.write_bytes(window_program.window_program(loaded))
        json_report.write_json(path.with_suffix(".json"), window_program.description(loaded))
        print(f"written: {program}, {program.stat().st_size / 1e6:.2f} MB, and {path.with_suffix('.json')}")


def _kind(checkpoint: str) -> "type[run_settings.RunSettings]":
    """Of the method that the config names; `load_weights` refuses what is neither."""
    told = weights.config_of(checkpoint).get("command")
    classifier, detector = trained_classifier.ClassifierRunSettings, trained_detector.DetectorRunSettings
    return classifier if told == classifier.COMMAND else detector


if __name__ == "__main__":
    command.run(main)
