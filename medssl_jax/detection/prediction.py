"""What a detector says."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Prediction(NamedTuple):
    """Of each anchor the logit of a nodule, and the code of its box (`detection.boxes`)."""

    logits: Float[Array, "*b anchors"]
    codes: Float[Array, "*b anchors 4"]
