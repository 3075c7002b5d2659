"""FocalMix on scans of your own: all that have labels but for two folds, and all that have none.

    python -m experiments.focalmix --config=configs/own.py --workdir=runs/own --config.data.manual_dir=DIR \\
        --config.data.options.labels=FILE.csv

DIR holds MetaImage, NIfTI, NRRD or DICOM series in any tree; data_builders/folder/README.md says what labels can be.
Hardware: meant for one GPU of 80 GB. Which fold a scan is in is said there too; every setting of the split is ours.
"""

from ml_collections import ConfigDict

from experiments.configs import focalmix


def get_config(_: str = "") -> ConfigDict:
    """The parent on a folder; tested on the labelled scans of folds 8 and 9."""
    config = focalmix.get_config()
    config.data.data_set = "folder"
    config.data.manual_dir = "data/own"
    config.data.options = ConfigDict(
        dict(
            labels="",  # CSV file of points or boxes, or folder of masks
            labelled_list="",  # CSV file of the labelled scans, where some of them have no nodule
            lungs="",  # folder of lung masks; the lungs of scans without one are found
        )
    )
    config.split.train_subsets = tuple(range(8))
    config.split.test_subsets = (8, 9)
    config.split.labelled = -1
    config.split.unlabelled = 0
    config.split.unlabelled_extra = -1
    return config
