"""DICOM: a CT series in a folder, with fields, slices and bytes that are not as they should be."""

import math
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import SimpleITK  # noqa: F401 - imported once, or each input would wait for it
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.rle import _rle_decode_frame

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, read_volume
from medssl_jax.phantoms.dicom_series import EXPLICIT_LITTLE_ENDIAN, JPEG_LOSSLESS, Storage, slice_images, write_images
from tests.fuzz import volumes
from tests.fuzz.damage import NASTY_TEXTS, NUMBER_TEXTS, damage_file, damage_one_of
from tests.fuzz.oracle import Beyond, MustRefuse

VARIANTS = ("explicit", "unsigned", "implicit", "deflated", "run lengths", "JPEG lossless")
SLICES = 8  # a series of five or fewer may be a localizer
IMPLICIT, DEFLATED, RUN_LENGTHS = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
# What each field is tried with, beside texts and numbers that suit none.
VALUES: dict[str, tuple[Any, ...]] = {
    "ImageType": ("LOCALIZER", ["ORIGINAL", "PRIMARY", "LOCALIZER"], ["DERIVED", "SECONDARY"]),
    "Modality": ("MR", "PT", "SR", ["CT", "MR"]),
    "PatientID": (["A", "B"], "A\\B", "x" * 300),
    "StudyInstanceUID": ("1.2", "5", "../../../evil"),
    "SeriesInstanceUID": ("../../../evil", "/abs", "..", ".lock", "1" * 300, "1.2.3\0", "1.2.9", ["1.2", "3.4"]),
    "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.3.10"),
    "ImagePositionPatient": (
        ["0", "0", "0"],
        ["nan", "0", "0"],
        ["1", "2"],
        ["1e30", "0", "0"],
        ["-100.5", "20.25", "x"],
    ),
    "ImageOrientationPatient": (["1", "0", "0", "0", "1", "0"], ["0"] * 6, ["1", "0", "0", "1", "0", "0"], ["nan"] * 6),
    "PixelSpacing": (["1", "1"], ["0", "0"], ["-1", "1"], ["nan", "1"], ["1e-30", "1e30"], ["1"]),
    "SliceThickness": ("0", "-5", "nan"),
    "Rows": (0, 1, 8, 65535, [8, 8]),
    "Columns": (0, 1, 10, 65535),
    "BitsAllocated": (0, 1, 8, 12, 32, 64, 65535),
    "BitsStored": (0, 1, 8, 12, 15, 17, 65535),
    "HighBit": (0, 7, 11, 14, 16, 65535),
    "PixelRepresentation": (0, 1, 2, 65535),
    "SamplesPerPixel": (0, 2, 3, 65535),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL"),
    "PlanarConfiguration": (0, 1, 2),
    "NumberOfFrames": ("2", "0", "-1", "1000000", "1"),
    "RescaleSlope": ("0", "-1", "2", "0.5", "nan", "1e30", "1e-30", ["1", "2"]),
    "RescaleIntercept": ("0", "nan", "-2000000000", "1e30", "0.5", ["1", "2"]),
    "PixelPaddingValue": (0, 65535),
    "GantryDetectorTilt": ("20", "nan"),
    "SpecificCharacterSet": ("ISO_IR 192", "nonsense", ["", "ISO 2022 IR 87"]),
    "TransferSyntaxUID": (IMPLICIT, EXPLICIT_LITTLE_ENDIAN, DEFLATED, RUN_LENGTHS, JPEG_LOSSLESS, "1.2", ""),
}
VRS = (
    "US",
    "SS",
    "UL",
    "FL",
    "FD",
    "DS",
    "IS",
    "LO",
    "UI",
    "CS",
    "OB",
    "OW",
    "SQ",
    "UN",
    "AT",
    "DA",
    "PN",
    "XX",
    "\0\0",
)
SHARED = ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "PatientID", "StudyInstanceUID", "Modality")


def make(folder: Path, variant: str) -> None:
    """Written as the project writes its phantoms, then encoded in the variant's way."""
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, (SLICES, 8, 10)).astype(np.int16)
    grid = Grid(hu.shape, volumes.SPACING_ZYX_MM, volumes.ORIGIN_XYZ_MM, volumes.DIRECTION)
    fields = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "StudyDate": "19990102",
        "Modality": "CT",
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "PatientID": "100012",
        "SliceThickness": "2.5",
        "ConvolutionKernel": "STANDARD",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
    }
    syntax = JPEG_LOSSLESS if variant == "JPEG lossless" else EXPLICIT_LITTLE_ENDIAN
    storage = Storage(signed=variant != "unsigned", bits=16, intercept=-1024, padding_hu=None, transfer_syntax=syntax)
    images = slice_images(Volume(hu, grid, "1.2.3.4"), storage, fields, [f"1.2.3.4.{z}" for z in range(SLICES)])
    write_images({folder / f"1-{(z * 5 + 3) % SLICES}.dcm": image for z, image in enumerate(images)})
    for path in folder.iterdir() if variant in ("implicit", "deflated", "run lengths") else ():
        dataset = pydicom.dcmread(path)
        if variant == "run lengths":
            dataset.compress(RUN_LENGTHS, encoding_plugin="pydicom")
        else:
            dataset.file_meta.TransferSyntaxUID = IMPLICIT if variant == "implicit" else DEFLATED
        dataset.save_as(path, enforce_file_format=True)


def mutate(folder: Path, variant: str, rng) -> str:
    """Bytes of a file, fields of one slice or of all, or which slices there are."""
    files = sorted(folder.iterdir())
    way = rng.choice(("bytes", "bytes", "field", "field", "field", "field", "raw", "slices", "pixels"))
    if way == "bytes":
        return damage_one_of(files, rng)
    if way == "slices":
        return _mutated_slices(files, rng)
    some = files if rng.random() < 0.3 else [rng.choice(files)]
    told = f"{len(some)} slices: "
    if way == "raw":
        state = rng.getstate()
        for path in some:
            rng.setstate(state)
            told_of_one = _mutated_element(path, rng)
        return told + told_of_one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return told + (_mutated_pixels(some, rng) if way == "pixels" else _mutated_fields(some, rng))


def _mutated_fields(files, rng):
    if rng.random() < 0.08:
        return _huge(files, rng)
    keyword = rng.choice(tuple(VALUES))
    others = (*VALUES[keyword] * 4, *NASTY_TEXTS, *NUMBER_TEXTS)
    value, is_dropped = rng.choice(others), rng.random() < 0.1
    with pydicom.config.disable_value_validation():
        for path in files:
            dataset = pydicom.dcmread(path)
            place = dataset.file_meta if keyword == "TransferSyntaxUID" else dataset
            tag = pydicom.tag.Tag(keyword)
            if is_dropped:
                if tag in place:
                    del place[tag]
            else:
                vr = pydicom.datadict.dictionary_VR(tag)
                vr = (
                    ("US" if vr == "US or SS" else vr)
                    if isinstance(value, int) or vr not in ("US", "US or SS")
                    else "LO"
                )
                _put(place, tag, vr, value)
            _save(dataset, path)
    return f"{keyword} dropped" if is_dropped else f"{keyword} is {str(value)[:40]!r}"


def _huge(files, rng):
    """Pixels that the files do not hold."""
    rows, columns = rng.choice(((65535, 65535), (20_000, 20_000), (65535, 8)))
    for path in files if rng.random() < 0.3 else sorted(files[0].parent.iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.Rows, dataset.Columns = rows, columns
        _save(dataset, path)
    return f"{rows} rows of {columns}"


def _put(dataset, tag, vr, value):
    if isinstance(value, int) or (isinstance(value, list) and isinstance(value[0], int)):
        values = value if isinstance(value, list) else [value]
        data = b"".join(struct.pack("<H", each) for each in values) if vr == "US" else str(value).encode()
    else:
        data = "\\".join(value if isinstance(value, list) else [value]).encode("utf-8", "surrogateescape")
    data += b"\0" * (len(data) % 2)
    dataset[tag] = RawDataElement(tag, vr, len(data), data, 0, False, True)


def _save(dataset, path):
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    implicit = syntax == IMPLICIT
    try:
        dataset.save_as(path, enforce_file_format=False, implicit_vr=implicit, little_endian=True, overwrite=True)
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        NotImplementedError,
        struct.error,
        pydicom.errors.BytesLengthException,
    ):
        path.write_bytes(path.read_bytes()[:-1])  # pydicom refuses to write it so: another damage in its place


def _mutated_element(path, rng):
    """Changes an element's VR, length or value where it lies, if the encoding is explicit."""
    data = bytearray(path.read_bytes())
    keyword = rng.choice((*VALUES, "PixelData"))
    tag = pydicom.tag.Tag(keyword)
    start = data.find(struct.pack("<HH", tag.group, tag.element), 132)
    if start < 0 or start + 8 > len(data):
        return f"no {keyword}: " + damage_file(path, rng)
    way = rng.choice(("VR", "length", "value"))
    if way == "VR":
        data[start + 4 : start + 6] = rng.choice(VRS).encode()
    elif way == "length":
        data[start + 6 : start + 8] = struct.pack("<H", rng.choice((0, 1, 2, 3, 7, 255, 65535, 65534)))
    else:
        data[start + 8 : start + 10] = rng.randbytes(2)
    path.write_bytes(bytes(data))
    return f"{way} of {keyword} changed in place"


def _mutated_pixels(files, rng):
    way = rng.choice(("short", "empty", "long", "other", "none"))
    seed = rng.randrange(2**32)
    for path in files:
        dataset = pydicom.dcmread(path)
        if "PixelData" not in dataset:
            continue
        pixels = dataset.PixelData
        if way == "none":
            del dataset.PixelData
        else:
            other = bytes(np.random.default_rng(seed).integers(0, 256, len(pixels), np.uint8))
            dataset["PixelData"]._value = {
                "short": pixels[: len(pixels) // 2 // 2 * 2],
                "empty": b"",
                "long": pixels + pixels,
                "other": other,
            }[way]
        _save(dataset, path)
    return f"pixels: {way}"


def _mutated_slices(files, rng):
    path, other = rng.sample(files, 2)
    way = rng.choice(
        ("one gone", "twice", "another's bytes", "more", "end of another series", "few", "with another scan")
    )
    if way == "one gone":
        path.unlink()
    elif way == "twice":
        shutil.copyfile(path, path.with_name("copy.dcm"))
    elif way == "another's bytes":
        shutil.copyfile(other, path)
    elif way == "more":
        path.with_name(rng.choice(("a.dcm", "README", "x.txt", "noise"))).write_bytes(rng.randbytes(500))
    elif way == "few":
        for each in files[rng.randrange(3) :]:
            each.unlink()
    elif way == "with another scan":
        for each in files:
            dataset = pydicom.dcmread(each)
            dataset.SeriesInstanceUID = "1.2.3.5"
            dataset.save_as(each.with_name(f"other-{each.name}"))
    else:
        heights = {each: float(pydicom.dcmread(each).ImagePositionPatient[2]) for each in files}
        end = rng.choice((min, max))(files, key=heights.__getitem__)
        dataset = pydicom.dcmread(end)
        dataset.SeriesInstanceUID = "1.2.3.5"
        dataset.save_as(end)
    return way


def read(folder: Path):
    """The one series of the folder."""
    return read_volume(folder)


def judge(damaged: Path, valid: Path, reading) -> str:
    """By a full reading of each file by pydicom."""
    return volumes.judge(content, damaged, valid, reading, read)


def content(folder: Path) -> volumes.Content:
    """What the volume is, or why it must be refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = [_dataset(path) for path in sorted(folder.iterdir())]
        slices = [_slice(dataset) for dataset in datasets if dataset is not None]
    if len({each["series"] for each in slices}) != 1:
        raise MustRefuse(f"{len({each['series'] for each in slices})} series lie in the folder")
    for field in SHARED:
        if len({repr(each[field]) for each in slices}) != 1:
            raise Beyond(f"its slices differ in {field}")
    orientation = np.array(slices[0]["ImageOrientationPatient"], float).reshape(2, 3)
    normal = np.cross(*orientation)
    slices.sort(key=lambda each: np.array(each["position"]) @ normal)
    positions = np.array([each["position"] for each in slices])
    steps = np.diff(positions @ normal)
    if len(steps) < 1 or np.ptp(steps) > 0.2 * steps.max() or steps.min() <= 0:
        raise MustRefuse(f"its slices lie {steps} mm apart")
    spacing_y, spacing_x = slices[0]["PixelSpacing"]
    axes = np.stack([*orientation, normal], axis=1)
    array = np.stack([each["hu"] for each in slices])
    return volumes.Content(array, np.array([steps.mean(), spacing_y, spacing_x]), positions[0], axes)


def _dataset(path):
    try:
        return pydicom.dcmread(path)
    except pydicom.errors.InvalidDicomError:
        if path.suffix == ".dcm":
            raise MustRefuse(f"{path.name} is not DICOM") from None
        return None
    except Exception as error:
        raise Beyond(f"pydicom cannot read {path.name}: {error}") from None


def _slice(dataset):
    try:
        found = {name: _numbers(dataset[name].value) for name in SHARED if name in dataset}
        found |= {name: None for name in SHARED if name not in found}
        found["position"] = _finite(dataset.ImagePositionPatient, 3)
        found["PixelSpacing"] = _finite(dataset.PixelSpacing, 2)
        found["ImageOrientationPatient"] = _finite(dataset.ImageOrientationPatient, 6)
        found["series"] = str(dataset.SeriesInstanceUID)
        found["hu"] = _hounsfield_units(dataset)
    except (AttributeError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise Beyond(f"a field is missing or strange: {error}") from None
    return found


def _hounsfield_units(dataset):
    if dataset.get("SamplesPerPixel") is None:
        raise Beyond("a slice does not say how many samples it has")
    if dataset.SamplesPerPixel != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise MustRefuse("a slice has several samples or frames")
    if dataset.get("PhotometricInterpretation") != "MONOCHROME2":
        raise MustRefuse(f"a slice is {dataset.get('PhotometricInterpretation')!r}")
    if "LOCALIZER" in str(dataset.get("ImageType")) or dataset.get("Modality") != "CT":
        raise MustRefuse("a slice is a localizer or no CT")
    slope, intercept = (_finite(dataset[name].value, 1)[0] for name in ("RescaleSlope", "RescaleIntercept"))
    if slope == 0:
        raise MustRefuse("a slice has the slope 0")
    if "ModalityLUTSequence" in dataset:
        raise Beyond("a slice has a table of values")
    bits, stored, signed = dataset.BitsAllocated, dataset.BitsStored, dataset.PixelRepresentation
    if bits != 16 or not 1 <= stored <= 16 or dataset.HighBit != stored - 1 or signed not in (0, 1):
        raise Beyond(f"a slice has {stored} bits of {bits}, highest {dataset.HighBit}")
    data = _pixel_bytes(dataset)
    wanted = dataset.Rows * dataset.Columns * 2
    if len(data) < wanted:
        raise MustRefuse(f"a slice has {len(data)} bytes of pixels where its header asks for {wanted}")
    if len(data) > wanted + 1:
        raise Beyond(f"a slice has {len(data)} bytes of pixels where its header asks for {wanted}")
    pixels = np.frombuffer(data[:wanted], "<u2").reshape(dataset.Rows, dataset.Columns).astype(np.int64)
    pixels &= 2**stored - 1
    if signed:
        pixels -= (pixels >> (stored - 1)) << stored
    return pixels * slope + intercept


def _pixel_bytes(dataset):
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in (IMPLICIT, EXPLICIT_LITTLE_ENDIAN, DEFLATED):
        return dataset.PixelData
    if syntax not in (RUN_LENGTHS, JPEG_LOSSLESS):
        raise Beyond(f"its transfer syntax is {syntax}")
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    if syntax == RUN_LENGTHS:
        return bytes(_rle_decode_frame(frame, dataset.Rows, dataset.Columns, 1, 16))
    try:
        return imagecodecs.jpeg8_decode(frame).astype("<u2").tobytes()
    except (RuntimeError, ValueError) as error:
        raise MustRefuse(f"a slice does not decode: {error}") from None


def _numbers(value):
    if value is None or isinstance(value, str | int | float):
        return value
    return [float(each) if not isinstance(each, str) else each for each in value]


def _finite(value, count):
    values = [float(each) for each in (value if hasattr(value, "__iter__") and not isinstance(value, str) else [value])]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise MustRefuse(f"a field has {str(value)[:60]}, not {count} finite numbers")
    return values
