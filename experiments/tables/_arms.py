"""What a labelled count is trained by, as overrides: the arms that tables share."""

from collections.abc import Mapping
from typing import Any

SUPERVISED = {"split.unlabelled": 0, "patches.unlabelled_batch": 0}
NO_MIXUP = {"mixup.image": False, "mixup.object": False}


def focalmix(labelled: int) -> Mapping[str, Any]:
    """FocalMix as the config has it."""
    return {"split.labelled": labelled}


def supervised(labelled: int) -> Mapping[str, Any]:
    """The supervised baseline, with MixUp among the labelled patches; -1 for every training scan."""
    return {"split.labelled": labelled, **SUPERVISED}
