"""Finds nodules in one CT scan: python -m experiments.detect --checkpoint=WORKDIR --input=SCAN --output=DIR.

Writes detections.csv, detections.json and detections.html, a page with slices through each mark. Research software,
not a medical device.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.report.json_report import write_json

with epy.lazy_imports():
    from experiments.runs import detect
    from medssl_jax.report.nodules import scan_page, scan_report
    from medssl_jax.train import load_run

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the --workdir of a training run; its newest checkpoint is taken", required=True
)
INPUT = flags.DEFINE_string(
    "input", None, "a CT: .mhd, .mha, .nii, .nii.gz, .nrrd or a folder with the DICOM slices of a series", required=True
)
OUTPUT = flags.DEFINE_string(
    "output", None, "folder for detections.csv, detections.json and detections.html", required=True
)
LUNGS = flags.DEFINE_string(
    "lungs", None, "a lung mask of this scan, a file as for --input; without it the lungs are segmented from the scan"
)
MIN_PROBABILITY = flags.DEFINE_float(
    "min_probability",
    0.3,
    "the page shows the marks of this probability or more; detections.csv and detections.json hold all that the "
    "detector's config lets through (inference.score_threshold and inference.marks)",
    lower_bound=0,
    upper_bound=1,
)
COMPILATION_CACHE = command.define_compilation_cache_flag()
flags.register_validator(MIN_PROBABILITY, lambda value: not math.isnan(value), "expected a number from 0 to 1")


def main(argv: Sequence[str]) -> None:
    """Detects, writes three files and prints what was found."""
    del argv
    output = writable_directory(OUTPUT.value)
    load_run.folder_of_checkpoints(Path(CHECKPOINT.value))  # the detector is loaded after the scan was looked at
    command.start_devices(keep_programs=COMPILATION_CACHE.value)
    detections, scan = detect.detect_in_file(CHECKPOINT.value, INPUT.value, LUNGS.value)
    scan_report.write_detections_csv(output / "detections.csv", detections)
    write_json(output / "detections.json", scan_report.detections_as_json(detections))
    write_text(output / "detections.html", scan_page.scan_page(detections, scan, min_probability=MIN_PROBABILITY.value))
    print(scan_report.summary(detections, min_probability=MIN_PROBABILITY.value))
    print(f"written: detections.csv, detections.json and detections.html in {output}")


if __name__ == "__main__":
    command.run(main)
