"""`focalmix_plus`: three changes of FocalMix, chosen together on crops of real nodules that were no test's.

Nothing here is the paper's (o). docs/science.md has what each is worth, and what was tried beside them.
"""

from collections.abc import Mapping
from typing import Any


def plus(steps: int) -> Mapping[str, Any]:
    """The changes for a run of `steps`.

    - An average of the weights makes the targets, and is what is evaluated: guesses of one step are noisy.
    - The learning rate does not fall, since the average does what a falling rate would: under FocalMix's cosine most of
      the rate is spent before unlabelled patches count.
    - Half of the unlabelled patches lie round what the detector suspects when its burn-in, a third of the run, ends:
      hidden nodules are rare in patches drawn anywhere.
    """
    return {
        "optimiser.ema_decay": 1 - 15 / steps,  # weights of a fifteenth of the run: .99 for 1,500 steps
        "ssl.teacher": "ema",
        "optimiser.schedule": "constant",
        "ssl.ramp_start_share": 0.3,
        "ssl.ramp_share": 0.2,
        "patches.candidate_share": 0.5,
    }
