"""A job's split and sizes from the scans, the lesions and the devices there are: pure functions, all limits ours.

`experiments/configs/own.py` holds what is chosen among.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.configs import focalmix, own, phantom
from medssl_jax.core.errors import InputError

# Bytes that one device holds at once in a training step with these fields, by the compiler's account.
StepBytes = Callable[[Mapping[str, Any]], int]
SHORT, LONG = phantom.get_config(), focalmix.get_config()  # recipes of a CPU's runs and of others


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices of one kind, each with so many bytes that programs may take."""

    platform: str
    kind: str
    count: int
    memory_bytes: int

    @property
    def budget_bytes(self) -> int:
        """What a step may take of each."""
        share = own.MEMORY_SHARE_ON_CPU if self.platform == "cpu" else own.MEMORY_SHARE
        return int(share * self.memory_bytes)


class Choice(NamedTuple):
    """Fields of a config with their values, and in words what they follow from."""

    fields: Mapping[str, Any]
    reasons: tuple[str, ...]


def choose_split(labelled_of_fold: Mapping[int, int], unlabelled: int) -> Choice:
    """Folds to test on, the last ones, until they hold `TESTED_SHARE` of the labelled scans; the others train.

    Raises `InputError` where one fold holds all labelled scans, or there are none.
    """
    total = sum(labelled_of_fold.values())
    held = sorted((fold for fold, count in labelled_of_fold.items() if count), reverse=True)
    if len(held) < 2:
        where = f"fold {held[0]} alone" if held else "no fold"
        raise InputError(
            f"{total} labelled scans in {where}, expected some to train on and others, of other patients, to test on: "
            "label more scans, or give folds.csv or patients.csv"
        )
    tested: list[int] = []
    while sum(labelled_of_fold[fold] for fold in tested) < own.TESTED_SHARE * total and len(tested) < len(held) - 1:
        tested.append(held[len(tested)])
    trained = sorted({*held} - {*tested})
    test_scans = sum(labelled_of_fold[fold] for fold in tested)
    words = ", ".join(map(str, sorted(tested)))
    return Choice(
        {
            "split.train_subsets": tuple(trained),
            "split.test_subsets": tuple(sorted(tested)),
            "split.unlabelled_extra": -1 if unlabelled else 0,
        },
        (
            f"scans: {total} labelled, of which {total - test_scans} are trained on and {test_scans} tested on (folds "
            f"{words}); {unlabelled} unlabelled",
        ),
    )


def most_validated(trainable: int, *, labelled: int, unlabelled: int) -> int:
    """How many of the labelled scans that could be trained on may validate, where patients let them; 0 for too few.

    The config's `labelled` and `unlabelled` scans, -1 for all, are left to train on.
    """
    needed = max(labelled, 1) + (1 if unlabelled < 0 else unlabelled)
    most = min(math.ceil(own.VALIDATED_SHARE * trainable), own.MOST_VALIDATED, trainable - needed)
    return most if most >= own.FEWEST_VALIDATED else 0


def validation_in_words(trainable: int) -> str:
    """What a data set of so many labelled scans outside the tested folds lacks by not being validated; "" if it is."""
    if most_validated(trainable, labelled=-1, unlabelled=0):
        return ""
    enough = next(n for n in itertools.count(trainable) if most_validated(n, labelled=-1, unlabelled=0))
    return (
        f"validation: none of the {trainable} labelled scans outside the tested folds, since a fifth of them is fewer "
        f"than {own.FEWEST_VALIDATED}: detect will show the best marks, without knowing what scores are worth; "
        f"label {enough - trainable} more, or keep N of them apart by --config.split.validation=N"
    )


def choose_validation(trainable: int, lesions_of_validated: Sequence[int], lesions_of_trained: int) -> Choice:
    """All of the scans that were drawn, by the lesions of each, or none where these are too few for thresholds.

    They are drawn from so many `trainable` ones, of which the others hold so many lesions.
    """
    scans, lesions = len(lesions_of_validated), sum(lesions_of_validated)
    fewest = own.FEWEST_VALIDATED
    there = f"of the {trainable} labelled scans outside the tested folds"
    if scans >= fewest and fewest <= lesions <= lesions_of_trained:
        told = (
            f"validation: {scans} {there}, with {lesions} lesions, are not trained on and give thresholds and a "
            "calibration (operating_points.json)"
        )
        return Choice({"split.validation": scans}, (told,))
    found = f"{scans} with {lesions} lesions" if scans else "too few"
    told = (
        f"validation: none, since {there} a fifth in whole patients is {found}, where thresholds want {fewest} scans "
        f"with {fewest} lesions and as many lesions to train on: detect will not know what its scores are worth "
        "(--config.split.validation=N keeps N scans apart)"
    )
    return Choice({"split.validation": 0}, (told,))


def choose_sizes(
    labelled: int,
    unlabelled: int,
    lesions_mm: Sequence[float],
    devices: Devices,
    step_bytes: StepBytes,
    *,
    spacing_mm: float = 1.0,
    side: int | None = None,
    is_validated: bool = False,
) -> Choice:
    """Patches, anchors, network, batch and steps for `labelled` training scans with lesions of these extents.

    The network is the largest, and then the patches are, whose step fits the devices by `step_bytes`, which is asked a
    few times. A CPU trains the smallest, because its time ends before its memory. Every update is of the same number of
    patches: where they do not fit at once, steps accumulate. A `side` of patches, in voxels of
    `spacing_mm`, that is given is kept. A run that `is_validated` is scored a few times.

    Raises `InputError` where there is no lesion, or the smallest job does not fit.
    """
    if not len(lesions_mm):
        raise InputError("no labelled scan that is trained on holds a lesion, expected some: label more scans")
    small, large = (float(each) for each in np.quantile(lesions_mm, (0.05, 0.95), method="nearest"))
    lesions = small / spacing_mm, large / spacing_mm  # in voxels
    sides = [side] if side else [each for each in own.SIDES if each >= 2 * lesions[1]] or [own.SIDES[-1]]
    on_cpu = devices.platform == "cpu"
    rows_of_device = own.BATCH_ON_CPU if on_cpu else -(-own.BATCH // devices.count)
    # At once on all devices two rows of each kind or more, or MixUp would have nothing to mix.
    at_once = [rows for rows in _divisors(rows_of_device) if rows * devices.count >= 2]
    jobs = [("small", sides[0])]
    if not on_cpu:
        jobs += [("middle", sides[0]), *(("large", each) for each in sides)]
    asked: dict[tuple[str, int, int], int] = {}

    def fields_of(network: str, side: int, rows: int) -> dict[str, Any]:
        updates = _updates(labelled, side, rows_of_device * (1 + (unlabelled > 0)), on_cpu=on_cpu)
        fields = _fields(network, side, lesions, rows, rows_of_device // rows, devices, unlabelled > 0, updates)
        sides_mm = tuple(tuple(side * spacing_mm for side in sides) for sides in fields["anchors.sides_mm"])
        fields["anchors.sides_mm"] = sides_mm
        return fields | {"validation.every": is_validated * _steps_between_scores(fields, on_cpu=on_cpu)}

    def fits(network: str, side: int, rows: int) -> bool:
        job = network, side, rows
        if job not in asked:
            asked[job] = step_bytes(fields_of(*job))
        return asked[job] <= devices.budget_bytes

    too_large = (
        bisect.bisect_left(jobs, True, key=lambda job: not fits(job[0], job[1], at_once[0])) if len(jobs) > 1 else 1
    )
    chosen = jobs[max(0, too_large - 1)]
    rows = next((rows for rows in reversed(at_once) if fits(*chosen, rows)), None)
    if rows is None:
        needed = asked[(*chosen, at_once[0])]
        side_mm, has, may = chosen[1] * spacing_mm, devices.memory_bytes / 2**30, devices.budget_bytes / 2**30
        raise InputError(
            f"the smallest job, patches of {side_mm:g} mm, needs {needed / 2**30:.2f} GiB of a device, and of the "
            f"{has:.2f} GiB that {devices.kind} has {may:.2f} may be taken: use a larger device, or label smaller "
            "lesions"
        )
    fields = fields_of(*chosen, rows)
    told = (len(lesions_mm), small, large)
    reasons = _reasons(fields, told, (chosen[0], chosen[1] * spacing_mm), devices, asked[(*chosen, rows)])
    return Choice(fields, reasons)


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _updates(labelled: int, side: int, rows: int, *, on_cpu: bool) -> int:
    if on_cpu:
        return int(np.clip(own.VOXELS_ON_CPU / (rows * side**3), own.FEWEST_ON_CPU, own.MOST_ON_CPU)) // 50 * 50
    return int(np.clip(own.UPDATES_A_SCAN * labelled, own.FEWEST_UPDATES, own.MOST_UPDATES)) // 500 * 500


def _steps_between_scores(fields: Mapping[str, Any], *, on_cpu: bool) -> int:
    scores, save_every = (own.VALIDATIONS_ON_CPU if on_cpu else own.VALIDATIONS), fields["logging.save_every"]
    return save_every * math.ceil(fields["steps"] / (scores * save_every))


def _fields(
    network: str,
    side: int,
    lesions_voxel: tuple[float, float],
    rows_of_device: int,
    accumulate: int,
    devices: Devices,
    has_unlabelled: bool,
    updates: int,
) -> dict[str, Any]:
    on_cpu = devices.platform == "cpu"
    rows = rows_of_device * devices.count
    of_step = rows * (1 + has_unlabelled)
    recipe = SHORT if on_cpu else LONG
    model = own.NETWORKS[network]
    strides, sides_mm = _anchors(*lesions_voxel)
    return {
        "patches.side": side,
        "patches.jitter": 3 * side // 10,
        "patches.labelled_batch": rows,
        "patches.unlabelled_batch": rows * has_unlabelled,
        "patches.loader_threads": 2 if on_cpu else 8,
        **{field: model[field.partition(".")[2]] for field in own.CHOSEN if field.startswith("model.")},
        "anchors.strides": strides,
        "anchors.sides_mm": sides_mm,
        # Groups of the paper's batch or less, each with as many labelled rows as the others.
        "mixup.group": of_step // math.gcd(rows, -(-of_step // (2 * own.BATCH))),
        "mixup.object_window": min(LONG.mixup.object_window, side),
        "steps": updates * accumulate,
        "optimiser.accumulate": accumulate,
        **{field: _at(recipe, field) for field in own.RECIPE_FIELDS},
        # A lesion lies whole in some window.
        "inference.overlap": min(side // 2, max(math.ceil(lesions_voxel[1]), 12, side // 5)),
        "inference.window_batch": 2 * rows,
        "logging.save_every": (100 if on_cpu else 500) * accumulate,
    }


def _anchors(small: float, large: float) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    """The rungs of the ladder from the last up to `small` to the first from `large` on, by their stride; voxels."""
    ladder = own.ANCHOR_SIDES
    first = max(bisect.bisect_right(ladder, small) - 1, 0)
    last = min(bisect.bisect_left(ladder, large), len(ladder) - 1)
    of_stride: dict[int, list[float]] = {}
    for each in ladder[first : last + 1]:
        stride = max(stride for stride, least in own.STRIDES_FROM.items() if least <= each)
        of_stride.setdefault(stride, []).append(each)
    return tuple(of_stride), tuple(map(tuple, of_stride.values()))


def _at(config: Any, field: str) -> Any:
    section, _, name = field.partition(".")
    return config[section][name]


def _reasons(
    fields: Mapping[str, Any],
    lesions: tuple[int, float, float],
    job: tuple[str, float],
    devices: Devices,
    step_bytes: int,
) -> tuple[str, ...]:
    count, small, large = lesions
    network, side = job
    rows, unlabelled = fields["patches.labelled_batch"], fields["patches.unlabelled_batch"]
    anchors = [side for sides in fields["anchors.sides_mm"] for side in sides]
    accumulate = fields["optimiser.accumulate"]
    updates = f", {accumulate} of which make one update" if accumulate > 1 else ""
    cut = "" if 2 * large <= side else f"; lesions over {side / 2:g} mm fill more than half of a patch"
    return (
        f"lesions: {count} to train on, {small:.3g} to {large:.3g} mm (5 to 95 %): patches of {side:g} mm, anchors of "
        f"{anchors[0]:g} to {anchors[-1]:g} mm{cut}",
        f"devices: {devices.count} x {devices.kind} with {devices.memory_bytes / 2**30:.1f} GiB each: the {network} "
        f"network, {rows} + {unlabelled} patches a step; of the {devices.budget_bytes / 2**30:.1f} GiB that a step may "
        f"take it takes {step_bytes / 2**30:.2f} by the compiler's account",
        f"steps: {fields['steps']}{updates}",
    )
