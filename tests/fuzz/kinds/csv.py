"""CSV tables of findings, marks, series, lesions, patients, slides and downloads: cells, rows, columns and bytes."""

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

import numpy as np

from data_builders.folder.tables import read_column, read_lesion_table
from data_builders.lks.lks_files import find_slides
from data_builders.nlst.listing import read_listings
from medssl_jax.imaging.luna16_csv import read_annotations, read_series_uids
from medssl_jax.imaging.submission import read_submission
from tests.fuzz.damage import NASTY_TEXTS, NUMBER_TEXTS, damage_file, other_text
from tests.fuzz.oracle import MustRefuse, judged
from tests.fuzz.volumes import NUMBER

VARIANTS = (
    "annotations",
    "annotations.gz",
    "seriesuids",
    "submission",
    "points",
    "boxes",
    "patients",
    "slides",
    "nlst",
)
UIDS = tuple(f"1.3.6.{number}" for number in range(6))
POINT = ("coordX", "coordY", "coordZ", "diameter_mm")
BOX = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
SUBMISSION = ("coordX", "coordY", "coordZ", "probability")
LISTING = ("Series UID", "Study UID", "Subject ID", "Study Date", "Modality", "Number of Images", "File Location")
CLASSES = {"neg": 0, "negative": 0, "ama": 1, "smav": 2, "smat": 3}
WIDEST_MM = 500  # no lesion is; a diameter of 1 km is in another unit
SLIDES = "Train_Labels.csv"


def make(folder: Path, variant: str) -> None:
    """A few rows; of slides both tables, with files that are not opened."""
    rng = np.random.default_rng(0)
    if variant == "slides":
        for split in ("Train", "Test"):
            (folder / split).mkdir()
            names = [f"{split} {number}.tif" for number in range(4)]
            for name in names:
                (folder / split / name).touch()
            rows = [("Image", "Label"), *zip(names, ("Neg", "AMA", "SMA-V", "sma_t"), strict=True)]
            _write(folder / f"{split}_Labels.csv", rows)
        return
    points = rng.uniform(-200, 200, (9, 3)).round(3).tolist()
    header: tuple[str, ...] = ("seriesuid", *POINT)
    rows = [(UIDS[number % 5], *point, 3.5 + number) for number, point in enumerate(points)]
    if variant == "submission":
        header = ("seriesuid", *SUBMISSION)
        rows = [(*row[:4], number / 10) for number, row in enumerate(rows)]
    elif variant == "boxes":
        header = ("seriesuid", *BOX)
        rows = [(uid, *point, *(each + size for each in point)) for uid, *point, size in rows]
    elif variant == "seriesuids":
        header, rows = (UIDS[0],), [(uid,) for uid in UIDS[1:]]
    elif variant == "patients":
        header, rows = ("seriesuid", "patient"), [(uid, f"P{number // 2}") for number, uid in enumerate(UIDS)]
    elif variant == "nlst":
        header = LISTING
        rows = [
            (uid, f"{uid}.1", "100012", "01-02-1999", "CT", 140 + place, "./NLST/x") for place, uid in enumerate(UIDS)
        ]
    _write(_path(folder, variant), [header, *rows])


def mutate(folder: Path, variant: str, rng) -> str:
    """Cells and rows more often than bytes."""
    path = folder / SLIDES if variant == "slides" else _path(folder, variant)
    if rng.random() < 0.3:
        return damage_file(path, rng)
    rows = list(csv.reader(io.StringIO(_text(path))))
    row, way = (
        rng.randrange(len(rows)),
        rng.choice(("cell",) * 6 + ("twice", "gone", "column", "short", "long", "form")),
    )
    if way == "cell":
        column = rng.randrange(len(rows[row]))
        cell = rows[row][column]
        rows[row][column] = rng.choice((rng.choice(NUMBER_TEXTS), rng.choice(NASTY_TEXTS), other_text(cell, rng)))
        if rng.random() < 0.3:
            rows[row][column] = rng.choice(
                (f" {cell} ", f"'{cell}", f'"{cell}"', f"\u00a0{cell}", cell.upper(), f"{cell}\n")
            )
        told = f"cell {column} of row {row} is {rows[row][column][:40]!r}"
    elif way == "twice":
        rows.insert(rng.randrange(len(rows)), rows[row])
        told = f"row {row} is there twice"
    elif way == "gone":
        del rows[row]
        told = f"row {row} is gone"
    elif way == "column":
        one, other = rng.randrange(len(rows[0])), rng.randrange(len(rows[0]))
        for cells in rows:
            cells[one], cells[other] = cells[other], cells[one]
        told = f"columns {one} and {other} are swapped"
    elif way in ("short", "long"):
        rows[row] = rows[row][:-1] if way == "short" else [*rows[row], rng.choice(("", "x"))]
        told = f"row {row} is {way}"
    else:
        return _in_another_form(path, rows, rng)
    _write(path, rows)
    return told


def _in_another_form(path, rows, rng):
    form = rng.choice(
        ("BOM", "CRLF", "CR", "UTF-16", "Latin-1", "semicolons", "tabs", "quoted", "blank lines", "empty")
    )
    text = io.StringIO(newline="")
    delimiter = {"semicolons": ";", "tabs": "\t"}.get(form, ",")
    quoting = csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL
    end = {"CRLF": "\r\n", "CR": "\r", "blank lines": "\n\n"}.get(form, "\n")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    encoding = {"BOM": "utf-8-sig", "UTF-16": "utf-16", "Latin-1": "latin-1"}.get(form, "utf-8")
    encoded = text.getvalue().replace("Neg", "Nég" if form == "Latin-1" else "Neg").encode(encoding)
    _pack(path, b"" if form == "empty" else encoded)
    return form


def read(folder: Path):
    """The table, as the command does that takes it."""
    path = next((each for each in sorted(folder.iterdir()) if each.name.endswith((".csv", ".gz"))), folder / "none.csv")
    name = path.name.partition(".csv")[0]
    if name == "annotations":
        found = read_annotations(path, known_series=UIDS)
        return list(zip(found.series_uid, found.centre_xyz_mm.tolist(), found.diameter_mm.tolist(), strict=True))
    if name == "submission":
        marks = read_submission(path, known_series=UIDS)
        return list(zip(marks.series_uid, marks.centre_xyz_mm.tolist(), marks.score.tolist(), strict=True))
    if name == "seriesuids":
        return list(read_series_uids(path))
    if name in ("points", "boxes"):
        of_scan = read_lesion_table(path, UIDS)
        return {uid: [each.centres_xyz_mm, each.diameters_mm] for uid, each in of_scan.items()}
    if name == "patients":
        return {uid: patient for uid, (_, patient) in read_column(path, "patient", UIDS).items()}
    if name == "metadata":
        return {uid: {column: entry[column] for column in LISTING} for uid, entry in read_listings(folder).items()}
    return {f"{slide.split} {slide.name}": slide.label for slide in find_slides(folder)}


def judge(damaged: Path, valid: Path, reading) -> str:
    """By Python's csv and the rules that the readers' documents state."""
    return judged(content, read, damaged, valid, reading)


def content(folder: Path):
    """The table, as `read` gives it."""
    path = next(each for each in sorted(folder.iterdir()) if each.name.endswith((".csv", ".gz")))
    name = path.name.partition(".csv")[0]
    if name.endswith("_Labels"):
        return _labels(folder, "Test") | _labels(folder, "Train")
    rows = _rows(path)
    if name == "seriesuids":
        uids = [cells[0] for cells in rows]
        if {len(cells) for cells in rows} != {1} or len({*uids, ""}) <= len(uids) or "seriesuid" in uids:
            raise MustRefuse("it is no list of series, each once")
        return uids
    if not rows:
        raise MustRefuse("it is empty")
    header, *body = rows
    columns = {
        "annotations": ("seriesuid", *POINT),
        "submission": ("seriesuid", *SUBMISSION),
        "points": ("seriesuid", *POINT),
        "boxes": ("seriesuid", *BOX),
        "patients": ("seriesuid", "patient"),
        "metadata": LISTING,
    }[name]
    if any(header.count(column) != 1 for column in columns):
        raise MustRefuse(f"its header is {header}")
    if any(len(cells) != len(header) for cells in body):
        raise MustRefuse("a row is longer or shorter than the header")
    table = [tuple(cells[header.index(column)] for column in columns) for cells in body]
    if name == "metadata":
        if not all(re.fullmatch("[0-9]{1,9}", row[5]) for row in table) or len({row[0] for row in table}) < len(table):
            raise MustRefuse("a number of images is none, or a series is there twice")
        return {row[0]: dict(zip(LISTING, (*row[:5], int(row[5]), row[6]), strict=True)) for row in table}
    if any(row[0] not in UIDS for row in table):
        raise MustRefuse("a series is not one of those that there are")
    if name == "patients":
        if len({uid for uid, _ in table}) < len(table) or any(not patient for _, patient in table):
            raise MustRefuse("a series is there twice, or has no patient")
        return dict(table)
    numbers = [(uid, *map(_number, cells)) for uid, *cells in table]
    if len(set(numbers)) < len(numbers):
        raise MustRefuse("a row is there twice")
    return _of_kind(name, numbers)


def _of_kind(name, numbers):
    if name == "submission":
        return [(uid, point, score) for uid, *point, score in numbers]
    if name == "boxes":
        sides = [high - low for row in numbers for low, high in zip(row[1:4], row[4:], strict=True)]
    else:
        sides = [row[4] for row in numbers if name == "points" or row[4] != -1]
    if any(not 0 < side <= WIDEST_MM for side in sides):
        raise MustRefuse("a size is not above 0, or wider than a chest")
    if name == "annotations":
        return [(uid, point, diameter) for uid, *point, diameter in numbers]
    of_scan: dict[str, list] = {}
    for uid, *row in numbers:
        of_scan.setdefault(uid, []).append(row)
    tables = {uid: np.array(rows) for uid, rows in of_scan.items()}
    if name == "points":
        return {uid: [table[:, :3], table[:, 3]] for uid, table in tables.items()}
    return {uid: [(table[:, :3] + table[:, 3:]) / 2, table[:, 3:] - table[:, :3]] for uid, table in tables.items()}


def _labels(folder, split):
    label_of = {}
    for cells in _rows(folder / f"{split}_Labels.csv")[1:]:
        if not any(cells):
            continue
        spelling = "".join(cells[1].lower().replace("-", "").replace("_", "").split()) if len(cells) > 1 else ""
        if spelling not in CLASSES or cells[0] in label_of:
            raise MustRefuse("a slide has no class, or two")
        label_of[cells[0]] = CLASSES[spelling]
    if label_of.keys() != {path.name for path in (folder / split).iterdir()}:
        raise MustRefuse("its slides are not those that there are")
    return {f"{split.lower()} {Path(name).stem}": label for name, label in label_of.items()}


def _number(cell):
    value = float(cell) if NUMBER.fullmatch(cell) else float("nan")
    if not np.isfinite(value):
        raise MustRefuse(f"a cell is {cell[:60]!r}")
    return value


def _rows(path):
    try:
        reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
        return [[_cell(cell) for cell in cells] for cells in reader if cells]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise MustRefuse(f"it is no CSV: {error}") from None


def _cell(cell):
    text = cell.strip()
    return text[1:] if re.match("'+[=+\\-@\uff1d\uff0b\uff0d\uff20]", text) else text


def _text(path):
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def _write(path, rows):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    _pack(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _pack(path, content):
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _path(folder, variant):
    name = "metadata" if variant == "nlst" else variant.removesuffix(".gz")
    return folder / f"{name}.csv{'.gz' if variant.endswith('.gz') else ''}"
