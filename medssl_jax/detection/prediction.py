"""The output of a detector: one logit an anchor, as focal loss takes it (Lin et al., arXiv 1708.02002)."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Prediction(NamedTuple):
    """The logit of a nodule at each anchor, and the deltas of its box (`detection.boxes`)."""

    logits: Float[Array, "*b anchors"]
    deltas: Float[Array, "*b anchors 4"]
