r"""Scores a submission by LUNA16's official procedure, and pictures what it missed where it is given the scans.

python -m experiments.evaluate --submission=submission.csv --annotations=annotations.csv \
    --excluded=annotations_excluded.csv --seriesuids=seriesuids.csv --scans=LUNA16 --output=DIR
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import printable
from medssl_jax.imaging.luna16_csv import Findings, read_annotations, read_excluded, read_series_uids
from medssl_jax.imaging.submission import read_submission
from medssl_jax.metrics.nodules.froc import FPS_PER_SCAN as FPS_OF_LUNA16
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.metrics.nodules.mistakes import find_mistakes
from medssl_jax.report.figure_style import write_figure
from medssl_jax.report.nodules.froc_figure import draw_froc
from medssl_jax.report.nodules.froc_tables import result_table, scored_lines

with epy.lazy_imports():
    from experiments.runs import listed_scans
    from medssl_jax.report.nodules import mistakes_page

SUBMISSION = flags.DEFINE_string(
    "submission",
    None,
    "marks: seriesuid,coordX,coordY,coordZ,probability, or detections.csv of detect",
    required=True,
)
ANNOTATIONS = flags.DEFINE_string("annotations", None, "LUNA16's annotations.csv", required=True)
EXCLUDED = flags.DEFINE_string("excluded", None, "LUNA16's annotations_excluded.csv; without it nothing is excluded")
SERIESUIDS = flags.DEFINE_string(
    "seriesuids", None, "every scan that was searched, one series UID a line", required=True
)
SCANS = flags.DEFINE_string(
    "scans",
    None,
    "folder with all listed scans, as for the --input of detect; with it, mistakes.html pictures missed nodules and "
    "the false positives of the highest scores",
)
OUTPUT = flags.DEFINE_string("output", None, "folder for froc.json, froc.png and mistakes.html", required=True)
FPS_PER_SCAN = flags.DEFINE_list(
    "fps_per_scan",
    None,
    "rising false positives a scan, such as 0.25,1,4, whose mean sensitivity is the CPM; LUNA16's seven unless given",
)
BOOTSTRAPS = flags.DEFINE_integer("bootstraps", 1000, "resamples of the scans behind the 95 % intervals", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "seed of the resamples", lower_bound=0)


def main(argv: Sequence[str]) -> None:
    """Reads, scores, prints and writes."""
    del argv
    command.expect_paths("submission", "annotations", "excluded", "seriesuids", "scans")
    output = writable_directory(OUTPUT.value)
    rates = FPS_OF_LUNA16 if FPS_PER_SCAN.value is None else _rates(FPS_PER_SCAN.value)
    series_uids = read_series_uids(SERIESUIDS.value)
    scans = listed_scans.ListedScans(Path(SCANS.value), series_uids) if SCANS.value else None
    marks = read_submission(SUBMISSION.value, known_series=series_uids)
    annotations = read_annotations(ANNOTATIONS.value)
    excluded = read_excluded(EXCLUDED.value) if EXCLUDED.value else Findings.none()
    result = score(
        *(marks, annotations, excluded, series_uids),
        fps_per_scan=rates,
        bootstraps=BOOTSTRAPS.value,
        seed=SEED.value,
    )
    print(scored_lines(result, marks, annotations))
    print(result_table(result))
    write_text(output / "froc.json", result.as_json())
    name = printable(Path(SUBMISSION.value).stem)
    write_figure(output / "froc.png", draw_froc({name: result}))
    written = [output / "froc.json", output / "froc.png"]
    if scans is not None:
        threshold = mistakes_page.threshold_of(result)
        mistakes = find_mistakes(marks, annotations, excluded, series_uids, threshold=threshold)
        png = (output / "froc.png").read_bytes()
        text = mistakes_page.mistakes_page(
            name, result, mistakes, froc_png=png, scan_of=scans, seen_as="the scans at 1 mm"
        )
        written.append(output / "mistakes.html")
        write_text(written[-1], text)
    print(f"written: {', '.join(map(str, written[:-1]))} and {written[-1]}")


def _rates(texts: Sequence[str]) -> tuple[float, ...]:
    try:
        rates = tuple(map(float, texts))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < math.inf for rate in rates) or any(a >= b for a, b in pairwise(rates)):
        raise InputError(f"--fps_per_scan={','.join(texts)}: expected rising numbers above 0, such as 0.25,1,4")
    return rates


if __name__ == "__main__":
    command.run(main)
