"""FocalMix on scans of your own, which needs a folder and a file of labels; the rest follows from what is found.

    python -m experiments.focalmix --config=configs/own.py --workdir=runs/own --config.data.manual_dir=DIR \\
        --config.data.options.labels=FILE.csv

DIR holds MetaImage, NIfTI, NRRD or DICOM series in any tree; data_builders/folder/README.md says what labels can be.
Fields that are None are chosen when the run begins: from the scans and the folds that hold labelled ones, the sizes of
the lesions, and the memory of the devices, by the compiler's own account of the step. The run prints what it chose and
why, keeps it as WORKDIR/choice.json, and goes on with it wherever it is started again. A field that is given is kept.
For lesions elsewhere than in lungs give --config.data.mask_lungs=False: then the body is searched, in a window of soft
tissue (--config.data.window_hu="(-160,240)" says another, --config.data.spacing_mm=2.0 other voxels).

Hardware: a CPU, or GPUs of 8 GB and more. Everything here is our choice (o) but what the parent marks as the paper's.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from experiments.configs import focalmix, phantom

# The sides that patches may have, in voxels; a lesion fills at most half of one.
SIDES = (32, 48, 64, 96, 128, 160)
# Anchors are those of this ladder, in voxels, that lesions are as large as. The stride of each is the last that begins
# by it.
ANCHOR_SIDES = (4.5, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 56.0, 80.0, 112.0)
STRIDES_FROM = {4: 0.0, 8: 12.0, 16: 24.0}
# From the least to the most that a device may be asked for; a CPU trains the first.
NETWORKS = {
    "small": phantom.get_config().model,
    "middle": ConfigDict(
        phantom.get_config().model.to_dict()
        | dict(features=(24, 48, 96, 160), blocks=(1, 1, 2, 2), pyramid_features=48, head_depth=2)
    ),
    "large": focalmix.get_config().model,
}
# Rows of each kind that make one update.
BATCH = 8  # (p)
BATCH_ON_CPU = 4
# The share of a device's memory that a step may take; a CPU's is also that of all else that runs.
MEMORY_SHARE, MEMORY_SHARE_ON_CPU = 0.9, 0.5
# Updates: of an accelerator so many a labelled scan; on a CPU as many as see this many voxels.
UPDATES_A_SCAN, FEWEST_UPDATES, MOST_UPDATES = 200, 3_000, 30_000
VOXELS_ON_CPU, FEWEST_ON_CPU, MOST_ON_CPU = 160e6, 300, 600
TESTED_SHARE = 0.2  # of the labelled scans, at least; whole folds, the last ones first
# Of the others that share validates, for thresholds and a calibration, where it is so many scans and lesions or more:
# of fewer a threshold for one false positive a scan would be a guess, and training needs them more.
VALIDATED_SHARE, FEWEST_VALIDATED, MOST_VALIDATED = 0.2, 5, 50
VALIDATIONS, VALIDATIONS_ON_CPU = 4, 1  # scores on these while a run trains, the one at its end among them
# What runs of minutes need otherwise, as it was found on the phantom; longer ones are as the parent has them.
RECIPE_FIELDS = (
    *("loss.negative_weight", "loss.positive_weight", "optimiser.learning_rate"),
    *("ssl.ramp_start_share", "ssl.ramp_share"),
)
# What is searched where lungs are masked and where they are not, and the HU that are told apart there.
REGION_OF_MASKING = {True: "lungs", False: "body"}
WINDOWS_HU = {"lungs": focalmix.get_config().data.window_hu, "body": (-160, 240)}  # of the body: soft tissue's
BY_MASKING = {"data.region": str, "data.window_hu": tuple}
FOLDERS = {"data.data_dir": "prepared", "data.cache_dir": "prepared/cache"}  # below the workdir
# Each field that is chosen, with the kind of its values.
CHOSEN = {
    **{f"split.{name}": tuple for name in ("train_subsets", "test_subsets")},
    "split.unlabelled_extra": int,
    "split.validation": int,
    **{f"patches.{name}": int for name in ("side", "jitter", "labelled_batch", "unlabelled_batch", "loader_threads")},
    **{f"model.{name}": int for name in ("stem_features", "pyramid_features", "head_depth")},
    **{f"model.{name}": tuple for name in ("features", "blocks")},
    **{f"anchors.{name}": tuple for name in ("strides", "sides_mm")},
    "mixup.group": int,
    "mixup.object_window": int,
    "steps": int,
    "optimiser.accumulate": int,  # steps whose mean gradient makes one update
    **dict.fromkeys(RECIPE_FIELDS, float),
    "inference.overlap": int,
    "inference.window_batch": int,
    "logging.save_every": int,
    "validation.every": int,
}


def get_config(_: str = "") -> ConfigDict:
    """The parent on a folder, with a None for each field that is chosen when the run begins."""
    config = focalmix.get_config()
    config.data.data_set = "folder"
    config.data.manual_dir = "data/own"
    config.data.options = ConfigDict(
        dict(
            labels="",  # CSV file of points or boxes, or folder of masks
            labelled_list="",  # CSV file of the labelled scans, where some of them have no nodule
            lungs="",  # folder of masks of lungs, or of what else is searched; where there is none it is found
            frame="auto",  # LPS or RAS: of a table's coordinates; auto: the one in which all lesions lie in their scans
        )
    )
    config.split.labelled = -1
    config.split.unlabelled = 0
    for field, kind in {**CHOSEN, **BY_MASKING, **dict.fromkeys(FOLDERS, str)}.items():
        *sections, name = field.split(".")
        section = config[sections[0]] if sections else config
        if name in section:
            del section[name]
        section[name] = placeholder(kind)
    return config
