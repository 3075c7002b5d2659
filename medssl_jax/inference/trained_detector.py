"""A trained detector: from the checkpoint of a FocalMix run to the nodules of a scan."""

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import optax

from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.data.scans.crop_cache import masked_hu
from medssl_jax.data.scans.patches import PatchSettings
from medssl_jax.data.scans.preparation import (
    DEFAULT_PREPARATION,
    Preparation,
    PreparationSettings,
    PreparedScan,
    prepare_scan,
    prepare_volume,
)
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.submission import Marks
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.inference.sliding import ScanDetections, SlidingDetector, SlidingSettings
from medssl_jax.inference.world import as_marks, rows_in_world
from medssl_jax.models.detector import AnchorSettings, Detector, DetectorSettings, make_detector
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel, data_parallel
from medssl_jax.run_folder.experience import NOTHING_KNOWN, Experience
from medssl_jax.run_folder.tensor_hashes import tensor_hashes
from medssl_jax.run_folder.weights import load_weights
from medssl_jax.steps.optimiser import AccumulatingOptimiserSettings, make_optimiser
from medssl_jax.steps.rng import stream_key
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.score_settings import BEST, ScoreSettings
from medssl_jax.steps.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorRunSettings(RunSettings, excerpt=True):
    """The part of a FocalMix config that says what is trained and how it is used, not on what and by which losses."""

    COMMAND: ClassVar[str] = "experiments.focalmix"
    data: PreparationSettings
    patches: PatchSettings
    model: DetectorSettings
    anchors: AnchorSettings
    optimiser: AccumulatingOptimiserSettings
    inference: SlidingSettings
    score: ScoreSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        side, strides = self.patches.side, self.model.strides
        self.expect("patches.side", side % strides[-1] == 0, f"a multiple of the backbone's last stride {strides[-1]}")
        self.expect(
            "anchors.strides", set(self.anchors.strides) <= set(strides), f"some of the backbone's strides {strides}"
        )
        self.expect("inference.overlap", self.inference.overlap < side, f"0 to less than the patch side {side}")
        accumulate = self.optimiser.accumulate
        self.expect("steps", self.steps % accumulate == 0, "a multiple of optimiser.accumulate")
        self.expect(
            "optimiser.ema_decay",
            accumulate == 1 or self.optimiser.ema_decay == 0,
            "0 where optimiser.accumulate is above 1: an average would move with every step, not every update",
        )

    @property
    def scores_best(self) -> bool:
        """As `score.checkpoint` says."""
        return self.score.checkpoint == BEST

    def make_optimiser(self) -> optax.GradientTransformation:
        """The optimiser of a run of so many steps."""
        return make_optimiser(self.optimiser, self.steps, accumulate=self.optimiser.accumulate)

    def detector(self) -> Detector:
        """The network and its anchors."""
        spacing_mm = self.data.preparation.spacing_mm
        return make_detector(self.model, self.anchors, patch_side=self.patches.side, spacing_mm=spacing_mm)

    def sliding_detector(self, sharding: DataParallel = SINGLE_DEVICE) -> SlidingDetector:
        """The finder of nodules in a scan; the devices of the sharding share its windows."""
        detector = self.detector()
        window_hu = self.data.window_hu
        return SlidingDetector(detector.predict, detector.grid, self.inference, sharding, window_hu=window_hu)

    def fresh_state(self, measured: Mapping[str, Any] | None = None, *, seed: Any = None) -> TrainState:
        """The state before the first step; nothing is `measured` before it.

        A `seed` in place of the config's may be traced, so that what is compiled serves other seeds too.
        """
        seed = self.seed if seed is None else seed
        params = self.detector().init(stream_key(seed, "init", 0))
        return TrainState.create(params, self.make_optimiser(), keep_ema=self.optimiser.ema_decay > 0, seed=seed)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedDetector:
    """Finds nodules in scans. `config` is what it was trained by, for `step` steps, `about` what its users are told.

    Where `mask_lungs`, it learned on scans that are masked outside the lungs, and is shown them so. `experience` is
    what is known of the scans that it was trained and validated on, `preparation` how their files were prepared
    (`prepare_scan`), as others have to be.
    """

    config: Mapping[str, Any]
    step: int
    params: Any
    sliding: Callable[..., ScanDetections]
    mask_lungs: bool
    about: str = ""
    experience: Experience = NOTHING_KNOWN
    preparation: Preparation = DEFAULT_PREPARATION

    @functools.cached_property
    def sha256(self) -> str:
        """Names the detector by all that its results depend on: config, step, parameters, what is told of it."""
        told = [self.config, self.step, self.about, self.experience.as_json(), tensor_hashes(self.params)]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()

    def __call__(self, scan: object, *, progress: Progress = silent) -> Marks:
        """Marks in world mm (x, y, z of LPS), best first: all that the config's `inference` lets through.

        `scan` is a file or a folder of DICOM slices, which `read_volume` reads, a `Volume` of HU (an array z, y, x with
        its grid), or what `prepare_scan` makes of one.

        Raises `InputError` for a file that cannot be read or prepared, see both, for voxels that are no HU, for a scan
        whose voxels are of another side than those that it was trained on, and for anything else, such as an array
        alone, which does not say where its voxels are.
        """
        if isinstance(scan, (str, os.PathLike)):
            volume = read_volume(scan)
            files = ScanFiles(volume.series_uid, Path(scan))
            scan = prepare_scan(files, volume=volume, preparation=self.preparation)
        elif isinstance(scan, Volume):
            scan = prepare_volume(scan, None, np.zeros((0, 3)), np.zeros(0), preparation=self.preparation)
        elif not isinstance(scan, PreparedScan):
            raise InputError(
                f"scan: found {type(scan).__name__}, expected the path of a scan; an array of HU needs its place: "
                "medssl_jax.Volume(array_zyx, medssl_jax.Grid(size_zyx, spacing_zyx_mm), name)"
            )
        _check_prepared(scan)
        found_mm, expected_mm = scan.grid.spacing_zyx_mm[0], self.preparation.spacing_mm
        if found_mm != expected_mm:
            raise InputError(
                f"{scan.series_uid}: was prepared with voxels of {found_mm:g} mm, expected {expected_mm:g} mm, which "
                "this detector was trained on: prepare it by its preparation"
            )
        hu_zyx = masked_hu(scan) if self.mask_lungs else scan.hu
        found = self.sliding(self.params, hu_zyx, scan.lungs, progress=progress)
        return as_marks({scan.series_uid: rows_in_world(found, scan.grid)})


def _check_prepared(scan: PreparedScan) -> None:
    """Raises `InputError` for a scan that somebody put together so that no preparation would."""
    for name, array, kind in (("hu", scan.hu, np.int16), ("lungs", scan.lungs, np.uint8)):
        if array.dtype != kind or array.shape != scan.grid.size_zyx:
            raise InputError(
                f"{scan.series_uid}: {name}: found {array.dtype} of shape {array.shape}, expected {kind.__name__} of "
                f"shape {scan.grid.size_zyx} (z, y, x), as its grid says: let prepare_scan make it"
            )


def load_detector(checkpoint: str | os.PathLike[str]) -> TrainedDetector:
    """The detector of a finished or running training, from its workdir, a folder `checkpoints`, or a file of weights.

    The small one that comes with the package is `medssl_jax.DEMONSTRATION`. Call what it returns with a scan.

    All devices of this host share the windows of a batch, which is filled up to a multiple of them. Raises `InputError`
    as `load_weights` does.
    """
    weights = load_weights(checkpoint, DetectorRunSettings)
    settings, devices = weights.settings, jax.local_devices()
    rows = math.ceil(settings.inference.window_batch / len(devices)) * len(devices)
    local = data_parallel(devices, batches=[rows])
    inference = dataclasses.replace(settings.inference, window_batch=rows)
    sliding = dataclasses.replace(settings, inference=inference).sliding_detector(local)
    params, mask_lungs = local.replicate(weights.params), settings.data.mask_lungs
    about, experience, preparation = weights.about, weights.experience, settings.data.preparation
    return TrainedDetector(weights.config, weights.step, params, sliding, mask_lungs, about, experience, preparation)
