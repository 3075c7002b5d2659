"""The directories of a TIFF file, classic or BigTIFF: the fields that describe an image, as whole numbers or bytes.

A header may claim anything, and parsers of all dialects follow it: one of them took 8 GB for a file of 0.8 MB. Here
nothing is read beyond the file, and a list only when it is asked for.
"""

import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64, UInt

from medssl_jax.core.errors import InputError

MOST_DIRECTORIES, MOST_FIELDS = 1000, 4096
LARGEST_NUMBER = 2**62 - 1  # the sum of two is a number too
TYPES = {
    **{1: "BYTE", 2: "ASCII", 3: "SHORT", 4: "LONG", 5: "RATIONAL", 6: "SBYTE", 7: "UNDEFINED", 8: "SSHORT"},
    **{9: "SLONG", 10: "SRATIONAL", 11: "FLOAT", 12: "DOUBLE", 13: "IFD", 16: "LONG8", 17: "SLONG8", 18: "IFD8"},
}
WHOLE_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
BYTES = {1: "u1", 7: "u1"}


class Field(enum.IntEnum):
    """The fields that are read, by their names in the specification; the last two are Hamamatsu's."""

    ImageWidth = 256
    ImageLength = 257
    BitsPerSample = 258
    Compression = 259
    PhotometricInterpretation = 262
    FillOrder = 266
    StripOffsets = 273
    SamplesPerPixel = 277
    RowsPerStrip = 278
    StripByteCounts = 279
    PlanarConfiguration = 284
    Predictor = 317
    TileWidth = 322
    TileLength = 323
    TileOffsets = 324
    TileByteCounts = 325
    SampleFormat = 339
    JPEGTables = 347
    ImageDepth = 32997
    NDPIFormat = 65420
    NDPIMcuStarts = 65426


class Directory:
    """The fields of one image. Every method raises `InputError` for a field that is of another type or count."""

    def __init__(self, reader: "_Reader", place: int, entries: np.ndarray):
        self._reader, self._place = reader, place
        known = entries[np.isin(entries["field"], list(Field))]
        self._entries = {Field(entry["field"]): entry for entry in known}
        if len(self._entries) < len(known):
            raise reader.unreadable(f"a field of its image at byte {place} is there twice")

    def __contains__(self, field: Field) -> bool:
        return field in self._entries

    def number(self, field: Field, default: int | None = None) -> int:
        """The value of a field that has one."""
        numbers = self.numbers(field, default)
        if len(numbers) != 1:
            raise self._unexpected(field, f"has {len(numbers)} values, expected one")
        return int(numbers[0])

    def numbers(self, field: Field, default: int | None = None) -> Int64[np.ndarray, " count"]:
        """All values of a field, one or more."""
        if field not in self._entries:
            if default is None:
                raise self._unexpected(field, "is missing")
            return np.array([default])
        numbers = self._values(field, WHOLE_NUMBERS, "whole numbers")
        if not len(numbers):
            raise self._unexpected(field, "has no value")
        if numbers.max() > LARGEST_NUMBER:
            raise self._unexpected(field, f"is {numbers.max()}, beyond the end of any file")
        return numbers.astype(np.int64)

    def of_each(self, field: Field, channels: int, default: int) -> Int64[np.ndarray, " count"]:
        """The values of a field that has one for each channel, or one for all."""
        numbers = self.numbers(field, default)
        if len(numbers) not in (1, channels):
            raise self._unexpected(field, f"has {len(numbers)} values, expected {channels}")
        return numbers

    def bytes_of(self, field: Field) -> bytes | None:
        """The bytes of a field, None where there is none."""
        return self._values(field, BYTES, "bytes").tobytes() if field in self._entries else None

    def _values(self, field: Field, types: Mapping[int, str], expected: str) -> UInt[np.ndarray, " count"]:
        entry = self._entries[field]
        kind, count = int(entry["type"]), int(entry["count"])
        if kind not in types:
            raise self._unexpected(field, f"is of type {kind} ({TYPES.get(kind, 'unknown')}), expected {expected}")
        dtype = np.dtype(self._reader.order + types[kind])
        value = entry["value"].tobytes()
        if count * dtype.itemsize > len(value):
            place = int(np.frombuffer(value, self._reader.offset_type)[0])
            if place + count * dtype.itemsize > self._reader.size:
                raise self._unexpected(field, f"lists {count} values from byte {place}, beyond the end of the file")
            value = self._reader.read(place, count * dtype.itemsize)
        return np.frombuffer(value, dtype, count)

    def _unexpected(self, field: Field, found: str) -> InputError:
        return InputError(
            f"{self._reader.path}: the field {field.name} of its image at byte {self._place} {found}: copy or export "
            "it again"
        )


def read_directories(path: Path, file: BinaryIO) -> list[Directory]:
    """The directories in the order of the file, without those that other directories point to.

    Raises:
      InputError: not a TIFF, or cut short within a directory.
    """
    reader = _Reader(path, file)
    place = reader.first_directory()
    directories: dict[int, Directory] = {}
    while place:
        if place in directories:
            raise reader.unreadable(f"its directories form a ring at byte {place}")
        if len(directories) == MOST_DIRECTORIES:
            raise InputError(f"{path}: more than {MOST_DIRECTORIES} images, expected one: export one slide a file")
        directories[place], place = reader.directory(place)
    return list(directories.values())


class _Reader:
    """The file, and how numbers stand in it."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self._file = path, file
        self.size = os.fstat(file.fileno()).st_size
        head = self.read(0, 4)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = int.from_bytes(head[2:4], "big" if self.order == ">" else "little")
        if not self.order or version not in (42, 43):
            raise self.unreadable(f"it begins with {head!r}, expected II or MM and 42 or 43")
        is_big = version == 43
        if not is_big and self.size > 2**32:
            raise InputError(f"{path}: more than 4 GB in a classic TIFF or NDPI, expected less: export it as BigTIFF")
        self.offset_type = f"{self.order}u{8 if is_big else 4}"
        self._first_place = 8 if is_big else 4
        self._count_type = self.offset_type if is_big else f"{self.order}u2"
        short, value = f"{self.order}u2", "V8" if is_big else "V4"
        self._entry = np.dtype([("field", short), ("type", short), ("count", self.offset_type), ("value", value)])

    def first_directory(self) -> int:
        place = self._number(self._first_place, self.offset_type)
        if not place:
            raise self.unreadable("it has no image")
        return place

    def directory(self, place: int) -> tuple[Directory, int]:
        """The directory at `place`, and where the next one is."""
        count = self._number(place, self._count_type)
        if not 0 < count <= MOST_FIELDS:
            raise self.unreadable(f"a directory of {count} fields at byte {place}, expected 1 to {MOST_FIELDS}")
        begins = place + np.dtype(self._count_type).itemsize
        ends = begins + count * self._entry.itemsize
        entries = np.frombuffer(self._exactly(begins, ends - begins), self._entry)
        return Directory(self, place, entries), self._number(ends, self.offset_type)

    def read(self, place: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, place) if place <= self.size else b""

    def unreadable(self, reason: str) -> InputError:
        return InputError(f"{self.path}: cannot be read as TIFF ({reason}): copy or export it again")

    def _number(self, place: int, dtype: str) -> int:
        return int(np.frombuffer(self._exactly(place, np.dtype(dtype).itemsize), dtype)[0])

    def _exactly(self, place: int, length: int) -> bytes:
        data = self.read(place, length)
        if len(data) < length:
            raise self.unreadable(f"a directory lies beyond its end, {self.size} bytes")
        return data
