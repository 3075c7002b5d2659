"""A prepared slide in its ArrayRecord file: bytes and whole blocks of the file, and records that are not a slide's."""

import json
from pathlib import Path

import numpy as np
import tifffile
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from medssl_jax.data.slides.patch_store import PreparedSlide, write_patch_store
from medssl_jax.imaging.slides import SlideLayout, open_slide
from tests.fuzz.blocks import damage_blocks
from tests.fuzz.damage import damage_file, other_json
from tests.fuzz.oracle import SAME, MustRefuse, Wrong, difference_between, judged

LAYOUTS = {
    "bytes": SlideLayout(grid=3, patch_side=64, shrink=8),
    "records": SlideLayout(grid=3, patch_side=64, shrink=8),
    "blocks": SlideLayout(grid=6, patch_side=128, shrink=8),  # nine blocks of 64 KB
}
VARIANTS = tuple(LAYOUTS)
WRITE_OPTIONS = "group_size:1,zstd:1"


def make(folder: Path, variant: str) -> None:
    """Noise in patches, the first of them black."""
    layout = LAYOUTS[variant]
    pixels = np.random.default_rng(0).integers(0, 256, (layout.side, layout.side), np.uint8)
    pixels[: layout.patch_side, : layout.patch_side] = 0
    tifffile.imwrite(folder / "slide.tif", pixels)
    with open_slide(folder / "slide.tif", layout) as slide:
        write_patch_store(folder / f"{variant}.array_record", slide, source="abc")
    (folder / "slide.tif").unlink()


def mutate(folder: Path, variant: str, rng) -> str:
    """The file, or a file written anew of other records."""
    path = _path(folder)
    if variant != "records":
        return (damage_file if variant == "bytes" else damage_blocks)(path, rng)
    records = _records(path)
    way = rng.choice(("header", "header", "header", "drop", "twice", "short", "swap", "text"))
    place = rng.randrange(len(records))
    told = f"{way} record {place}"
    if way == "header":
        header, told = other_json(json.loads(records[-1]), rng)
        records[-1] = json.dumps(header).encode()
    elif way == "drop":
        del records[place]
    elif way == "twice":
        records.insert(place, records[place])
    elif way == "short":
        records[place] = records[place][: len(records[place]) // 2]
    elif way == "swap":
        records[place], records[-1] = records[-1], records[place]
    else:
        records[-1] = rng.choice(
            (b"", b"[1]", b"5", b"null", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000, b'{"layout": {}}')
        )
    writer = ArrayRecordWriter(str(path), WRITE_OPTIONS)
    for record in records:
        writer.write(record)
    writer.close()
    return told


def read(folder: Path):
    """All of the slide."""
    with PreparedSlide(_path(folder)) as slide:
        patches = list(slide.patches(range(slide.layout.grid**2)))
        return {
            **{"name": slide.name, "source": slide.source, "layout": slide.layout},
            **{"low": slide.low_resolution(), "patches": np.stack(patches)},
        }


def judge(damaged: Path, valid: Path, reading) -> str:
    """By the records, where they were written so; every one has a checksum, so none can be another by damage."""
    if valid.name != "records":
        if difference := difference_between(reading, read(valid)):
            raise Wrong(f"not what was written: {difference}")
        return SAME
    return judged(content, read, damaged, valid, reading)


def content(folder: Path):
    """The slide, as `read` gives it."""
    *images, header = _records(_path(folder))
    try:
        header = json.loads(header)
        layout = header["layout"]
        grid, side, shrink = (layout[name] for name in ("grid", "patch_side", "shrink"))
        name, source = header["name"], header["source"]
    except (ValueError, TypeError, KeyError) as error:
        raise MustRefuse(f"its header is none: {error}") from None
    numbers = (grid, side, shrink)
    if not all(type(each) is int and each > 0 for each in numbers) or len(layout) > 3 or side % shrink:
        raise MustRefuse(f"its layout is {layout}")
    if not isinstance(name, str) or not isinstance(source, str) or len(images) != grid**2 + 1:
        raise MustRefuse("its header is that of another slide")
    sides = [side] * grid**2 + [grid * side // shrink]
    if any(len(image) != each**2 for image, each in zip(images, sides, strict=True)):
        raise MustRefuse("an image has another size")
    low, patches = images[-1], images[:-1]
    return {
        **{"name": name, "source": source, "layout": SlideLayout(*numbers)},
        **{"low": np.frombuffer(low, np.uint8).reshape(sides[-1], sides[-1])},
        **{"patches": np.stack([np.frombuffer(each, np.uint8).reshape(side, side) for each in patches])},
    }


def _path(folder):
    (path,) = folder.iterdir()
    return path


def _records(path):
    reader = ArrayRecordReader(str(path), "readahead_buffer_size:0,max_parallelism:0")
    try:
        return reader.read(list(range(reader.num_records())))
    except (RuntimeError, ValueError, IndexError) as error:
        raise MustRefuse(f"a record is damaged: {error}") from None
    finally:
        reader.close()
