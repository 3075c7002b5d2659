"""How large nodules are: a shifted lognormal fitted to LUNA16's annotations.csv (1,186 nodules)."""

import numpy as np
from etils import epy
from jaxtyping import Float

with epy.lazy_imports():
    from scipy import stats

LUNA16_DIAMETER_RANGE_MM = (3.25, 32.27)
# diameter = 3.2 mm + exp(normal): annotations start sharply at 3.25 mm. Fitted by least Kolmogorov-Smirnov distance
# (0.030; a lognormal without shift is at 0.077).
SHIFT_MM = 3.2
LOG_MEAN = 1.25
LOG_STANDARD_DEVIATION = 0.92


def draw_diameters_mm(
    rng: np.random.Generator, count: int, largest_mm: float = LUNA16_DIAMETER_RANGE_MM[1]
) -> Float[np.ndarray, " count"]:
    """Draws nodule diameters as in LUNA16, none above `largest_mm` (the distribution is truncated, not clipped)."""
    law = stats.norm(LOG_MEAN, LOG_STANDARD_DEVIATION)
    lowest, highest = law.cdf(np.log(np.array([LUNA16_DIAMETER_RANGE_MM[0], largest_mm]) - SHIFT_MM))
    return SHIFT_MM + np.exp(law.ppf(rng.uniform(lowest, highest, count)))
