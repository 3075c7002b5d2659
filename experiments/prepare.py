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

from absl import flags

from data_builders import scan_source, slide_source
from experiments import command, data_set_flags
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.data.scans.preparation import LUNGS, REGIONS, SPACING_MM, SPACINGS_MM, Preparation
from medssl_jax.data.slides.foreground import BACKGROUND_GREY_LEVELS
from medssl_jax.imaging.slides import SlideLayout

FLAGS = flags.FLAGS
DATA_SETS_OF_FLAG = {
    **data_set_flags.DATA_SETS_OF_OPTION,
    **dict.fromkeys(("grid", "patch_side", "shrink", "background_threshold"), ("lks",)),
    **dict.fromkeys(("allow_absent", "region", "spacing_mm", "beam_runner", "beam_options"), scan_source.DATA_SETS),
}

data_set_flags.define([*scan_source.DATA_SETS, "lks"], purpose="to make")
flags.DEFINE_string("data_dir", None, "folder of the made data set", required=True)
flags.DEFINE_integer(
    "workers", 2, "processes; each takes 2 GB of memory for large scans, 0.5 for slides", lower_bound=1
)
flags.DEFINE_bool("allow_absent", False, "scans: goes on without those that are not there or cannot be read")
flags.DEFINE_enum("region", LUNGS, REGIONS, "scans: what will be searched, as data.region of the config has it")
flags.DEFINE_float("spacing_mm", SPACING_MM, "scans: side of the voxels, as data.spacing_mm of the config has it")
flags.register_validator(
    "spacing_mm",
    lambda value: SPACINGS_MM[0] <= value <= SPACINGS_MM[1],
    f"expected {SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g}",
)
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
    data_set_flags.refuse_those_of_others(DATA_SETS_OF_FLAG)
    command.expect_paths("labels", "labelled_list", "lungs")
    source = _prepare_lks() if FLAGS.dataset == "lks" else _prepare_scans()
    print(f"{FLAGS.data_dir}: {source}")


def _prepare_scans() -> scan_source.ScanSource:
    if FLAGS.beam_options and not FLAGS.beam_runner:
        raise InputError("--beam_options: found without --beam_runner: give that too, or leave them out")
    scan_source.prepare_scans(
        FLAGS.dataset,
        FLAGS.manual_dir,
        FLAGS.data_dir,
        workers=FLAGS.workers,
        allow_absent=FLAGS.allow_absent,
        preparation=Preparation(FLAGS.region, FLAGS.spacing_mm),
        beam_runner=FLAGS.beam_runner,
        beam_options=FLAGS.beam_options,
        **data_set_flags.given(*data_set_flags.DATA_SETS_OF_OPTION),
    )
    return scan_source.open_scans(FLAGS.dataset, FLAGS.data_dir)


def _prepare_lks() -> slide_source.LksSource:
    slide_source.prepare_lks(
        FLAGS.manual_dir,
        FLAGS.data_dir,
        SlideLayout(FLAGS.grid, FLAGS.patch_side, FLAGS.shrink),
        background_threshold=FLAGS.background_threshold,
        workers=FLAGS.workers,
        progress=progress_bar("preparing", "slides"),
    )
    return slide_source.open_lks(FLAGS.data_dir)


if __name__ == "__main__":
    command.run(main)
