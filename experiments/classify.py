"""Classifies slides: python -m experiments.classify --checkpoint=WORKDIR --input=SLIDE_OR_FOLDER --output=DIR.

Writes results.csv, results.json and slides.html, a page with every slide, the network that settled it, and where the
high-resolution network looked. Research software, not a medical device.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.report.json_report import write_json

with epy.lazy_imports():
    from experiments.runs import classify
    from medssl_jax.report.slides import slide_page, slide_report
    from medssl_jax.run_folder import weights_place

CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "the --workdir of a training run; its newest checkpoint is taken", required=True
)
INPUT = flags.DEFINE_string(
    "input",
    None,
    "a TIFF, a slide prepared by the authors' script, or a folder of either; subfolders are not searched",
    required=True,
)
OUTPUT = flags.DEFINE_string("output", None, "folder for results.csv, results.json and slides.html", required=True)
C = flags.DEFINE_float(
    "c",
    None,
    "confidence above which the low-resolution network settles a slide, of a run that decides by confidence; the "
    "config's if not given",
)
BUDGET = flags.DEFINE_float(
    "budget",
    None,
    "seconds a slide: the c, and of inference.top_k_tried the patches to look at, that were most accurate on the run's "
    "validation slides within them; of a run that decides by confidence",
    lower_bound=0,
)
LOW_ROWS = flags.DEFINE_integer(
    "low_rows",
    None,
    "rows of the slide that count for each pixel of the low-resolution image, where a file is flat and uncompressed: "
    "with 4 of 40 a tenth of it is read, and grey levels are near those of all rows; all if not given",
    lower_bound=1,
)
COMPILATION_CACHE = command.define_compilation_cache_flag()


def main(argv: Sequence[str]) -> None:
    """Classifies, writes three files, prints what was found; slides that could not be read come last, as an error."""
    del argv
    command.expect_paths("input")
    weights_place.expect_weights(Path(CHECKPOINT.value))
    output = writable_directory(OUTPUT.value)
    command.start_devices(keep_programs=COMPILATION_CACHE.value)
    report, thumbnails = classify.classify_files(
        CHECKPOINT.value,
        INPUT.value,
        c=C.value,
        budget=BUDGET.value,
        low_rows=LOW_ROWS.value,
        progress=progress_bar("classifying", "slides"),
    )
    slide_report.write_results_csv(output / "results.csv", report)
    write_json(output / "results.json", slide_report.results_as_json(report))
    write_text(output / "slides.html", slide_page.slide_page(report, thumbnails))
    print(slide_report.summary(report))
    print(f"written: results.csv, results.json and slides.html in {output}")
    if report.refused:
        raise InputError(
            f"{len(report.refused)} of {len(report.refused) + len(report.results)} slides could not be read: "
            + " | ".join(report.refused.values())
        )


if __name__ == "__main__":
    command.run(main)
