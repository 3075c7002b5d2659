"""One prepared slide in one file: its low-resolution image and all its patches, each read in about a millisecond.

An ArrayRecord file of uint8 records, each compressed alone by zstd, lossless: the patches row by row, then the
low-resolution image, then a JSON header. The image comes last because one pass over the slide gives patches first.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import UInt8

from medssl_jax.core.atomic import atomic_path
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import BandedSlide, Slide, SlideLayout

with epy.lazy_imports():
    from array_record.python import array_record_module

SUFFIX = ".array_record"
WRITE_OPTIONS = "group_size:1,zstd:1"  # higher levels took three times as long and gained nothing on noise
READ_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"  # the defaults read ahead, which random patches waste


class StoreError(InputError):
    """The store cannot be written; nothing is wrong with the slide."""


class PreparedSlide(Slide):
    """A `Slide` out of its store. `source` is what the writer called the original; `patches_read` counts decodings.

    Raises `InputError` where the store is absent, damaged or something else; at once, and where a damaged record is
    read.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self.patches_read = 0
        self._reader = _open(self.path)
        self.name, self.source, self.layout = self._header()

    def low_resolution(self) -> UInt8[np.ndarray, "side side"]:
        """The slide, box-averaged by `layout.shrink`."""
        return self._image(self.layout.grid**2, self.layout.low_side)

    def patches(self, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "side side"]]:
        """The patches `indices` at full resolution, in that order, one decoded at a time."""
        for index in indices:
            patch = self._image(range(self.layout.grid**2)[index], self.layout.patch_side)
            self.patches_read += 1
            yield patch

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()

    def _header(self) -> tuple[str, str, SlideLayout]:
        records = self._reader.num_records()
        text = self._read(records - 1)
        try:
            header = json.loads(text)
            name, source, sides = header["name"], header["source"], header["layout"]
            if not (
                isinstance(name, str) and isinstance(source, str) and all(type(each) is int for each in sides.values())
            ):
                raise TypeError("names are text, sides whole numbers")
            layout = SlideLayout(**sides)
            if records != layout.grid**2 + 2:
                raise ValueError("records are missing")
            return name, source, layout
        # A RecursionError is JSON nested too deep; an InputError a layout that is none.
        except (AttributeError, InputError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise _damaged(self.path, "no header of a prepared slide") from error

    def _image(self, record: int, side: int) -> UInt8[np.ndarray, "side side"]:
        data = self._read(record)
        if len(data) != side * side:
            raise _damaged(self.path, f"{len(data)} bytes in record {record}, expected {side} x {side}")
        return np.frombuffer(data, np.uint8).reshape(side, side)

    def _read(self, record: int) -> bytes:
        try:
            return self._reader.read([record])[0]
        except RuntimeError as error:  # how ArrayRecord says that a record is damaged
            raise _damaged(self.path, str(error).partition(";")[0]) from error


def write_patch_store(path: str | os.PathLike[str], slide: Slide, *, source: str = "") -> None:
    """Writes the store of `slide`, whole or not at all; what one pass gives is decoded once, a band at a time.

    Raises `InputError` where the slide cannot be read, `StoreError` where the store cannot be written.
    """
    header = {"name": slide.name, "source": source, "layout": dataclasses.asdict(slide.layout)}
    try:
        with atomic_path(path) as temporary:
            writer = array_record_module.ArrayRecordWriter(str(temporary), WRITE_OPTIONS)
            try:
                for patch in _all_patches(slide):
                    writer.write(patch.tobytes())
                writer.write(slide.low_resolution().tobytes())
                writer.write(json.dumps(header).encode())
            finally:
                writer.close()
    except RuntimeError as error:  # how ArrayRecord says that the disk is full
        reason = str(error).partition(";")[0]
        raise StoreError(f"{path}: cannot be written ({reason}): free some space and start again") from error


def _all_patches(slide: Slide) -> Iterator[UInt8[np.ndarray, "side side"]]:
    if not isinstance(slide, BandedSlide):
        yield from slide.patches(range(slide.layout.grid**2))
        return
    for band in slide.bands():
        yield from band.patches


def _open(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such prepared slide: run `python -m experiments.prepare --dataset=lks` again")
    try:
        reader = array_record_module.ArrayRecordReader(str(path), READ_OPTIONS)
    except ValueError as error:  # where a block of the file is lost
        raise _damaged(path, "not a whole ArrayRecord file") from error
    if not reader.ok() or not reader.num_records():
        raise _damaged(path, "not a whole ArrayRecord file")
    return reader


def _damaged(path: Path, found: str) -> InputError:
    return InputError(f"{path}: {found}: remove the file and run `python -m experiments.prepare --dataset=lks` again")
