"""Finds the scans in whatever somebody hands over.

A volume file; a DICOM file, which stands for its series; a folder with both at any depth, and zips; a zip; a CSV with a
column `path`, each of which is one of these.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data_builders.folder.headers import digest_of, header_values, read_file_header
from data_builders.folder.tree import DICOM_SUFFIX, Notes, is_marked_dicom, name_of, read_tree
from data_builders.incoming.archives import SUFFIX as ZIP_SUFFIX
from data_builders.incoming.archives import unpacked
from data_builders.incoming.choice import choose_series
from data_builders.incoming.names import result_names
from data_builders.nlst.choose import ANOTHER
from data_builders.nlst.index import SeriesFolder, series_row
from data_builders.nlst.table import SeriesRow, with_problem
from medssl_jax.core.csv_files import check_new, read_rows, read_table
from medssl_jax.core.errors import InputError
from medssl_jax.core.names import brief, printable
from medssl_jax.imaging.dicom.series import LOCALIZER_MOST_IMAGES, FoundSeries, check_apart, find_series
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import EXTENSIONS

LIST_SUFFIX = ".csv"
KINDS = (
    f"one of {', '.join(EXTENSIONS)}, a DICOM file, a folder of these at any depth, a {ZIP_SUFFIX}, or a {LIST_SUFFIX} "
    "with a column path"
)


@dataclasses.dataclass(frozen=True)
class IncomingScan:
    """A volume file, or the DICOM series `series_uid` of a folder; in an `archive` the path is that within it.

    `name` is that of its results, `origin` how its place is told to the user. `digest` changes with its headers, the
    sizes of its files and samples of them, and not with where they lie.
    """

    name: str
    origin: str
    path: Path
    digest: str
    series_uid: str | None = None
    archive: Path | None = None

    @property
    def key(self) -> str:
        """What tells the scan from others wherever the data are mounted: its series UID, else its origin."""
        return self.series_uid or self.origin

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The file or folder to read, unpacked while the context lasts; messages name the archive in its place.

        Raises `InputError` where the archive cannot be unpacked.
        """
        if self.archive is None:
            yield self.path
            return
        with _named_unpacked(self.archive) as folder:
            yield folder / self.path


class Told(NamedTuple):
    """A file or series that is not searched, and why."""

    origin: str
    reason: str


class Incoming(NamedTuple):
    """The scans, in the order of the tree; what is left out on purpose; what was to be a scan and cannot be read."""

    scans: tuple[IncomingScan, ...]
    left_out: tuple[Told, ...]
    refused: tuple[Told, ...]


@dataclasses.dataclass
class _Gathered:
    """Scans with the names that they would like, and what else is told."""

    scans: list[IncomingScan] = dataclasses.field(default_factory=list)
    left_out: list[Told] = dataclasses.field(default_factory=list)
    refused: list[Told] = dataclasses.field(default_factory=list)

    def add(self, other: "_Gathered") -> None:
        self.scans += other.scans
        self.left_out += other.left_out
        self.refused += other.refused


@dataclasses.dataclass(frozen=True)
class _Tree:
    """A folder, or what an archive holds, and by what the places in it are told and named."""

    folder: Path
    told_as: str
    named_as: str
    archive: Path | None = None

    def origin(self, path: Path) -> str:
        """The place of a file or folder as the user would write it, from where the input lies."""
        return self._below(self.told_as, path)

    def wish(self, path: Path) -> str:
        """The same as a name for results."""
        return self._below(self.named_as, path)

    def _below(self, first: str, path: Path) -> str:
        parts = [*filter(None, [first]), *path.relative_to(self.folder).parts]
        return "/".join(parts) if parts else self.folder.absolute().name


def find_scans(place: Path, *, without: Collection[Path] = ()) -> Incoming:
    """The scans at `place`, folders in `without` not entered; see `data_builders.incoming.choice` for DICOM.

    Raises:
      InputError: nothing is there, or of no known kind, or a list cannot be understood. What is wrong with one scan
        among others is told in `refused`.
    """
    gathered = _Gathered()
    if place.name.lower().endswith(LIST_SUFFIX) and place.is_file():
        _gather_list(gathered, place, without)
    else:
        _gather(gathered, place, "" if place.is_dir() else place.name, without)
    names = result_names(
        [scan.name for scan in gathered.scans], [f"{scan.origin}\0{scan.series_uid}" for scan in gathered.scans]
    )
    scans = tuple(dataclasses.replace(scan, name=name) for scan, name in zip(gathered.scans, names, strict=True))
    if not scans and not gathered.refused:
        found = "; ".join(f"{told.origin}: {told.reason}" for told in gathered.left_out[:3]) or "nothing"
        raise InputError(f"{place}: no scan here, found {found}: expected {KINDS}")
    return Incoming(scans, tuple(gathered.left_out), tuple(gathered.refused))


def _gather(gathered: _Gathered, place: Path, origin: str, without: Collection[Path]) -> None:
    """One place that the user named, which messages call `origin`."""
    lower = place.name.lower()
    if place.is_dir():
        _gather_tree(gathered, _Tree(place, origin, origin), without)
    elif not place.is_file():
        raise InputError(f"{place}: no such file or folder, expected {KINDS}")
    elif lower.endswith(EXTENSIONS):
        _gather_file(gathered, place, origin, origin.removesuffix(place.name) + name_of(place))
    elif lower.endswith(ZIP_SUFFIX):
        _gather_zip(gathered, place, origin)
    elif lower.endswith(DICOM_SUFFIX) or is_marked_dicom(place):
        _gather_series_of(gathered, place, origin)
    else:
        raise InputError(f"{place}: unknown kind of file, expected {KINDS}")


def _gather_list(gathered: _Gathered, path: Path, without: Collection[Path]) -> None:
    row_of: dict[Hashable, int] = {}
    _, header = next(read_rows(path), (1, []))
    for row, (place, *names) in read_table(path, ("path", "name") if "name" in header else ("path",)):
        check_new(path, row, f"the same path {place}", place, row_of)
        own = _Gathered()
        try:
            _gather(own, path.parent / place, place, without)
        except InputError as error:
            own.refused.append(Told(place, f"{path.name} row {row}: {error}"))
        for wish in filter(None, names):
            several = len(own.scans) > 1
            own.scans = [
                dataclasses.replace(scan, name=f"{wish}-{scan.name}" if several else wish) for scan in own.scans
            ]
        gathered.add(own)


def _gather_file(
    gathered: _Gathered, path: Path, origin: str, wish: str, archive: Path | None = None, within: Path | None = None
) -> None:
    try:
        header = read_file_header(path)
    except InputError as error:
        gathered.refused.append(Told(printable(origin), str(error)))
        return
    place = path if within is None else path.relative_to(within)
    gathered.scans.append(IncomingScan(wish, printable(origin), place, header.digest, archive=archive))


def _gather_zip(gathered: _Gathered, archive: Path, origin: str) -> None:
    own = _Gathered()
    try:
        with _named_unpacked(archive) as folder:
            _gather_tree(own, _Tree(folder, origin, origin[: -len(ZIP_SUFFIX)], archive), ())
            own.refused = [Told(each, _named(reason, folder, archive)) for each, reason in own.refused]
    except InputError as error:
        own.refused.append(Told(printable(origin), str(error)))
    if not own.scans and not own.refused:
        own.refused.append(Told(printable(origin), f"{archive}: no scan in this zip, expected {KINDS}"))
    gathered.add(own)


@contextlib.contextmanager
def _named_unpacked(archive: Path) -> Iterator[Path]:
    with unpacked(archive) as folder:
        try:
            yield folder
        except InputError as error:
            raise InputError(_named(str(error), folder, archive)) from None


def _named(message: str, folder: Path, archive: Path) -> str:
    """A message about what was unpacked in a temporary folder, as one about the archive."""
    return message.replace(str(folder), str(archive))


def _gather_series_of(gathered: _Gathered, path: Path, origin: str) -> None:
    found, unreadable = find_series(path.parent)
    series = next((each for each in found if any(header.path.name == path.name for header in each.headers)), None)
    problems = [*unreadable, *(("not DICOM: no slice of a CT",) if series is None else series.problems)]
    if series is None or series.grid is None or problems:
        gathered.refused.append(Told(printable(origin), f"{path}: {problems[0]}"))
        return
    wish = path.absolute().parent.name or path.stem
    gathered.scans.append(
        IncomingScan(wish, printable(origin), path.parent, _digest(series, series.grid), series.series_uid)
    )


def _gather_tree(gathered: _Gathered, tree: _Tree, without: Collection[Path]) -> None:
    notes, own = Notes(), _Gathered()
    found = read_tree(tree.folder, notes, without=without)
    for path in found.volume_files:
        wish = tree.wish(path.with_name(name_of(path)))
        _gather_file(own, path, tree.origin(path), wish, tree.archive, tree.folder if tree.archive else None)
    for path, reason in notes.passed_over:
        if not path.name.lower().endswith(ZIP_SUFFIX):
            own.left_out.append(Told(printable(tree.origin(path)), reason))
        elif tree.archive is None:
            _gather_zip(own, path, tree.origin(path))
        else:
            own.refused.append(Told(printable(tree.origin(path)), "a zip within a zip: unpack the outer one"))
    _gather_dicom(own, tree, found.dicom_folders)
    own.scans.sort(key=lambda scan: (scan.origin, scan.series_uid or ""))
    gathered.add(own)


def _gather_dicom(gathered: _Gathered, tree: _Tree, folders: Sequence[Path]) -> None:
    rows: list[SeriesRow] = []
    digest_of_row: dict[tuple[str, str], str] = {}
    place_of = {str(folder): folder for folder in folders}
    for name, folder in place_of.items():
        found, unreadable = find_series(folder)
        if not found:
            problem = "; ".join(unreadable) or "no DICOM: none of its files is a DICOM slice"
            rows.append(SeriesRow("", "", "", "", name, 0, 0, 0, problem, problem))
        for series in found:
            row = series_row(SeriesFolder(name, 0, 0), series, unreadable)
            rows.append(_apart(row, series, found, folder))
            if series.grid is not None:
                digest_of_row[name, series.series_uid] = _digest(series, series.grid)
    chosen = choose_series(rows)
    for row in chosen.wanted:
        folder = place_of[row.folder]
        gathered.scans.append(
            IncomingScan(
                tree.wish(folder),
                printable(tree.origin(folder)),
                folder.relative_to(tree.folder) if tree.archive else folder,
                digest_of_row[row.folder, row.series_uid],
                row.series_uid,
                tree.archive,
            )
        )
    folder_of_study = {row.study_uid: row.folder for row in chosen.wanted}
    for choices, told in ((chosen.left_out, gathered.left_out), (chosen.refused, gathered.refused)):
        for row, reason in choices:
            which = f" (series {brief(row.series_uid)})" if row.series_uid else ""
            if reason.startswith(ANOTHER):
                reason += f", in {printable(tree.origin(place_of[folder_of_study[row.study_uid]]))}"
            told.append(Told(printable(tree.origin(place_of[row.folder])) + which, reason))


def _apart(row: SeriesRow, series: FoundSeries, found: Sequence[FoundSeries], folder: Path) -> SeriesRow:
    """The row, with a problem where a few images beside its series could be slices that it lacks."""
    if len(series.headers) <= LOCALIZER_MOST_IMAGES:
        return row
    for few in found:
        if few is not series and len(few.headers) <= LOCALIZER_MOST_IMAGES:
            try:
                check_apart(folder, few, series)
            except InputError as error:
                row = with_problem(row, str(error))
    return row


def _digest(series: FoundSeries, grid: Grid) -> str:
    return digest_of([header.path for header in series.headers], grid, header_values(series.headers))
