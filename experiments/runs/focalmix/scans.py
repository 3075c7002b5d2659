"""The scans of a FocalMix run from its config: phantom, prepared data sets, crop cache; and what they are scored by."""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_builders.folder.frames import FRAMES_TO_ASK_FOR
from data_builders.luna16.luna16_files import read_findings
from data_builders.scan_source import DATA_SETS, ScanSource, open_scans, prepare_scans
from experiments.runs.phantoms import phantom_from
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.core.settings import FOLDER, SWITCH, TEXT, Settings, one_of, whole, within
from medssl_jax.data.scans.crop_cache import CachedScan, CropCache, build_crop_cache
from medssl_jax.data.scans.preparation import PreparationSettings
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.splits import Split, SplitSettings, draw_split
from medssl_jax.imaging.geometry import voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.luna16_csv import Findings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderSettings(Settings):
    """Labels and lung masks beside the scans of a folder: files and folders, of which an empty name is none."""

    section: ClassVar[str] = "data.options"
    labels: str = within(TEXT)
    labelled_list: str = within(TEXT)
    lungs: str = within(TEXT)
    frame: str = within(one_of(FRAMES_TO_ASK_FOR))


class ExtraFolderSettings(FolderSettings):
    """The same of another data set."""

    section: ClassVar[str] = "data.extra.options"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSetSettings(Settings):
    """Scans as they were downloaded, or a phantom in their place."""

    data_set: str = within(one_of(DATA_SETS))
    manual_dir: str = within(FOLDER)
    phantom: Any = None  # fields of the phantom, which checks them itself
    options: FolderSettings | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phantom is not None:
            phantom_of(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtraDataSettings(DataSetSettings):
    """Scans of another data set, which are trained on unlabelled."""

    section: ClassVar[str] = "data.extra"
    options: ExtraFolderSettings | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanDataSettings(DataSetSettings, PreparationSettings):
    """The scans of a run, and where they are prepared."""

    section: ClassVar[str] = "data"
    data_dir: str = within(FOLDER)
    cache_dir: str = within(FOLDER)
    allow_absent: bool = within(SWITCH)
    workers: int = within(whole(0, 1024))  # 0: as many as there are cores
    extra: ExtraDataSettings | None = None

    @property
    def processes(self) -> int:
        """How many prepare scans."""
        return self.workers or os.cpu_count() or 1


def prepared_scans(data: ScanDataSettings) -> tuple[ScanSource, ...]:
    """The scans of `config.data`, and of `config.data.extra` where there is one, which are trained on unlabelled.

    Makes the phantoms if there are to be any, and the prepared data sets. Raises `InputError` for labelled scans in
    `extra`, because those would be tested on.
    """
    sources = tuple(_source(part, data) for part in (data, data.extra) if part is not None)
    for source in sources[1:]:
        labelled = [uid for uid, metadata in source.metadata.items() if metadata.is_labelled]
        if labelled:
            raise InputError(
                f"data.extra: {len(labelled)} of its scans are labelled, such as {labelled[0]}, expected unlabelled "
                "ones: leave its labels out"
            )
    return sources


def all_metadata(sources: Sequence[ScanSource]) -> dict[str, ScanMetadata]:
    """The metadata of every scan. Raises `InputError` where two data sets hold the same series."""
    metadata: dict[str, ScanMetadata] = {}
    for source in sources:
        doubled = metadata.keys() & source.metadata.keys()
        if doubled:
            raise InputError(
                f"{min(doubled)}: is in {sources[0]} and in {source}, expected each series in one data set: take it "
                "out of one and prepare that one again"
            )
        metadata |= source.metadata
    return metadata


def open_cache(data: ScanDataSettings, sources: Sequence[ScanSource], wanted: Collection[str]) -> CropCache:
    """The crop cache of all sources, with the `wanted` scans unpacked."""
    caches = [
        build_crop_cache(
            source,
            Path(data.cache_dir),
            fingerprint=source.fingerprint,
            mask_lungs=data.mask_lungs,
            wanted=wanted,
            workers=data.processes,
            progress=progress_bar("unpacking", "scans"),
            say=print,
        )
        for source in sources
    ]
    return CropCache({directory: metadata for cache in caches for directory, metadata in cache.metadata_of.items()})


def split_of(settings: SplitSettings, scans: Mapping[str, ScanMetadata]) -> Split:
    """The split that a config names, over the scans that are there."""
    return draw_split(
        scans,
        train_subsets=settings.train_subsets,
        test_subsets=settings.test_subsets,
        labelled=None if settings.labelled < 0 else settings.labelled,
        unlabelled=None if settings.unlabelled < 0 else settings.unlabelled,
        unlabelled_extra=None if settings.unlabelled_extra < 0 else settings.unlabelled_extra,
        validation=settings.validation,
        seed=settings.seed,
    )


def findings_of(data: ScanDataSettings, cache: CropCache, series_uids: Sequence[str]) -> tuple[Findings, Findings]:
    """Nodules of the test scans and what the score leaves out: by LUNA16's files, or by the labels of other scans."""
    if data.data_set == "luna16":
        return read_findings(Path(data.manual_dir))
    return boxes_as_findings([cache.scan(uid) for uid in series_uids]), Findings.none()


def boxes_as_findings(scans: Sequence[CachedScan]) -> Findings:
    """The nodules of scans as points with diameters, which are the longest side of each box in its slice."""
    centres = [voxel_zyx_to_world_xyz_mm(scan.boxes_zyxdhw_voxel[:, :3], scan.grid) for scan in scans]
    boxes_mm = [scan.boxes_zyxdhw_voxel.astype(np.float64) * scan.grid.spacing_zyx_mm[0] for scan in scans]
    return Findings(
        tuple(scan.series_uid for scan in scans for _ in scan.boxes_zyxdhw_voxel),
        np.concatenate([np.zeros((0, 3)), *centres]),
        np.concatenate([np.zeros((0, 6)), *boxes_mm])[:, 4:].max(axis=1),
    )


def phantom_of(data_set: DataSetSettings) -> Any:
    """The phantom in place of a data set. Raises `InputError` for a field out of range."""
    from medssl_jax.phantoms.luna16 import Luna16Phantom
    from medssl_jax.phantoms.nlst import NlstPhantom

    assert data_set.phantom is not None
    spec = NlstPhantom if data_set.data_set == "nlst" else Luna16Phantom
    return phantom_from(spec, data_set.phantom, field=data_set.path_of("phantom"))


def _source(part: DataSetSettings, data: ScanDataSettings) -> ScanSource:
    if part.phantom is not None:
        _write_phantom(part, data.processes)
    prepare_scans(
        part.data_set,
        part.manual_dir,
        data.data_dir,
        workers=data.processes,
        allow_absent=data.allow_absent,
        preparation=data.preparation,
        **(dataclasses.asdict(part.options) if part.options else {}),
    )
    return open_scans(part.data_set, data.data_dir)


def _write_phantom(part: DataSetSettings, workers: int) -> None:
    spec = phantom_of(part)
    if part.data_set == "nlst":
        from medssl_jax.phantoms.nlst import write_nlst_phantom

        write_nlst_phantom(spec, part.manual_dir, workers=workers, progress=progress_bar("phantom", "studies"))
        return
    from medssl_jax.phantoms.luna16 import write_luna16_phantom

    write_luna16_phantom(spec, part.manual_dir, workers=workers, progress=progress_bar("phantom", "scans"))
