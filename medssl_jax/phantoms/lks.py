"""A synthetic LKS on disk, in the real one's layout.

spec.json                            what it was made from
Train/<name>.tif  Test/<name>.tif    8-bit grey, one slide each
Train_Labels.csv  Test_Labels.csv    a header row; then file name, class
phantom/<name>.json                  the truth about one slide; written last, so it also says: this slide is finished
"""

import dataclasses
import functools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import Progress, silent
from medssl_jax.phantoms.folder import TRUTH_FOLDER, claim_folder, csv_text, make_missing, write_text
from medssl_jax.phantoms.slides.painting import SlideDrawing
from medssl_jax.phantoms.slides.render import draw_slide, render_bands
from medssl_jax.phantoms.slides.roster import PlannedSlide, plan_slides
from medssl_jax.phantoms.slides.spec import LksPhantom

MAKE = 1  # raised when the same spec would give other bytes, so that two makes never mix in one folder
FOLDERS = {"train": "Train", "test": "Test"}
LABEL_FILES = {"train": "Train_Labels.csv", "test": "Test_Labels.csv"}
HEADER = ("Image", "Label")
STRIP_ROWS, TILE_SIDE = 16, 256
TIFF_COMPRESSIONS = {"none": None, "lzw": "lzw", "deflate": "adobe_deflate"}


@dataclasses.dataclass(frozen=True)
class SlideTruth:
    """What is known of a written slide. Places are pixels y, x of the centre crop."""

    name: str
    split: str
    label: str
    fine_only: bool  # the class shows at full resolution alone
    hazy: bool
    strength: float  # of the serum, about 1; means nothing for a negative one
    layout: str  # of the file
    size_yx: tuple[int, int]  # of the file
    crop_yx: tuple[int, int]  # where in the file the centre crop begins
    edge_yx: tuple[float, float]  # where kidney, stomach muscle and mucosa meet: all tissues but the liver in one view


def write_lks_phantom(
    spec: LksPhantom, directory: str | os.PathLike, *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; slides that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `claim_folder`.
    """
    subfolders = tuple(FOLDERS.values())
    telltale_names = (*LABEL_FILES.values(), *subfolders)
    directory = claim_folder(directory, "lks", MAKE, spec, telltale_names=telltale_names, subfolders=subfolders)
    slides = plan_slides(spec)
    make_missing(
        functools.partial(write_slide, spec, directory),
        slides,
        functools.partial(_is_finished, directory),
        workers=workers,
        progress=progress,
    )
    for split, file in LABEL_FILES.items():
        rows = [(f"{slide.name}.tif", slide.label) for slide in slides if slide.split == split]
        write_text(directory / file, csv_text([HEADER, *rows]))


def slide_path(directory: str | os.PathLike, slide: PlannedSlide | SlideTruth) -> Path:
    """Where a slide lies."""
    return Path(directory) / FOLDERS[slide.split] / f"{slide.name}.tif"


def read_truth(directory: str | os.PathLike, name: str) -> SlideTruth:
    """What is known of slide `name` of a written phantom. Raises InputError where there is no such slide."""
    path = _truth_path(Path(directory), name)
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected the truth of a phantom's slide: make the phantom") from None
    lists = {key: tuple(value) for key, value in record.items() if isinstance(value, list)}
    return SlideTruth(**(record | lists))


def write_slide(spec: LksPhantom, directory: str | os.PathLike, planned: PlannedSlide) -> None:
    """Makes and writes one slide, a band at a time."""
    directory = Path(directory)
    layout = spec.layouts[planned.number % len(spec.layouts)]
    slide = draw_slide(spec, planned)
    with atomic_path(slide_path(directory, planned)) as temporary:
        _write_tiff(temporary, render_bands(spec, planned, slide), slide, layout)
    truth = SlideTruth(
        name=planned.name,
        split=planned.split,
        label=planned.label,
        fine_only=planned.fine_only,
        hazy=planned.hazy,
        strength=round(planned.strength, 4),
        layout=layout,
        size_yx=slide.shape_yx,
        crop_yx=slide.grid.before_yx,
        edge_yx=(round(slide.section.edge_yx[0], 1), round(slide.section.edge_yx[1], 1)),
    )
    write_text(_truth_path(directory, planned.name), json.dumps(dataclasses.asdict(truth), indent=1) + "\n")


def _is_finished(directory, slide):
    return slide_path(directory, slide).is_file() and _truth_path(directory, slide.name).is_file()


def _truth_path(directory, name):
    return directory / TRUTH_FOLDER / f"{name}.json"


def _write_tiff(path, bands, slide: SlideDrawing, layout: str) -> None:
    import tifffile

    pieces, compression, *big = layout.split("-")
    chunks: Iterator[np.ndarray] | Iterator[bytes]
    if pieces == "tiles":
        chunks, tile, rows_per_strip = _tiles(bands), (TILE_SIDE, TILE_SIDE), None
    else:
        # Of strips, tifffile takes an iterator only where they are encoded.
        chunks = (_encoded(strip, compression) for strip in _stacked(bands, STRIP_ROWS))
        tile, rows_per_strip = None, STRIP_ROWS
    with tifffile.TiffWriter(path, bigtiff=bool(big)) as tiff:
        tiff.write(
            chunks,
            shape=slide.shape_yx,
            dtype=np.uint8,
            tile=tile,
            rowsperstrip=rows_per_strip,
            photometric="minisblack",
            compression=TIFF_COMPRESSIONS[compression],
            predictor=compression == "deflate",
            metadata=None,
            software="medssl_jax phantom",
            maxworkers=1,
        )


def _encoded(strip: UInt8[np.ndarray, "rows width"], compression: str) -> bytes:
    import imagecodecs

    if compression == "lzw":
        return bytes(imagecodecs.lzw_encode(strip.tobytes()))
    if compression == "deflate":
        return bytes(imagecodecs.zlib_encode(imagecodecs.delta_encode(strip, axis=-1).tobytes()))
    return strip.tobytes()


def _tiles(bands):
    for rows in _stacked(bands, TILE_SIDE):
        height, width = rows.shape
        padded = np.pad(rows, ((0, -height % TILE_SIDE), (0, -width % TILE_SIDE)))
        for left in range(0, padded.shape[1], TILE_SIDE):
            yield padded[:, left : left + TILE_SIDE]


def _stacked(bands: Iterable[UInt8[np.ndarray, "_ width"]], height: int) -> Iterator[UInt8[np.ndarray, "_ width"]]:
    """The same rows in bands of `height`, the last one shorter if need be."""
    waiting: list[np.ndarray] = []
    rows = 0
    for band in bands:
        waiting.append(band)
        rows += len(band)
        if rows >= height:
            joined = np.concatenate(waiting)
            whole = rows - rows % height
            for top in range(0, whole, height):
                yield joined[top : top + height]
            waiting, rows = [joined[whole:]], rows - whole
    if rows:
        yield np.concatenate(waiting)
