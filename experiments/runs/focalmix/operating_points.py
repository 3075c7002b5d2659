"""What the scores of a run's detector are worth: chosen on its validation scans, then measured on its test scans."""

from pathlib import Path

from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.scans import findings_of
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.splits import Split
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.matching import Outcome, match
from medssl_jax.metrics.nodules.operating_points import OperatingPoints, calibrate, measured_on, operating_points
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.reliability_figure import draw_reliability
from medssl_jax.report.nodules.scan_report import TRAINED_ON
from medssl_jax.run_folder.experience import POINTS_FILE


def write_operating_points(
    settings: FocalMixConfig, cache: CropCache, split: Split, workdir: Path, marks: Marks, *, step: int
) -> OperatingPoints:
    """Writes and returns what the scored state's scores are worth, from its `marks` on the validation scans; says it.

    `operating_points.json` has thresholds for LUNA16's seven rates and a calibration, `reliability.png` its picture.
    """
    annotations, excluded = findings_of(settings.data, cache, split.validation)
    outcome = match(marks, annotations, Findings.none() if excluded is None else excluded, split.validation)
    calibration = calibrate(outcome)
    data = "the phantom" if settings.data.phantom is not None else TRAINED_ON[settings.data.data_set]
    scans, nodules = len(split.validation), int(outcome.nodules_per_scan.sum())
    points = OperatingPoints(data, step, scans, nodules, operating_points(outcome), calibration)
    write_json(workdir / POINTS_FILE, points.as_json())
    for point in points.points:
        print(f"for {point.fps_per_scan:g} false positives a scan: {points.told(point.threshold)}")
    if not points.points:
        print("no operating points: the highest score alone costs more false positives a scan than the highest rate")
    if calibration is None:
        print("no calibration: the validation scans have no marks on nodules, or no others, or only one scan has marks")
    else:
        write_figure(workdir / "reliability.png", draw_reliability(outcome, calibration))
        before, after = calibration.error_before, calibration.error_after
        print(f"expected calibration error {before:.3f}, calibrated {after:.3f} (on scans left out of the fit)")
    return points


def write_points_on_test(points: OperatingPoints, outcome: Outcome, workdir: Path) -> None:
    """Writes and says how far thresholds and calibration of the validation scans hold on the test scans' `outcome`."""
    on_test = measured_on(points, outcome)
    write_json(workdir / "operating_points_on_test.json", on_test.as_json())
    told = ", ".join(f"{each.told_fps()} for {each.fps_per_scan:g}" for each in on_test.points)
    if told:
        print(f"false positives a test scan at these thresholds, with 95 % intervals, for the rate asked for: {told}")
    if on_test.calibration is not None:
        before, after = on_test.calibration.error_before, on_test.calibration.error_after
        print(f"expected calibration error on the test scans {before:.3f}, calibrated {after:.3f}")
