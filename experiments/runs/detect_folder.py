"""Everything that `experiments.detect` was handed, searched into one folder: what is done stays done.

One scan has its results in the folder itself. Of several each has a folder of its own, and the results of the whole are
made of those; shards of a job array share the folder.
"""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_builders.folder.headers import read_file_header
from data_builders.incoming.find import Incoming, IncomingScan, Told, find_scans
from data_builders.incoming.names import in_shard
from experiments.runs.detect import Failed, Searched, search_scans
from experiments.runs.threshold import AskedThreshold
from medssl_jax.core.errors import InputError
from medssl_jax.core.file_sample import size_and_samples
from medssl_jax.core.locks import exclusive
from medssl_jax.core.progress import progress_bar
from medssl_jax.inference.trained_detector import TrainedDetector, load_detector
from medssl_jax.report.nodules import scan_folders
from medssl_jax.report.nodules.result_files import Choice, of_dicom
from medssl_jax.report.nodules.results import write_results
from medssl_jax.report.nodules.scan_report import counted, counted_in, summary
from medssl_jax.report.nodules.scans_report import ScansReport, write_scans_report
from medssl_jax.report.provenance import RESEARCH_USE
from medssl_jax.run_folder.weights_place import run_name


def detect_into(
    output: Path,
    checkpoint: str,
    place: Path,
    *,
    lungs: Path | None,
    formats: tuple[str, ...],
    threshold: AskedThreshold,
    shard: tuple[int, int],
) -> None:
    """Searches the scans at `place` that fall to the shard, writes their results and prints what was found.

    Raises:
      InputError: see `find_scans`, `load_detector` and `AskedThreshold`; scans that could not be searched, once all
        others have been.
    """
    if place.is_dir() and place.resolve() == output.resolve():
        raise InputError(f"{output}: is the input as well: choose a folder of its own, or results are taken for scans")
    with ThreadPoolExecutor(max_workers=1) as beside:
        loading = beside.submit(_load, checkpoint, threshold)
        incoming = find_scans(place, without=(output,))
        for told in incoming.left_out:
            print(f"left out {told.origin}: {told.reason}", file=sys.stderr)
        own = _of_shard(incoming, shard)
        work = _Work(output, loading.result, run_name(checkpoint), formats, threshold)
        if len(incoming.scans) + len(incoming.refused) > 1:
            if lungs is not None:
                raise InputError(
                    f"--lungs: a mask is of one scan, found {len(incoming.scans)} in {place}: leave it out"
                )
            _detect_several(work, incoming, own)
        elif own.refused:
            raise InputError(_line(own.refused[0]))
        elif own.scans:
            _detect_one(work, own.scans[0], lungs)
        else:
            print("nothing to do: the scan falls to another shard")


def _load(checkpoint: str, threshold: AskedThreshold) -> TrainedDetector:
    detector = load_detector(checkpoint)
    threshold.of(detector.experience.points)  # refused before a scan is searched
    return detector


@dataclasses.dataclass(frozen=True)
class _Work:
    """Where results go, what finds them, and which are wanted."""

    output: Path
    load: Callable[[], TrainedDetector]
    run: str
    formats: tuple[str, ...]
    threshold: AskedThreshold

    @functools.cached_property
    def choice(self) -> Choice:
        """What is written of a DICOM series, once the detector is there."""
        return Choice(self.formats, self.threshold.of(self.load().experience.points))

    def made_from(self, scan: IncomingScan) -> Mapping[str, Any]:
        """All that results depend on: a scan is searched again where any of it changed."""
        return {
            "scan_sha256": scan.digest,
            "detector_sha256": self.load().sha256,
            "formats": list(self.choice_for(scan).formats),
            "min_score": self.choice.min_score,
        }

    def choice_for(self, scan: IncomingScan) -> Choice:
        """What is written of a scan."""
        return self.choice.possible(is_dicom=scan.series_uid is not None)

    def search(self, scans: Sequence[IncomingScan], **options: Any) -> Iterator[Searched | Failed]:
        """Searches scans, with what is wanted of them."""
        return search_scans(self.load, scans, run=self.run, with_headers=bool(of_dicom(self.formats)), **options)

    def folder(self, scan: IncomingScan) -> Path:
        """Of a scan's results, where there are several scans."""
        return self.output / scan.name

    def result(self, scan: IncomingScan) -> dict[str, Any] | None:
        """The content of the scan's detections.json; None where it is still to be searched."""
        return scan_folders.read_result(self.folder(scan), choice=self.choice_for(scan), made_from=self.made_from(scan))


def _detect_one(work: _Work, found: IncomingScan, lungs: Path | None) -> None:
    progress = progress_bar("detecting", "batches")
    if found.series_uid is None and of_dicom(work.formats):
        raise InputError(
            f"--formats: {','.join(of_dicom(work.formats))} refers to DICOM slices, and {found.origin} is no DICOM "
            "series: leave it out"
        )
    before = _result_of_one(work, found, lungs)
    if before is not None:
        print(f"{found.origin}: {counted_in(before)}")
        print("\n".join([*before["told"], RESEARCH_USE]))
        print(f"done before, by this detector with these settings: {', '.join(work.choice.files)} in {work.output}")
        return
    (searched,) = work.search([found], lungs_path=lungs, progress=progress)
    if isinstance(searched, Failed):
        raise InputError(_line(Told(found.origin, searched.reason)))
    made_from = _one_made_from(work, found, lungs)
    written = write_results(work.output, searched.report, searched.volume, choice=work.choice, made_from=made_from)
    print(summary(searched.report, min_score=work.choice.min_score))
    print(f"written: {', '.join(written)} in {work.output}")


def _one_made_from(work: _Work, found: IncomingScan, lungs: Path | None) -> Mapping[str, Any]:
    return {**work.made_from(found), "lungs": None if lungs is None else _digest_of_mask(lungs)}


def _result_of_one(work: _Work, found: IncomingScan, lungs: Path | None) -> dict[str, Any] | None:
    """The content of detections.json where the scan was searched before, all else being equal."""
    if not (work.output / scan_folders.RESULT).is_file():
        return None  # and the detector is loaded while the scan is read
    made_from = _one_made_from(work, found, lungs)
    return scan_folders.read_result(work.output, choice=work.choice_for(found), made_from=made_from)


def _digest_of_mask(lungs: Path) -> str:
    """Changes with the mask's headers, the sizes of its files and samples of them."""
    if lungs.is_file():
        return read_file_header(lungs).digest
    files = sorted(path for path in lungs.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(map(size_and_samples, files))).hexdigest()


def _detect_several(work: _Work, incoming: Incoming, own: Incoming) -> None:
    waiting = [scan for scan in own.scans if work.result(scan) is None]
    print(_counts(incoming, own, len(waiting)), flush=True)
    if others := sum(work.choice_for(scan) != work.choice for scan in own.scans):
        formats = ",".join(of_dicom(work.formats))
        print(f"{others} of them are no DICOM series: no {formats} is written of these", file=sys.stderr)
    failed = list(own.refused)
    for place, searched in enumerate(work.search(waiting), start=1):
        found = searched.found
        told, reason = _written(work, searched)
        if reason:
            failed.append(Told(found.origin, reason))
            scan_folders.write_failure(work.folder(found), reason, made_from=work.made_from(found))
        print(f"{place} of {len(waiting)}: {found.name}: {told}", flush=True)
    # Another shard may end at the same time; who is last sees all.
    with exclusive(work.output, "writing the results of all scans in"):
        report = _whole(work, incoming)
        written = write_scans_report(work.output, report, choice=work.choice)
    for told in report.told:
        print(told)
    print(f"written: a folder for each scan, and {', '.join(written)} of all of them, in {work.output}")
    if report.waiting:
        print(f"still to do, by other shards: {len(report.waiting)} scans")
    print(RESEARCH_USE)
    for each in failed:
        print(f"failed: {_line(each)}", file=sys.stderr)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(own.scans) + len(own.refused)} scans could not be searched, each is named above: "
            "mend them or take them away, and start again: what is done is not searched again"
        )


def _counts(incoming: Incoming, own: Incoming, waiting: int) -> str:
    """What there is to do, of all scans that were found, also those that cannot be read."""
    total, here = (len(each.scans) + len(each.refused) for each in (incoming, own))
    parts = [f"{waiting} to search", f"{len(own.scans) - waiting} done before"]
    parts += [f"{len(own.refused)} cannot be read"] if own.refused else []
    return f"{here} scans{f' of {total} in this shard' if here < total else ''}: {', '.join(parts)}"


def _written(work: _Work, searched: Searched | Failed) -> tuple[str, str]:
    """Writes the results of a scan; what is told of it, and what is wrong with it, if anything."""
    if isinstance(searched, Failed):
        return "failed", searched.reason
    found, report, volume = searched
    choice = work.choice_for(found)
    try:
        scan_folders.write_scan_folder(
            work.folder(found), report, volume, choice=choice, made_from=work.made_from(found)
        )
    except InputError as error:  # such as headers that no report can be made of; a full disk stops what comes next
        return "failed", str(error)
    return counted(report, min_score=choice.min_score), ""


def _of_shard(incoming: Incoming, shard: tuple[int, int]) -> Incoming:
    return Incoming(
        tuple(scan for scan in incoming.scans if in_shard(scan.key, *shard)),
        incoming.left_out,
        tuple(told for told in incoming.refused if in_shard(told.origin, *shard)),
    )


def _whole(work: _Work, incoming: Incoming) -> ScansReport:
    results: dict[str, dict[str, Any]] = {}
    failed, waiting = {told.origin: told.reason for told in incoming.refused}, []
    for scan in incoming.scans:
        result = work.result(scan)
        failure = scan_folders.read_failure(work.folder(scan), made_from=work.made_from(scan))
        if result is not None:
            results[scan.name] = result
        elif failure is not None:
            failed[scan.origin] = failure
        else:
            waiting.append(scan.name)
    return ScansReport(results, failed, waiting)


def _line(told: Told) -> str:
    """What is wrong with a scan, behind its place where the reason does not name it."""
    return told.reason if told.origin in told.reason else f"{told.origin}: {told.reason}"
