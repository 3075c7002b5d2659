"""The SOS paper's figures on LKS's 205 test slides: Tables 3 and 4 of Maksoud et al., SOS, CVPR 2020."""

from collections.abc import Mapping
from typing import NamedTuple

PAPER_SLIDES = {"Neg": 103, "AMA": 45, "SMA-V": 46, "SMA-T": 11}


class PaperRow(NamedTuple):
    """A method's figures in the paper; `class_scores` holds (F1, precision, recall, specificity) of each class."""

    right: int
    relative_size: float
    seconds_per_slide: float
    speed_boost: float
    low_share: float | None
    class_scores: Mapping[str, tuple[float, float, float, float]]


# TA % of Table 3 is `right` / 205.
PAPER: dict[str, PaperRow] = {
    "Image-Level": PaperRow(
        *(168, 1.00, 8.37, 14.59, None),
        {
            "Neg": (0.8800, 0.8115, 0.9612, 0.7745),
            "AMA": (0.8989, 0.9090, 0.8889, 0.9750),
            "SMA-V": (0.6667, 0.7368, 0.6087, 0.9371),
            "SMA-T": (0.1667, 1.0000, 0.0909, 1.0000),
        },
    ),
    "Patch-Level": PaperRow(
        *(142, 1.50, 94.10, 1.3, None),
        {
            "Neg": (0.7967, 0.6853, 0.9515, 0.5588),
            "AMA": (0.8471, 0.9000, 0.8000, 0.9750),
            "SMA-V": (0.2353, 0.3636, 0.1739, 0.9120),
            "SMA-T": (0.0000, 0.0000, 0.0000, 1.0000),
        },
    ),
    "Multi-Scale": PaperRow(
        *(175, 2.17, 122.10, 1.00, None),
        {
            "Neg": (0.9083, 0.8609, 0.9612, 0.8431),
            "AMA": (0.8706, 0.9250, 0.8222, 0.9813),
            "SMA-V": (0.7778, 0.7955, 0.7609, 0.9434),
            "SMA-T": (0.4706, 0.6667, 0.3636, 0.9897),
        },
    ),
    "RDMS": PaperRow(
        *(182, 3.83, 57.30, 2.13, 0.55),
        {
            "Neg": (0.9300, 0.9588, 0.9029, 0.9608),
            "AMA": (0.9149, 0.8776, 0.9556, 0.9625),
            "SMA-V": (0.8367, 0.7885, 0.8913, 0.9308),
            "SMA-T": (0.5556, 0.7143, 0.4545, 0.9897),
        },
    ),
    "SOS": PaperRow(
        *(186, 2.17, 15.78, 7.74, 0.94),
        {
            "Neg": (0.9406, 0.9596, 0.9223, 0.9608),
            "AMA": (0.9348, 0.9149, 0.9556, 0.9750),
            "SMA-V": (0.8542, 0.8200, 0.8913, 0.9434),
            "SMA-T": (0.7000, 0.7778, 0.6364, 0.9897),
        },
    ),
}
