"""Finds nodules in CT scans: python -m experiments.detect --checkpoint=WORKDIR --input=SCANS --output=DIR.

Of one scan, writes detections.csv, detections.json and detections.html, a page to scroll through; of several, these for
each in a folder of its own, and for all together. --formats adds what viewers read. What was done before is not done
again. Research software, not a medical device.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory

with epy.lazy_imports():
    from data_builders.incoming import names
    from experiments.runs import detect_folder, threshold
    from medssl_jax.inference import demonstration
    from medssl_jax.report.nodules import result_files
    from medssl_jax.run_folder import weights_place

CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "the --workdir of a training run, or a file that experiments.export wrote; unless given, the small detector that "
    "comes with the package, which is a demonstration",
)
INPUT = flags.DEFINE_string(
    "input",
    None,
    "CTs: .mhd, .mha, .nii, .nii.gz, .nrrd, a DICOM file (its series is taken), a folder with any of these at any "
    "depth, a .zip of them, or a .csv with the column path, and name if you like",
    required=True,
)
OUTPUT = flags.DEFINE_string("output", None, "folder for detections.csv, detections.json and so on", required=True)
FORMATS = flags.DEFINE_list(
    "formats",
    "csv,json,html",
    "what is written: csv, json (always), html, mrk (points for 3D Slicer), labelmap (NIfTI on the scan's own grid); "
    "of DICOM series, with the extra dicom installed, also sr (structured report, TID 1500) and seg (segmentation)",
)
LUNGS = flags.DEFINE_string(
    "lungs",
    None,
    "a lung mask of the one scan, a file as for --input; without it the lungs are segmented from the scan",
)
FP_PER_SCAN = flags.DEFINE_float(
    "fp_per_scan",
    None,
    "the page and the files for viewers show the marks from the score on at which the detector had so many false "
    "positives a scan on its validation scans: 0.125, 0.25, 0.5, 1, 2, 4 or 8; 1 unless given; where it does not know "
    "that, the ten best marks of each scan; "
    "detections.csv and detections.json hold all that its config lets through (inference.score_threshold and "
    "inference.marks)",
)
MIN_SCORE = flags.DEFINE_float(
    "min_score",
    None,
    "in place of --fp_per_scan, the score itself, from 0 to 1",
    lower_bound=0,
    upper_bound=1,
)
SHARD = flags.DEFINE_string(
    "shard", "1/1", "K/N: the K-th of N parts of the scans, for job arrays, whose jobs have the same --output"
)
COMPILATION_CACHE = command.define_compilation_cache_flag()
flags.register_validator(
    MIN_SCORE, lambda value: value is None or not math.isnan(value), "expected a number from 0 to 1"
)


def main(argv: Sequence[str]) -> None:
    """Searches what was given, writes results and prints what was found."""
    del argv
    command.expect_paths("input", "lungs")
    checkpoint = CHECKPOINT.value or str(demonstration.DEMONSTRATION)
    weights_place.expect_weights(Path(checkpoint))
    formats = result_files.check_formats(FORMATS.value)
    asked = threshold.AskedThreshold(FP_PER_SCAN.value, MIN_SCORE.value)
    shard = names.parse_shard(SHARD.value)
    output = writable_directory(OUTPUT.value)
    command.start_devices(keep_programs=COMPILATION_CACHE.value)
    lungs = None if LUNGS.value is None else Path(LUNGS.value)
    detect_folder.detect_into(
        *(output, checkpoint, Path(INPUT.value)), lungs=lungs, formats=formats, threshold=asked, shard=shard
    )


if __name__ == "__main__":
    command.run(main)
