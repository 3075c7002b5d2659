"""`focalmix_plus`: FocalMix's labelled and unlabelled patches and its MixUp, with other labels for the unlabelled ones.

Nothing here is the paper's (o). The changes were chosen together on crops of real nodules that were no test's;
docs/science.md has what was tried beside them, and what each is worth.
"""

from collections.abc import Mapping
from typing import Any


def plus(steps: int) -> Mapping[str, Any]:
    """The changes for a run of `steps`.

    - Marks are the labels. When the burn-in ends, and twice after, the detector searches the unlabelled scans. If these
      hold as many nodules as labelled ones do, the best marks count as nodules, .6 of that number; those up to twice
      that number are not learnt from; every other place is background. FocalMix asks each patch alone, where a place of
      middling score beside a nodule looks like one without.
    - Half of the unlabelled patches lie round such marks: hidden nodules are rare in patches drawn anywhere.
    - The learning rate does not fall, and an average of the weights is evaluated instead, which does what a falling
      rate would: under FocalMix's cosine most of the rate is spent before unlabelled patches count.
    """
    return {
        "ssl.targets": "marks",
        "ssl.searches": 3,
        "ssl.ramp_start_share": 0.3,
        "ssl.ramp_share": 0.2,
        "patches.candidate_share": 0.5,
        "optimiser.schedule": "constant",
        "optimiser.ema_decay": 1 - 15 / steps,  # weights of a fifteenth of the run: .99 for 1,500 steps
    }
