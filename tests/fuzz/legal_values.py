"""What each number of a config may be: written down anew, to be held against what the commands take."""

import math
from collections.abc import Callable
from typing import Any

MANY = 2**31 - 1  # steps are counted in 32 bits


def within(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Callable[[Any], bool]:
    """Whether a number is finite and from `low` to `high`; one of them not itself."""
    return lambda value: (
        math.isfinite(value) and (value > low if above else value >= low) and (value < high if below else value <= high)
    )


def each_within(low: float, high: float = math.inf, *, least: int = 1) -> Callable[[Any], bool]:
    """Whether all of at least so many numbers are."""
    return lambda values: len(values) >= least and all(map(within(low, high), values))


positive, share = within(0, above=True), within(0, 1)
# What each field may be, in a sentence of mathematics; what is not here may be anything of its type.
LEGAL_OF_BOTH: dict[str, Callable[[Any], bool]] = {
    "model.dtype": ("auto", "float32", "bfloat16").__contains__,
    "seed": within(0, 2**63 - 1),
    "steps": within(1, MANY),
    "split.seed": within(0),
    "optimiser.learning_rate": positive,
    "optimiser.warmup_share": share,
    "optimiser.b1": within(0, 1, below=True),
    "optimiser.b2": within(0, 1, below=True),
    "optimiser.weight_decay": within(0),
    "optimiser.clip_norm": positive,
    "optimiser.ema_decay": within(0, 1, below=True),
    "logging.log_every": within(1, MANY),
    "logging.save_every": within(1, MANY),
    "logging.keep_checkpoints": within(1),
    "logging.bootstraps": within(1),
}
LEGAL: dict[str, dict[str, Callable[[Any], bool]]] = {
    "focalmix": LEGAL_OF_BOTH
    | {
        "data.workers": within(0),
        "split.labelled": lambda value: value == -1 or value >= 1,
        "split.unlabelled": within(-1),
        "split.unlabelled_extra": within(-1),
        "patches.side": within(1),
        "patches.labelled_batch": within(1),
        "patches.unlabelled_batch": within(0),
        "patches.max_objects": within(1),
        "patches.nodule_share": share,
        "patches.jitter": within(0, 16),  # half a patch of 32: beyond it the nodule may lie outside
        "patches.scale_range": lambda value: len(value) == 2 and 0 < value[0] <= value[1] < math.inf,
        "patches.symmetry_group": ("flips", "cube").__contains__,
        "patches.loader_threads": within(0),
        "model.stem_features": within(0),
        "model.features": each_within(1),
        "model.blocks": each_within(1),
        "model.pyramid_features": within(1),
        "model.head_depth": within(0),
        "model.prior": within(0, 1, above=True, below=True),
        "anchors.strides": each_within(1),
        "anchors.positive_iou": within(0, 1, above=True),
        "anchors.ignored_iou": within(0, 1, above=True),
        "loss.negative_weight": within(0),
        "loss.positive_weight": within(0),
        "loss.gamma": lambda value: value == 0 or within(1)(value),
        "loss.box_weight": within(0),
        "ssl.views": within(1),
        "ssl.views_at_once": within(1),
        "ssl.temperature": positive,
        "ssl.ramp_start_share": share,
        "ssl.ramp_share": share,
        "mixup.group": within(1),
        "mixup.eta": positive,
        "mixup.object_window": within(1),
        "mixup.object_score": positive,
        "mixup.object_nms_iou": within(0, 1),
        "inference.overlap": within(0),
        "inference.window_batch": within(1),
        "inference.candidates": within(1),
        "inference.window_detections": within(1),
        "inference.scan_candidates": within(1),
        "inference.score_threshold": within(0, 1, above=True),
        "inference.nms_iou": within(0, 1),
        "inference.marks": within(1),
    },
    "sos": LEGAL_OF_BOTH
    | {
        "data.grid": within(1),
        "data.patch_side": within(1),
        "data.shrink": within(1),
        "data.background_threshold": within(0, 255),
        "split.validation_share": within(0, 1, above=True, below=True),
        "batches.slides": within(1),
        "batches.chunk": within(0),
        "batches.loader_threads": within(1),
        **{f"model.{name}_features": each_within(1) for name in ("low", "high", "policy")},
        **{f"model.{name}_blocks": each_within(0) for name in ("low", "high", "policy")},
        "model.low_stem_block": within(0),
        "model.high_stem_block": within(0),
        "model.attention_features": within(1),
        "model.intensity_mean": within(-math.inf),
        "model.intensity_deviation": within(0),
        "method.join": ("add", "concat", "none").__contains__,
        **{f"method.{name}_weight": within(0) for name in ("low", "high", "paradoxical", "hesitant", "hurried")},
        "method.c": share,
        "method.eps": within(0, 1),
        "method.policy_weight": within(0),
        "method.entropy_weight": within(0),
        "method.even_weight": within(0),
        "method.baseline_decay": share,
        "method.reward": ("relative", "correct").__contains__,
        "method.ask_cost": within(0),
        "method.budget": within(0, 1, above=True),
        "method.budget_rate": within(0),
        "method.gatekeeper_share": within(0, 1, below=True),
        "method.gatekeeper_alpha": within(0, 1, above=True, below=True),
        "optimiser.accumulate": within(1),
        "inference.rule": ("confidence", "low", "high", "policy", "deferral").__contains__,
        "inference.c": share,
        "inference.deferral_budget": within(0, 1, above=True),
        "inference.top_k": within(0),
        "inference.top_k_tried": each_within(1, least=0),
        "inference.slide_batch": within(1),
        "inference.patch_batch": within(1),
    },
}
