"""What every test stands on: the CPU, no clock, and real reference files where they are at hand."""

import collections
import functools
import gc
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from medssl_jax.core.locks import exclusive

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What halves the time in which XLA compiles for a CPU.
QUICKLY_COMPILED = os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
WAITING_SECONDS = 60  # for processes to say that they wait
WITHOUT_SHARED_DATA = "needs ../shared/data (real reference files), which is not part of the repository"


def pytest_collection_finish() -> None:
    """What was imported stays: Python's collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


# Folders of tests that compile much and run it a few times.
COMPILED_PLAINLY = ("steps", "train", "models", "ssl", "losses", "detection", "parallel", "experiments/runs")


@pytest.hookimpl(tryfirst=True)  # before fixtures, whatever their scope
def pytest_runtest_setup(item: pytest.Item) -> None:
    """XLA optimises for slow tests only where compiling is the time of the quick ones; so it does in their commands."""
    import jax

    jax.devices()  # XLA reads its flags here, and never again
    folder = item.path.parent.relative_to(Path(__file__).parent).as_posix()
    is_quick = item.get_closest_marker("slow") is None
    plainly = is_quick and f"{folder}/".startswith(tuple(f"{each}/" for each in COMPILED_PLAINLY))
    jax.config.update("jax_disable_most_optimizations", plainly)
    _set_variable("XLA_FLAGS", QUICKLY_COMPILED if is_quick else None)
    _set_variable("JAX_DISABLE_MOST_OPTIMIZATIONS", "1" if is_quick and folder == "experiments" else None)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory) -> Iterator[None]:
    """Tests, their workers and the commands they start share what they compile; not in the cache of whoever tests."""
    import jax

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = jax.config.jax_compilation_cache_dir or str(shared / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # small networks are many small programs
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", folder)
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real reference data kept beside the repository; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(WITHOUT_SHARED_DATA)
    return SHARED_DATA


@pytest.fixture(autouse=True)
def strict_dtypes(request) -> Iterator[None]:
    """In the tests of pure functions of JAX no array changes its type unasked."""
    room = request.path.relative_to(Path(__file__).parent).parts[0]
    if room not in ("data", "detection", "inference", "losses", "models", "ssl", "steps", "run_folder", "train"):
        yield
        return
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def full_disk(monkeypatch):
    """Makes every write of an ArrayRecord fail as on a full disk."""

    class FullDisk:
        def __init__(self, path, options):
            self.path = path

        def write(self, record):
            raise RuntimeError(f"write() failed: No space left on device; writing {self.path}")

        def close(self):
            self.write(b"")

    monkeypatch.setattr("array_record.python.array_record_module.ArrayRecordWriter", FullDisk)


@pytest.fixture
def while_another_holds(capfd):
    """Calls functions while another holds the lock of a folder, and lets go when all wait; their futures, all done."""

    def run(folder, doing, *calls, making):
        line, said = f"waiting: another process is {doing} {folder}", ""
        latest = time.monotonic() + WAITING_SECONDS
        with ThreadPoolExecutor(len(calls)) as others, exclusive(folder, doing):
            waiting = [others.submit(call) for call in calls]
            while said.count(line) < len(calls) and not any(each.done() for each in waiting):
                said += capfd.readouterr().err
                assert time.monotonic() < latest, f"{len(calls)} were to wait and say so, heard: {said}"
                time.sleep(0.01)
            making()
        assert said.count(line) == len(calls)
        return waiting

    return run


@pytest.fixture
def findings():
    """Makes small findings of rows: findings((uid, x, y, z, diameter), ...)"""
    from medssl_jax.imaging.luna16_csv import Findings

    return functools.partial(_from_rows, Findings)


@pytest.fixture
def marks():
    """Makes small marks of rows: marks((uid, x, y, z, probability), ...)"""
    from medssl_jax.imaging.submission import Marks

    return functools.partial(_from_rows, Marks)


def _from_rows(kind, *rows):
    table = np.array([row[1:] for row in rows], float).reshape(-1, 4)
    return kind(tuple(row[0] for row in rows), table[:, :3], table[:, 3])


@pytest.hookimpl(wrapper=True, tryfirst=True)  # so that it comes after pytest's own list of what was skipped
def pytest_terminal_summary(terminalreporter) -> Iterator[None]:
    """Says in a line what a run without the real files left unchecked, and how many inputs its fuzzers tried."""
    yield
    skipped = [
        report for report in terminalreporter.stats.get("skipped", ()) if WITHOUT_SHARED_DATA in str(report.longrepr)
    ]
    if skipped:
        counts = collections.Counter(
            Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_") for report in skipped
        )
        subjects = ", ".join(f"{subject} ({count})" for subject, count in sorted(counts.items()))
        terminalreporter.line(
            f"{len(skipped)} checks against real files were skipped, of: {subjects}; they need ../shared/data"
        )
    ended = terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", [])
    fuzzed = sum(value for report in ended for name, value in report.user_properties if name == "fuzzed inputs")
    if fuzzed:
        terminalreporter.line(f"{fuzzed} mutated inputs were tried by the fuzzers")


@pytest.fixture(scope="session")
def evaluation():
    """Makes what a method gave to 40 test and 30 validation slides, out of the air; `changes` are fields set after."""
    from dataclasses import replace

    from medssl_jax.losses.confidence import switches
    from medssl_jax.metrics.slides.evaluated_method import EvaluatedMethod, Probabilities
    from medssl_jax.metrics.slides.switching import MeanSeconds, switched_classes

    def make(name, *, rule="confidence", seed=0, c=0.9, sharpness=6.0, **changes):
        rng = np.random.default_rng((seed, *name.encode()))

        def networks(slides):
            label = np.random.default_rng(slides).integers(0, 4, slides)

            def network():
                logits = rng.normal(size=(slides, 4)) + sharpness * rng.random((slides, 1)) * np.eye(4)[label]
                return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)

            return Probabilities(label, network(), network() if rule != "low" else None)

        test, validation = networks(40), networks(30)
        sent = {"low": np.zeros(40, bool), "high": np.ones(40, bool), "confidence": switches(test.low, c)}.get(
            rule, rng.random(40) < 0.5
        )
        predicted = test.low.argmax(axis=1) if test.high is None else switched_classes(test.low, test.high, sent)
        high_part = float(rng.uniform(5, 9)) if sent.any() else float("nan")
        made = EvaluatedMethod(
            name=name,
            seed=seed,
            rule=rule,
            c=c,
            names=tuple(f"slide{place}" for place in range(40)),
            predicted=predicted,
            sent=sent,
            test=test,
            validation=validation,
            prepared_seconds=MeanSeconds(float(rng.uniform(0.5, 1)), high_part),
            raw_seconds=MeanSeconds(float(rng.uniform(2, 3)), 2 * high_part),
            parameters=1000,
            peak_memory_bytes=10_000_000 * (1 + seed),
            slide_batch=4,
            patch_batch=16,
        )
        return replace(made, **changes)

    return make


@pytest.fixture(scope="session")
def write_series():
    """Writes a CT as DICOM files whose names tell nothing of their order; `change(header, z)` alters each header."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset

    def write(folder, *, slices=8, distance_mm=2.0, side=8, change=None, stored=None, **fields):
        stored = np.zeros((slices, side, side), np.int16) if stored is None else stored
        folder.mkdir(parents=True, exist_ok=True)
        for z, image in enumerate(stored):
            header = Dataset()
            header.file_meta = FileMetaDataset()
            header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            values = {
                "SOPClassUID": pydicom.uid.CTImageStorage,
                "SOPInstanceUID": f"{fields.get('SeriesInstanceUID', '1.2.3.4')}.{z}",
                "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
                "Modality": "CT",
                "Manufacturer": "GE MEDICAL SYSTEMS",
                "ConvolutionKernel": "STANDARD",
                "PatientID": "100012",
                "StudyDate": "19990102",
                "StudyInstanceUID": "1.2.3",
                "SeriesInstanceUID": "1.2.3.4",
                "SliceThickness": distance_mm,
                "ImagePositionPatient": [-10.0, -20.0, -100 + distance_mm * z],
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
                "PixelSpacing": [0.75, 0.75],
                "Rows": image.shape[0],
                "Columns": image.shape[1],
                "SamplesPerPixel": 1,
                "PhotometricInterpretation": "MONOCHROME2",
                "BitsAllocated": 16,
                "BitsStored": 16,
                "HighBit": 15,
                "PixelRepresentation": 1,
                "RescaleSlope": 1,
                "RescaleIntercept": -1024,
                **fields,
            }
            for name, value in values.items():
                setattr(header, name, value)
            if change is not None:
                change(header, z)
            header.PixelData = image.astype("<i2" if header.get("PixelRepresentation", 1) else "<u2").tobytes()
            header.save_as(folder / f"1-{(z * 37 + 11) % 101:03d}.dcm", enforce_file_format=True)
        return folder

    return write


@pytest.fixture(scope="session")
def small_chest():
    """Makes a chest of 1 mm voxels whose lungs, which have vessels, are found in a part of a second.

    `radii_zyx` are those of each lung; the body is (40, 60, 75) voxels in view.
    """
    from medssl_jax.imaging.geometry import Grid
    from medssl_jax.imaging.volumes import Volume

    def make(radii_zyx=(17, 15, 10)):
        z, y, x = np.indices((40, 60, 75))
        hu = np.where(((y - 30) / 24) ** 2 + ((x - 37) / 34) ** 2 < 1, 40, -1000)
        for middle in (23, 51):
            apart = np.stack([z - 20, y - 30, x - middle], axis=-1)
            hu[((apart / radii_zyx) ** 2).sum(axis=-1) < 1] = -850
        hu[(hu == -850) & (y % 8 < 2) & (x % 8 < 2)] = 0
        return Volume(hu.astype(np.int16), Grid(hu.shape, (1.0, 1.0, 1.0)), "")

    return make


@pytest.fixture(scope="session")
def nodule_labels():
    """Labels the voxels of a phantom's scan: those at i + 1 have their centre inside its nodule i."""
    from medssl_jax.phantoms.chests.findings import around
    from medssl_jax.phantoms.chests.scanner import as_stored

    def label(scan):
        labels = np.zeros(scan.scanner.size_zyx, np.uint8)
        for number, nodule in enumerate(scan.nodules, start=1):
            (slices, _), distance, radius = around(nodule.blob, scan.scanner.axes_mm)
            labels[slices][distance < radius] = number
        return as_stored(scan.scanner, labels)

    return label
