"""Other semi-supervised methods in FocalMix's code, data and budget, each as a change of its config.

None is a reproduction: detector, focal loss, batches and steps are FocalMix's; which ideas are a paper's is said (p),
what has no mark is ours (o). The marks were compared with the authors' published code (CuriousAI/mean-teacher,
google-research/fixmatch and ssl_detection, Megvii-BaseDetection/DenseTeacher).
"""

from collections.abc import Mapping
from typing import Any

_NO_MIXUP = {"mixup.image": False, "mixup.object": False}

# Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780: an average of the student's weights says what the student is to
# say under noise (p). Of the focal loss instead of a squared difference, with this decay and this noise: (o). The
# paper's code asks the same of labelled images and makes the teacher noisy too; here neither.
MEAN_TEACHER: Mapping[str, Any] = {
    **_NO_MIXUP,
    "ssl.teacher": "ema",  # (p)
    "ssl.views": 1,  # (p)
    "ssl.temperature": 1.0,  # (p) no sharpening
    "optimiser.ema_decay": 0.995,  # theirs is .99, then .999, in runs a hundred times as long
    "augmentation.labelled": True,  # (p) noise for all the student sees
    "augmentation.intensity_scale": 0.1,
    "augmentation.intensity_shift": 0.05,
    "augmentation.noise": 0.05,
}

# Sohn et al., NeurIPS 2020, arXiv 2001.07685 (FixMatch), and STAC, arXiv 2005.04757: hard pseudo-labels of confident
# guesses on plain patches teach the student on strongly changed ones (p). The guesses are the student's own, as
# FixMatch's (p); STAC's are made once by a teacher that was trained before. Thresholds: (o), as focal scores are lower
# than the papers' .95 and .9; guesses between are targets of their own here, where FixMatch leaves them out and STAC
# takes them for background (o). FixMatch has seven unlabelled images for a labelled one, STAC's count twice.
FIXMATCH: Mapping[str, Any] = {
    **_NO_MIXUP,
    "ssl.targets": "sure",
    "ssl.sure_positive_ratio": 1e6,  # (p) every anchor above the threshold
    "ssl.sure_positive_from": 0.7,
    "ssl.sure_background_below": 0.1,
    "ssl.views": 1,  # (p)
    "augmentation.intensity_scale": 0.25,
    "augmentation.intensity_shift": 0.1,
    "augmentation.blur": 1.0,
    "augmentation.noise": 0.1,
    "augmentation.cut_out": 0.4,  # (p) is among the strong changes
}

# Zhou et al., ECCV 2022, arXiv 2207.02541: soft targets on the anchors where an averaged teacher says most, background
# on all others, no non-maximum suppression in between; a strong student, burn-in, a constant rate (p). The paper takes
# the top 1 % of the anchors, here a threshold does (o); it learns the teacher's boxes there as well, here no box is
# learnt from unlabelled patches (o); its decay is .9996 in runs a hundred times as long.
DENSE_TEACHER: Mapping[str, Any] = {
    **_NO_MIXUP,
    "ssl.targets": "sure",
    "ssl.sure_positive_ratio": 0.0,  # (p) none becomes 1
    "ssl.sure_background_below": 0.1,
    "ssl.teacher": "ema",  # (p)
    "ssl.views": 1,  # (p)
    "optimiser.ema_decay": 0.995,
    "optimiser.schedule": "constant",  # (p)
    "augmentation.intensity_scale": 0.25,
    "augmentation.intensity_shift": 0.1,
    "augmentation.blur": 1.0,
    "augmentation.noise": 0.1,
    "augmentation.cut_out": 0.4,
}
