"""Makes the TFDS data set that training reads from the files as downloaded.

    python -m experiments.prepare --dataset=luna16 --manual_dir=DIR --data_dir=DIR
    python -m experiments.prepare --dataset=lks --manual_dir=DIR --data_dir=DIR --workers=8

On two cores LUNA16 takes 4 to 6 seconds a scan, 60 to 90 minutes for all 888. A data set that is there already is kept,
and so is every slide of LKS that an interrupted or failed call finished.
"""

from collections.abc import Sequence

from absl import flags

from experiments import command
from medssl_jax.data import sources
from medssl_jax.data.foreground import BACKGROUND_GREY_LEVELS
from medssl_jax.errors import InputError
from medssl_jax.progress import progress_bar
from medssl_jax.slides import SlideLayout

FLAGS = flags.FLAGS
FLAGS_OF_LKS = ("workers", "grid", "patch_side", "shrink", "background_threshold")

flags.DEFINE_enum("dataset", "luna16", ["luna16", "lks"], "which data set to make")
flags.DEFINE_string("manual_dir", None, "folder of the unpacked download", required=True)
flags.DEFINE_string("data_dir", None, "folder of the made data set", required=True)
flags.DEFINE_integer("workers", 2, "lks: processes, each 0.5 GB of memory at most", lower_bound=1)
flags.DEFINE_integer("grid", SlideLayout.grid, "lks: patches a side of the centre crop")
flags.DEFINE_integer("patch_side", SlideLayout.patch_side, "lks: pixels a side of a patch")
flags.DEFINE_integer("shrink", SlideLayout.shrink, "lks: pixels a side that make one of the low-resolution image")
flags.DEFINE_float(
    "background_threshold", BACKGROUND_GREY_LEVELS, "lks: a patch no brighter on average, in grey levels, is background"
)


def main(argv: Sequence[str]) -> None:
    """Prepares and says what is there."""
    del argv
    source = _prepare_lks() if FLAGS.dataset == "lks" else _prepare_luna16()
    print(f"{FLAGS.data_dir}: {source}")


def _prepare_luna16():
    for name in FLAGS_OF_LKS:
        if FLAGS[name].present:
            raise InputError(f"--{name}: is for --dataset=lks, found --dataset={FLAGS.dataset}: leave it out")
    sources.prepare_luna16(FLAGS.manual_dir, FLAGS.data_dir)
    return sources.open_luna16(FLAGS.data_dir)


def _prepare_lks():
    sources.prepare_lks(
        FLAGS.manual_dir,
        FLAGS.data_dir,
        SlideLayout(FLAGS.grid, FLAGS.patch_side, FLAGS.shrink),
        background_threshold=FLAGS.background_threshold,
        workers=FLAGS.workers,
        progress=progress_bar("preparing", "slides"),
    )
    return sources.open_lks(FLAGS.data_dir)


if __name__ == "__main__":
    command.run(main)
