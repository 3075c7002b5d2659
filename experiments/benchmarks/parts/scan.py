"""A whole scan from its file to its page, by part, and MONAI's sliding window beside ours (--peer).

The detector has learned nothing, which costs as much: it gives its best `marks`, however faint, and all are drawn. The
first look compiles; `network` is the second. A scan of your own: --scan.scan=FILE.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.bench import Bench, Cost, Measurement
from experiments.benchmarks.own_process import peak_mb
from experiments.benchmarks.training import DEFAULT_CONFIG, SMALL_CONFIG, config_at
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.atomic import write_text
from medssl_jax.core.progress import silent
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.preparation import PreparedScan, prepare_volume
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.inference.sliding import join_over_scan, plan_windows
from medssl_jax.inference.trained_detector import TrainedDetector, load_detector
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import DetectorCard, ScanReport, detections_as_json, write_detections_csv
from medssl_jax.run_folder.checkpoint import Checkpoints

SMALLEST = {"config": SMALL_CONFIG, "side": 32, "chest_mm": (64.0, 64.0, 64.0), "marks": 2}
FAINTEST = 1e-6
SECOND_LOOK = "network and join"


def measure(
    bench: Bench,
    *,
    config: str = DEFAULT_CONFIG,
    side: int = 64,
    chest_mm: tuple[float, ...] = (128.0, 176.0, 200.0),
    marks: int = 10,
    scan: str = "",
) -> list[Measurement]:
    """The phantom of a chest, unless `scan` names a file."""
    fields = config_at(config, side)
    fields.inference.score_threshold, fields.inference.marks = FAINTEST, marks
    settings = settings_from(FocalMixConfig, fields)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(scan) if scan else _phantom(Path(folder) / "raw", chest_mm)
        checkpoints = Checkpoints(Path(folder) / "run" / "checkpoints", config=fields.to_dict())
        checkpoints.save(settings.fresh_state(), {})
        checkpoints.close()
        ways = [_Way(bench, Path(folder)) for _ in range(bench.pairs)]
        for way in ways:
            prepared, detector = way.go(path, Path(folder) / "run")
    measured = [Measurement(part, [way.costs[part] for way in ways]) for part in ways[0].costs]
    whole = Measurement("all but the second look", [way.whole for way in ways], notes={"peak MB": peak_mb()})
    return [*measured, whole, _join(bench, settings, prepared), _windows(bench, settings, prepared, detector)]


class _Way:
    """One way of a scan through all parts."""

    def __init__(self, bench: Bench, folder: Path):
        self._bench, self._folder = bench, folder
        self.costs: dict[str, Cost] = {}

    @property
    def whole(self) -> Cost:
        """Of everything that `experiments.detect` does."""
        parts = [cost for part, cost in self.costs.items() if part != SECOND_LOOK]
        return Cost(*map(sum, zip(*parts, strict=True)))

    def go(self, path: Path, run: Path) -> tuple[PreparedScan, TrainedDetector]:
        """From the file to the page."""
        volume = self._timed("read", lambda: read_volume(path))
        lungs = self._timed("lungs", lambda: segment_lungs(volume))
        mask = Volume(lungs, volume.grid, volume.series_uid)
        scan = self._timed("resample", lambda: prepare_volume(volume, mask, np.zeros((0, 3)), np.zeros(0)))
        detector = self._timed("load the checkpoint", lambda: load_detector(run))
        marks = self._timed("compile and first look", lambda: detector(scan))
        self._timed(SECOND_LOOK, lambda: detector(scan))
        card = DetectorCard("benchmark", detector.step, detector.config)
        report = ScanReport(path.name, None, volume.series_uid, True, volume.grid, card, marks)
        self._timed("write", lambda: self._write(report))
        self._timed("page", lambda: write_text(self._folder / "page.html", scan_page(report, volume, min_score=0.0)))
        return scan, detector

    def _timed(self, part: str, function: Callable[[], Any]) -> Any:
        begin = self._bench.clock()
        result = function()
        end = self._bench.clock()
        self.costs[part] = Cost(end.wall - begin.wall, end.cpu - begin.cpu)
        return result

    def _write(self, report: ScanReport) -> None:
        write_detections_csv(self._folder / "detections.csv", report, min_score=0.0)
        write_json(self._folder / "detections.json", detections_as_json(report, min_score=0.0))


def _phantom(folder: Path, chest_mm: tuple[float, ...]) -> Path:
    z, y, x = chest_mm
    write_luna16_phantom(Luna16Phantom(seed=0, scans=1, chest_zyx_mm=(z, y, x)), folder, progress=silent)
    (path,) = folder.glob("subset*/*.mhd")
    return path


def _join(bench: Bench, settings: FocalMixConfig, scan: PreparedScan) -> Measurement:
    rng, count = np.random.default_rng(0), settings.inference.scan_candidates
    size = np.array(scan.hu.shape)
    boxes = np.hstack([rng.uniform(0, 1, (count, 3)) * size, rng.uniform(4, 30, (count, 3))]).astype(np.float32)
    scores = rng.uniform(0, 1, count).astype(np.float32)
    return bench.alone(
        f"join alone, {count} boxes",
        lambda: join_over_scan(boxes, scores, np.ones_like(scan.lungs), settings.inference),
    )


def _windows(bench: Bench, settings: FocalMixConfig, scan: PreparedScan, detector: TrainedDetector) -> Measurement:
    """Every window, also those without lungs, for that is what MONAI does."""
    side, inference, everywhere = settings.patches.side, settings.inference, np.ones_like(scan.lungs)
    work = f"{len(plan_windows(scan.hu.shape, side, inference.overlap))} windows of {side}^3"

    def ours() -> Any:
        return detector.sliding(detector.params, scan.hu, everywhere)

    if not bench.peer:
        return bench.alone(work, ours)
    from experiments.benchmarks.peers import devices, sliding
    from experiments.benchmarks.peers.layers import tensors_of

    devices.use_threads(bench.threads)
    theirs = sliding.sliding_window(
        tensors_of(jax.device_get(detector.params)),
        scan.hu,
        side=side,
        overlap=inference.overlap,
        batch=inference.window_batch,
    )
    marks = ours()
    same = sliding.matched(marks, sliding.marks(detector.params, settings, scan.hu))
    notes = {"marks": len(marks.score), "of them PyTorch's network's as well": same}
    return bench.pair(work, ours, "MONAI, sliding window", devices.waiting(theirs), **notes)
