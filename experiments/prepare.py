"""Makes the TFDS data set that training reads from the files as downloaded.

    python -m experiments.prepare --dataset=luna16 --manual_dir=DIR --data_dir=DIR --workers=8
    python -m experiments.prepare --dataset=nlst --manual_dir=DIR --data_dir=DIR --allow_absent
    python -m experiments.prepare --dataset=folder --manual_dir=DIR --data_dir=DIR --labels=FILE.csv
    python -m experiments.prepare --dataset=lks --manual_dir=DIR --data_dir=DIR

Two cores take 4 to 6 seconds for a scan of LUNA16, 60 to 90 minutes for all 888. A data set that is there already is
kept, and so is every scan and slide that an interrupted or failed call finished. With --beam_runner Apache Beam does
the work on scans: data_builders/README.md.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import command
from medssl_jax.data import scan_source, slide_source
from medssl_jax.data.foreground import BACKGROUND_GREY_LEVELS
from medssl_jax.errors import InputError
from medssl_jax.progress import progress_bar
from medssl_jax.slides import SlideLayout

FLAGS = flags.FLAGS
FLAGS_OF_LKS = ("grid", "patch_side", "shrink", "background_threshold")
FLAGS_OF_FOLDER = ("labels", "labelled_list", "lungs")
FLAGS_OF_SCANS = ("allow_absent", "beam_runner", "beam_options")

flags.DEFINE_enum("dataset", "luna16", [*scan_source.DATA_SETS, "lks"], "which data set to make")
flags.DEFINE_string("manual_dir", None, "folder of the unpacked download, or of your scans", required=True)
flags.DEFINE_string("data_dir", None, "folder of the made data set", required=True)
flags.DEFINE_integer(
    "workers", 2, "processes; each takes 2 GB of memory for large scans, 0.5 for slides", lower_bound=1
)
flags.DEFINE_bool("allow_absent", False, "scans: goes on without those that are not there or cannot be read")
flags.DEFINE_integer("min_slices", None, "nlst: the fewest slices of a series")
flags.DEFINE_string("labels", None, "folder: CSV file of points or boxes, or folder of masks")
flags.DEFINE_string("labelled_list", None, "folder: CSV file of the series that are labelled")
flags.DEFINE_string("lungs", None, "folder: folder of lung masks; without it lungs are segmented")
flags.DEFINE_string("beam_runner", None, "scans: Apache Beam's runner, such as DataflowRunner; none: processes here")
flags.DEFINE_multi_string("beam_options", [], "scans: a flag of Beam's, such as --project=NAME; may be repeated")
flags.DEFINE_integer("grid", SlideLayout.grid, "lks: patches a side of the centre crop")
flags.DEFINE_integer("patch_side", SlideLayout.patch_side, "lks: pixels a side of a patch")
flags.DEFINE_integer("shrink", SlideLayout.shrink, "lks: pixels a side that make one of the low-resolution image")
flags.DEFINE_float(
    "background_threshold", BACKGROUND_GREY_LEVELS, "lks: a patch no brighter on average, in grey levels, is background"
)


def main(argv: Sequence[str]) -> None:
    """Prepares and says what is there."""
    del argv
    source = _prepare_lks() if FLAGS.dataset == "lks" else _prepare_scans()
    print(f"{FLAGS.data_dir}: {source}")


def _prepare_scans():
    _refuse(FLAGS_OF_LKS, "lks")
    if FLAGS.dataset != "folder":
        _refuse(FLAGS_OF_FOLDER, "folder")
    if FLAGS.dataset != "nlst":
        _refuse(("min_slices",), "nlst")
    if FLAGS.beam_options and not FLAGS.beam_runner:
        raise InputError("--beam_options: found without --beam_runner: give that too, or leave them out")
    options: dict[str, Any] = {
        name: FLAGS[name].value for name in (*FLAGS_OF_FOLDER, "min_slices") if FLAGS[name].present
    }
    scan_source.prepare_scans(
        FLAGS.dataset,
        FLAGS.manual_dir,
        FLAGS.data_dir,
        workers=FLAGS.workers,
        allow_absent=FLAGS.allow_absent,
        beam_runner=FLAGS.beam_runner,
        beam_options=FLAGS.beam_options,
        **options,
    )
    return scan_source.open_scans(FLAGS.dataset, FLAGS.data_dir)


def _prepare_lks():
    _refuse((*FLAGS_OF_SCANS, *FLAGS_OF_FOLDER, "min_slices"), "one of scans")
    slide_source.prepare_lks(
        FLAGS.manual_dir,
        FLAGS.data_dir,
        SlideLayout(FLAGS.grid, FLAGS.patch_side, FLAGS.shrink),
        background_threshold=FLAGS.background_threshold,
        workers=FLAGS.workers,
        progress=progress_bar("preparing", "slides"),
    )
    return slide_source.open_lks(FLAGS.data_dir)


def _refuse(names, data_set):
    for name in names:
        if FLAGS[name].present:
            raise InputError(f"--{name}: is for --dataset={data_set}, found --dataset={FLAGS.dataset}: leave it out")


if __name__ == "__main__":
    command.run(main)
