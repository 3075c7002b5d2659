"""Pretrained weights in .npz: members, the headers of arrays, and the zip round them."""

import ast
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from medssl_jax.models.pretrained import BLOCKS, FEATURES, read_resnet18
from tests.fuzz.damage import NASTY_TEXTS, damage_file
from tests.fuzz.oracle import Beyond, MustRefuse, judged

VARIANTS = ("weights",)
PATH = "weights.npz"
HEADERS = (
    *(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (64,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    ),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000), }", "{'descr': '<f4', 'shape': (64,)}"),
    *(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (64,)}",
    ),
    *(
        "{'descr': '<U9', 'fortran_order': False, 'shape': (64,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (64,)}",
    ),
    *(
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (64,)}",
        "[1, 2]",
        "5",
        "{",
        "'",
        "1 +",
        "(" * 200,
        "x()",
    ),
    *(
        "{'descr': '<f2', 'fortran_order': False, 'shape': (64,)}",
        "{'descr': 'nonsense', 'fortran_order': 0, 'shape': ()}",
    ),
)


def make(folder: Path, variant: str) -> None:
    """Weights of torchvision's shapes that are the same over and over, so that 45 MB take 60 KB."""
    rng = np.random.default_rng(0)
    arrays = {}

    def layer(name, norm, out_features, in_features, kernel):
        arrays[f"{name}.weight"] = np.full((out_features, in_features, kernel, kernel), rng.normal(), np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{norm}.{part}"] = np.full(out_features, rng.uniform(0.5, 2), np.float32)

    layer("conv1", "bn1", 64, 3, 7)
    before = 64
    for stage, (features, count) in enumerate(zip(FEATURES, BLOCKS, strict=True), start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            layer(f"{name}.conv1", f"{name}.bn1", features, before, 3)
            layer(f"{name}.conv2", f"{name}.bn2", features, features, 3)
            if before != features:
                layer(f"{name}.downsample.0", f"{name}.downsample.1", features, before, 1)
            before = features
    arrays["fc.weight"] = np.zeros((2, 512), np.float32)
    with zipfile.ZipFile(folder / PATH, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array), zipfile.ZIP_DEFLATED)


def mutate(folder: Path, variant: str, rng) -> str:
    """A member of the archive written otherwise, or bytes of it: its directory is at its end."""
    path = folder / PATH
    way = rng.choice(("bytes", "end", "end", "rename", "drop", "twice", "header", "header", "value", "value", "other"))
    if way == "bytes":
        return damage_file(path, rng)
    if way == "end":
        data = bytearray(path.read_bytes())
        start = len(data) - rng.randrange(1, 4000)
        data[start : start + 4] = rng.choice(
            (rng.randbytes(4), rng.randbytes(1), b"\xff" * 4, b"\0" * 4, b"", b"PK\1\2")
        )
        path.write_bytes(bytes(data))
        return f"four bytes at {start} are others"
    with zipfile.ZipFile(path) as archive:
        members = [(name, None) for name in archive.namelist()]
        place = rng.randrange(len(members))
        name = members[place][0]
        told = f"{way} {name}"
        if way == "rename":
            members[place] = (rng.choice((*NASTY_TEXTS[:20], name.upper(), f"x/{name}")), archive.read(name))
        elif way == "drop":
            del members[place]
        elif way == "twice":
            members.append((name, _npy(np.zeros(3, np.float32))))
        elif way == "header":
            header = rng.choice(HEADERS)
            members[place] = (name, _with_header(archive.read(name), header.encode()))
            told = f"{name} has the header {header[:60]}"
        elif way == "value":
            array = np.load(io.BytesIO(archive.read(name)))
            value = rng.choice((np.nan, np.inf, -np.inf, 1e38, -1.0, 0.0, 5.0))
            array.flat[rng.randrange(array.size)] = value
            members[place] = (name, _npy(array))
            told = f"a number of {name} is {value}"
        else:
            members[place] = (
                name,
                rng.choice((b"", b"\x93NUMPY", b"\x80\x04N.", rng.randbytes(200), b"\x93NUMPY\2\0\xff\xff\xff\xff")),
            )
            told = f"{name} is {members[place][1][:20]!r}"
        _rewrite(path, archive, members)
    return told


def read(folder: Path):
    """The weights as a network takes them."""
    return read_resnet18(folder / PATH)


def judge(damaged: Path, valid: Path, reading) -> str:
    """By zipfile's checksums, and the parameters worked out anew from those arrays."""
    return judged(content, read, damaged, valid, reading)


def content(folder: Path):
    """The parameters, as `read` gives them."""
    try:
        with zipfile.ZipFile(folder / PATH) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise Beyond("a member is there twice")
            arrays = {
                name.removesuffix(".npy"): _array(archive.read(name)) for name in names if not name.startswith("fc")
            }
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        struct.error,
    ) as error:
        raise MustRefuse(f"its zip is damaged: {error}") from None
    params = {"stem": _layer(arrays, "conv1", "bn1", sum_colours=True)}
    before = 64
    for stage, (features, count) in enumerate(zip(FEATURES, BLOCKS, strict=True)):
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            layers = {
                f"Conv2D_{place}": _layer(arrays, f"{name}.conv{place + 1}", f"{name}.bn{place + 1}")
                for place in (0, 1)
            }
            if features != before:
                layers["Conv2D_2"] = _layer(arrays, f"{name}.downsample.0", f"{name}.downsample.1")
            params[f"stage{stage}_block{block}"] = layers
            before = features
    return params


def _layer(arrays, name, norm, *, sum_colours=False):
    try:
        weight = arrays[f"{name}.weight"].astype(np.float64)
        scale, offset, mean, variance = (
            arrays[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
    except KeyError as error:
        raise MustRefuse(f"it has no {error}") from None
    if not all(np.isfinite(each).all() for each in (weight, scale, offset, mean, variance)) or (variance < 0).any():
        raise MustRefuse(f"{name} or {norm} holds numbers that no network has")
    factor = scale / np.sqrt(variance + 1e-5)
    kernel = np.moveaxis(weight * factor[:, None, None, None], (2, 3), (0, 1)).swapaxes(2, 3)
    kernel = kernel.sum(axis=2, keepdims=True) if sum_colours else kernel
    return {"kernel": kernel.astype(np.float32), "bias": (offset - mean * factor).astype(np.float32)}


def _array(content):
    """A .npy file of version 1 or 2 that is plain and as long as it says."""
    if content[:6] != b"\x93NUMPY" or content[6] not in (1, 2):
        raise MustRefuse("a member is no .npy file")
    code, start = ("<H", 10) if content[6] == 1 else ("<I", 12)
    end = start + struct.unpack_from(code, content, 8)[0]
    try:
        header = ast.literal_eval(content[start:end].decode("latin-1").strip())
        shape, dtype = tuple(header["shape"]), np.dtype(header["descr"])
    except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise MustRefuse(f"a header is none: {error}") from None
    if dtype.kind not in "fiu" or header["fortran_order"] not in (True, False):
        raise Beyond(f"an array is {dtype}")
    if len(content) - end < np.prod(shape, dtype=float) * dtype.itemsize:
        raise MustRefuse("an array is cut short")
    array = np.frombuffer(content, dtype, int(np.prod(shape)), offset=end)
    return array.reshape(shape, order="F" if header["fortran_order"] else "C")


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _with_header(content, header):
    length = struct.unpack_from("<H", content, 8)[0]
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def _rewrite(path, archive, members):
    """The archive with some members replaced; the others are copied as they are compressed, which takes no time."""
    written = path.with_name("new.npz")
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members:
            target.writestr(
                zipfile.ZipInfo(name), archive.read(name) if content is None else content, zipfile.ZIP_DEFLATED
            )
    written.replace(path)
