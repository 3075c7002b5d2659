"""Finds nodules in one CT scan: python -m experiments.detect --checkpoint=WORKDIR --input=SCAN --output=DIR.

Writes detections.csv, detections.json and detections.html, a page with slices through each mark; --formats adds what
viewers read. Research software, not a medical device.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory

with epy.lazy_imports():
    from experiments.runs import detect
    from medssl_jax.report.nodules import results, scan_report
    from medssl_jax.train import weights

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the --workdir of a training run; its newest checkpoint is taken", required=True
)
INPUT = flags.DEFINE_string(
    "input", None, "a CT: .mhd, .mha, .nii, .nii.gz, .nrrd or a folder with the DICOM slices of a series", required=True
)
OUTPUT = flags.DEFINE_string("output", None, "folder for detections.csv, detections.json and so on", required=True)
FORMATS = flags.DEFINE_list(
    "formats",
    "csv,json,html",
    "what is written: csv, json (always), html, mrk (points for 3D Slicer), labelmap (NIfTI on the scan's own grid)",
)
LUNGS = flags.DEFINE_string(
    "lungs", None, "a lung mask of this scan, a file as for --input; without it the lungs are segmented from the scan"
)
MIN_PROBABILITY = flags.DEFINE_float(
    "min_probability",
    0.3,
    "the page and the files for viewers show the marks of this probability or more; detections.csv and "
    "detections.json hold all that the detector's config lets through (inference.score_threshold and inference.marks)",
    lower_bound=0,
    upper_bound=1,
)
COMPILATION_CACHE = command.define_compilation_cache_flag()
flags.register_validator(MIN_PROBABILITY, lambda value: not math.isnan(value), "expected a number from 0 to 1")


def main(argv: Sequence[str]) -> None:
    """Detects, writes the files that were asked for and prints what was found."""
    del argv
    formats = results.check_formats(FORMATS.value)
    output = writable_directory(OUTPUT.value)
    weights.expect_weights(Path(CHECKPOINT.value))  # the detector is loaded after the scan was looked at
    command.start_devices(keep_programs=COMPILATION_CACHE.value)
    detections, scan = detect.detect_in_file(CHECKPOINT.value, INPUT.value, LUNGS.value)
    written = results.write_results(output, detections, scan, formats=formats, min_probability=MIN_PROBABILITY.value)
    print(scan_report.summary(detections, min_probability=MIN_PROBABILITY.value))
    print(f"written: {', '.join(written)} in {output}")


if __name__ == "__main__":
    command.run(main)
