"""The supervised detector on one of LUNA16's ten official folds: trained on nine subsets, tested on the tenth.

    python -m experiments.focalmix --config=configs/luna_fold.py:3 --workdir=runs/luna_fold_3

Ten runs, one a fold, are LUNA16's own protocol; their submissions joined are scored by `experiments.evaluate`.
Hardware: meant for one GPU of 80 GB. Time: not measured, LUNA16 could not be fetched where this was written.
The paper's base model (table 2) has a CPM of 91.2 % over the ten folds. Here MixUp is on (o).
"""

from ml_collections import ConfigDict

from experiments.configs import luna_full
from medssl_jax.core.errors import InputError


def get_config(fold: str = "0") -> ConfigDict:
    """`luna_full` tested on subset `fold` and trained on all others."""
    if fold not in map(str, range(10)):
        raise InputError(f"configs/luna_fold.py:{fold}: expected a fold from 0 to 9, such as configs/luna_fold.py:3")
    config = luna_full.get_config()
    config.split.test_subsets = (int(fold),)
    config.split.train_subsets = tuple(subset for subset in range(10) if subset != int(fold))
    return config
