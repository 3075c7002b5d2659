"""Fields of a config that are chosen when a run begins, and kept with it."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections

from data_builders.scan_source import ScanSource
from experiments.configs import focalmix, own
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.scans import ScanDataSettings, all_metadata, open_cache, prepared_scans, split_of
from experiments.runs.focalmix.sizing import (
    Choice,
    Devices,
    choose_sizes,
    choose_split,
    choose_validation,
    most_validated,
)
from medssl_jax.core.atomic import writable_directory, write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.scans.preparation import BODY
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.splits import Split, SplitSettings, draw_validation
from medssl_jax.parallel import hosts
from medssl_jax.parallel.device_memory import memory_bytes

CHOICE_FILE = "choice.json"

# What a device holds at once in a training step of a config.
StepBytes = Callable[[FocalMixConfig], int]


def check_config(config: ml_collections.ConfigDict) -> None:
    """Raises `InputError` for a config that is not sound whatever is chosen for its open fields."""
    config = _with_region(config)
    left_open = _left_open(config)
    filled = _with(config, {field: _of_parent(field) for field in left_open})
    # Of these two, one that is open follows the one that is given.
    if "validation.every" in left_open and filled.split.validation:
        filled.validation.every = filled.logging.save_every
    if "split.validation" in left_open and filled.validation.every:
        filled.split.validation = 1
    settings_from(FocalMixConfig, filled)


def with_choice(
    config: ml_collections.ConfigDict, workdir: Path, step_bytes: StepBytes
) -> tuple[ml_collections.ConfigDict, Sequence[ScanSource] | None]:
    """The config with a value for each field of `own.CHOSEN` that is None, and its scans where choosing opened them.

    What is chosen, and why, is printed and kept as `choice.json` in `workdir`; a run that goes on goes by that. Raises
    `InputError` as `choose_split` and `choose_sizes` do, and where the file is damaged.
    """
    config = _with_region(config)
    left_open = _left_open(config)
    if not left_open:
        return config, None
    config = _with(config, {field: str(workdir / own.FOLDERS[field]) for field in left_open if field in own.FOLDERS})
    path = writable_directory(workdir) / CHOICE_FILE
    sources, chosen = None, _read(path) if path.exists() else None
    if chosen is None:
        if (workdir / "config.json").exists():
            raise InputError(f"{workdir}: has a run, but no {CHOICE_FILE}: put it back, or choose another --workdir")
        sources, chosen = _choose(config, left_open, step_bytes)
        if hosts.is_first():
            write_text(path, json.dumps(chosen, indent=1) + "\n")
    for reason in chosen["reasons"]:
        hosts.say(reason)
    kept = {field: _with_tuples(value) for field, value in chosen["fields"].items() if field in left_open}
    return _with(config, kept), sources


def _with_region(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """With what is searched, and the window of HU, where they are None: they follow from `data.mask_lungs`."""
    if all(_get(config, field) is not None for field in own.BY_MASKING):
        return config
    config = _with_open(config, {"data.region": own.REGION_OF_MASKING[bool(config.data.mask_lungs)]})
    return _with_open(config, {"data.window_hu": own.WINDOWS_HU.get(config.data.region, own.WINDOWS_HU["lungs"])})


def _left_open(config: ml_collections.ConfigDict) -> list[str]:
    return [field for field in (*own.CHOSEN, *own.FOLDERS) if _get(config, field) is None]


def _choose(
    config: ml_collections.ConfigDict, left_open: Sequence[str], step_bytes: StepBytes
) -> tuple[Sequence[ScanSource], dict[str, Any]]:
    data = settings_from(ScanDataSettings, config.data)
    sources = prepared_scans(data)
    metadata = all_metadata(sources)
    labelled_of_fold = Counter(each.subset for each in metadata.values() if each.is_labelled)
    by_scans = choose_split(labelled_of_fold, len(metadata) - labelled_of_fold.total())
    if data.region == BODY:
        low, high = data.window_hu
        told = (
            f"region: the whole body is searched, where no mask says another; {low:g} to {high:g} HU are told apart, "
            f"in voxels of {data.spacing_mm:g} mm"
        )
        by_scans = by_scans._replace(reasons=(told, *by_scans.reasons))
    config = _with_open(config, by_scans.fields)
    if "split.validation" in left_open:
        by_scans = _with_validation(config, by_scans, data, sources, metadata)
        config = _with_open(config, by_scans.fields)
    split, cache = _split_and_cache(config, data, sources, metadata)
    extents_mm = [data.spacing_mm * cache.scan(uid).boxes_zyxdhw_voxel[:, 3:].max(axis=1) for uid in split.labelled]
    lesions_mm = [extent for of_scan in extents_mm for extent in of_scan.tolist()]

    def bytes_of(fields: Mapping[str, Any]) -> int:
        settings = settings_from(
            FocalMixConfig, _with(config, {name: fields[name] for name in fields if name in left_open})
        )
        patches = settings.patches
        rows = f"{patches.labelled_batch} + {patches.unlabelled_batch} patches of {patches.side * data.spacing_mm:g} mm"
        hosts.say(f"compiling a step of {rows}")
        return step_bytes(settings)

    if not any(field in own.CHOSEN and field not in by_scans.fields for field in left_open):
        return sources, {"fields": by_scans.fields, "reasons": by_scans.reasons}
    by_devices = choose_sizes(
        len(split.labelled),
        len(split.unlabelled),
        lesions_mm,
        _devices(),
        bytes_of,
        spacing_mm=data.preparation.spacing_mm,
        side=_get(config, "patches.side"),
        is_validated=len(split.validation) > 0,
    )
    fields = {**by_scans.fields, **by_devices.fields}
    return sources, {"fields": fields, "reasons": [*by_scans.reasons, *by_devices.reasons]}


def _with_validation(
    config: ml_collections.ConfigDict,
    by_scans: Choice,
    data: ScanDataSettings,
    sources: Sequence[ScanSource],
    metadata: Mapping[str, ScanMetadata],
) -> Choice:
    """What follows from the scans, and which of them validate: their lesions are counted once they are unpacked."""
    asked = config.split
    sides: dict[str, Any] = {"train_subsets": asked.train_subsets, "test_subsets": asked.test_subsets}
    trainable = draw_validation(metadata, **sides, most=len(metadata), seed=asked.seed)
    most = most_validated(len(trainable), labelled=asked.labelled, unlabelled=asked.unlabelled)
    validated = draw_validation(metadata, **sides, most=most, seed=asked.seed)
    of_validated: list[int] = []
    of_trained: list[int] = []
    if validated:
        split, cache = _split_and_cache(_with(config, {"split.validation": len(validated)}), data, sources, metadata)
        of_validated, of_trained = (
            [len(cache.scan(uid).boxes_zyxdhw_voxel) for uid in uids] for uids in (split.validation, split.labelled)
        )
    choice = choose_validation(len(trainable), of_validated, sum(of_trained))
    return Choice({**by_scans.fields, **choice.fields}, (*by_scans.reasons, *choice.reasons))


def _split_and_cache(
    config: ml_collections.ConfigDict,
    data: ScanDataSettings,
    sources: Sequence[ScanSource],
    metadata: Mapping[str, ScanMetadata],
) -> tuple[Split, CropCache]:
    split = split_of(settings_from(SplitSettings, config.split), metadata)
    return split, open_cache(data, sources, {*split.labelled, *split.unlabelled, *split.validation, *split.test})


def _devices() -> Devices:
    every, own_ones = jax.devices(), jax.local_devices()
    least = min(hosts.gather(min(map(memory_bytes, own_ones))))
    # The devices that a CPU is divided into share its memory.
    shared = len(own_ones) if every[0].platform == "cpu" else 1
    return Devices(every[0].platform, every[0].device_kind, len(every), least // shared)


def _read(path: Path) -> dict[str, Any]:
    try:
        chosen = json.loads(path.read_text())
        if chosen["fields"].keys() <= own.CHOSEN.keys() and all(isinstance(each, str) for each in chosen["reasons"]):
            return dict(chosen)
        reason = "other fields or no reasons"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error)
    raise InputError(f"{path}: not what a run wrote ({reason}): put it back as it was, or choose another --workdir")


def _of_parent(field: str) -> Any:
    """A value with which a config is sound, if all else in it is."""
    others = {"split.unlabelled_extra": -1, "optimiser.accumulate": 1}
    return others[field] if field in others else _get(focalmix.get_config(), field)


def _with_open(config: ml_collections.ConfigDict, fields: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """A copy with those of these values whose fields are None."""
    return _with(config, {field: value for field, value in fields.items() if _get(config, field) is None})


def _get(config: ml_collections.ConfigDict, field: str) -> Any:
    *sections, name = field.split(".")
    return (config[sections[0]] if sections else config).get(name, False)


def _with(config: ml_collections.ConfigDict, fields: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """A copy with these values."""
    copy = config.copy_and_resolve_references()
    with copy.unlocked():
        copy.update_from_flattened_dict(dict(fields))
    return copy


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
