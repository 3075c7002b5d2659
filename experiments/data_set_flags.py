"""The flags of the commands on downloaded data sets: where the files lie, and which data sets have which flag."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from data_builders.folder.frames import FRAMES_TO_ASK_FOR
from medssl_jax.core.errors import InputError

FLAGS = flags.FLAGS
DATA_SETS_OF_OPTION = {
    "labels": ("folder",),
    "labelled_list": ("folder",),
    "lungs": ("folder",),
    "frame": ("folder",),
    "min_slices": ("nlst",),
}
# So that --help of each command lists them.
flags.disclaim_key_flags()


def define(data_sets: Sequence[str], *, purpose: str) -> None:
    """`--dataset`, which is one of `data_sets`, `--manual_dir`, and a flag for each of `DATA_SETS_OF_OPTION`."""
    flags.DEFINE_enum("dataset", "luna16", data_sets, f"which data set {purpose}")
    flags.DEFINE_string("manual_dir", None, "folder of the unpacked download, or of your scans", required=True)
    flags.DEFINE_string("labels", None, "folder: CSV file of points or boxes, or folder of masks")
    flags.DEFINE_string("labelled_list", None, "folder: CSV file of the series that are labelled")
    flags.DEFINE_string("lungs", None, "folder: folder of lung masks; the lungs of scans without one are found")
    flags.DEFINE_enum(
        "frame",
        FRAMES_TO_ASK_FOR[0],
        FRAMES_TO_ASK_FOR,
        "folder: of a CSV file's coordinates; auto: the one in which all lesions lie in their scans",
    )
    flags.DEFINE_integer("min_slices", None, "nlst: the fewest slices of a series")


def given(*names: str) -> dict[str, Any]:
    """Those of the flags that the user gave, with their values."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].present}


def refuse_those_of_others(data_sets_of_flag: Mapping[str, Sequence[str]]) -> None:
    """Raises `InputError` where a flag is given that the chosen `--dataset` does not have."""
    for name in given(*data_sets_of_flag):
        if FLAGS.dataset not in data_sets_of_flag[name]:
            told = " or ".join(data_sets_of_flag[name])
            raise InputError(f"--{name}: is for --dataset={told}, found --dataset={FLAGS.dataset}: leave it out")
