"""Makes a synthetic data set on disk, in the layout of the real one.

python -m experiments.make_phantom --kind=luna16 --output=DIR --scans=20 --chest_mm=80,112,128 --contact_sheet=FILE.png
python -m experiments.make_phantom --kind=lks --output=DIR --train=24 --test=12 --contact_sheet=FILE.png

A slide of 1024 x 1024 takes a core 0.25 s; one as large as LKS's (--grid=40 --patch_side=1000 --shrink=40) takes about
two minutes, and 0.7 GB of disk with LZW, 1.6 GB without.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import command
from medssl_jax.errors import InputError
from medssl_jax.phantoms.lks import LksPhantom, write_lks_phantom
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom
from medssl_jax.progress import progress_bar

FLAGS = flags.FLAGS
SPECS: dict[str, type] = {"luna16": Luna16Phantom, "lks": LksPhantom}
RENAMED = {"chest_zyx_mm": "chest_mm"}

flags.DEFINE_enum("kind", "luna16", list(SPECS), "which data set to imitate")
flags.DEFINE_string("output", None, "folder to write to; what is finished there is kept", required=True)
flags.DEFINE_integer("workers", 2, "processes", lower_bound=1)
flags.DEFINE_string(
    "contact_sheet",
    None,
    "also draw into this PNG file: the first scans with boxes, or a slide of each class",
)
flags.DEFINE_integer("sheet_scans", 6, "scans on the contact sheet of luna16", lower_bound=1)


def _flag(field: dataclasses.Field) -> str:
    return RENAMED.get(field.name, field.name)


def _define_flags(spec: type) -> None:
    for field in dataclasses.fields(spec):
        name, default = _flag(field), field.default
        if name in FLAGS:
            continue  # both kinds have a seed
        about = f"see {spec.__name__}.{field.name}"
        if isinstance(default, tuple):
            flags.DEFINE_list(name, [str(value) for value in default], about)
        elif isinstance(default, int):
            flags.DEFINE_integer(name, default, about)
        else:
            flags.DEFINE_float(name, default, about)  # type: ignore[arg-type]


for _spec in SPECS.values():
    _define_flags(_spec)


def spec_from_flags(kind: str) -> Luna16Phantom | LksPhantom:
    """The phantom that the flags describe. Raises `InputError` for flags of another kind."""
    wanted = {_flag(field): field for field in dataclasses.fields(SPECS[kind])}
    for other, spec in SPECS.items():
        for name in map(_flag, dataclasses.fields(spec)):
            if name not in wanted and FLAGS[name].present:
                raise InputError(f"--{name}: belongs to --kind={other}, found with --kind={kind}: leave it out")
    return SPECS[kind](**{field.name: _value(name, field) for name, field in wanted.items()})


def _value(name: str, field: dataclasses.Field) -> Any:
    value = getattr(FLAGS, name)
    if not isinstance(field.default, tuple):
        return value
    make = type(field.default[0])
    try:
        return tuple(make(text) for text in value)
    except ValueError:
        kinds = {int: "whole numbers", float: "numbers"}
        raise InputError(f"--{name}: found {','.join(value)}, expected {kinds[make]} with commas between") from None


def _make_luna16(spec: Luna16Phantom) -> None:
    write_luna16_phantom(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", "scans"))
    print(f"{FLAGS.output}: {spec.scans} scans")
    if FLAGS.contact_sheet:
        from medssl_jax.phantoms.chests.sheet import read_sheet_scans
        from medssl_jax.report.nodules.contact_sheet import write_contact_sheet

        write_contact_sheet(FLAGS.contact_sheet, read_sheet_scans(spec, FLAGS.output, FLAGS.sheet_scans))
        print(f"{FLAGS.contact_sheet}: slices of the first scans")


def _make_lks(spec: LksPhantom) -> None:
    write_lks_phantom(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", "slides"))
    print(f"{FLAGS.output}: {spec.train} training and {spec.test} test slides")
    if FLAGS.contact_sheet:
        from medssl_jax.phantoms.slides.sheet import write_slide_sheet

        write_slide_sheet(FLAGS.contact_sheet, spec, FLAGS.output)
        print(f"{FLAGS.contact_sheet}: a slide of each class")


def main(argv: Sequence[str]) -> None:
    """Writes the phantom, then the contact sheet."""
    del argv
    spec = spec_from_flags(FLAGS.kind)
    if isinstance(spec, Luna16Phantom):
        _make_luna16(spec)
    else:
        _make_lks(spec)


if __name__ == "__main__":
    command.run(main)
