"""Makes a synthetic data set on disk, in the layout of the real one.

python -m experiments.make_phantom --kind=luna16 --output=DIR --scans=20 --chest_mm=80,112,128 --contact_sheet=FILE.png
python -m experiments.make_phantom --kind=nlst --output=DIR --patients=20 --layout=idc --defects=
python -m experiments.make_phantom --kind=lks --output=DIR --train=24 --test=12 --contact_sheet=FILE.png

A study of NLST takes a core about a second, a slide of 1024 x 1024 0.25 s; a slide as large as LKS's (--grid=40
--patch_side=1000 --shrink=40) takes about two minutes, and 0.7 GB of disk with LZW, 1.6 GB without.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import command
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.phantoms.lks import LksPhantom, write_lks_phantom
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom
from medssl_jax.phantoms.nlst import NlstPhantom, write_nlst_phantom

FLAGS = flags.FLAGS
SPECS: dict[str, type] = {"luna16": Luna16Phantom, "nlst": NlstPhantom, "lks": LksPhantom}
RENAMED = {"chest_zyx_mm": "chest_mm"}
DEFINE: dict[type, Any] = {tuple: flags.DEFINE_list, int: flags.DEFINE_integer, str: flags.DEFINE_string}

flags.DEFINE_enum("kind", "luna16", list(SPECS), "which data set to imitate")
flags.DEFINE_string("output", None, "folder to write to; what is finished there is kept", required=True)
flags.DEFINE_integer("workers", 2, "processes", lower_bound=1)
flags.DEFINE_string(
    "contact_sheet",
    None,
    "also draw into this PNG file: the first scans or studies with boxes, or a slide of each class",
)
flags.DEFINE_integer("sheet_scans", 6, "scans on the contact sheet of luna16, studies on that of nlst", lower_bound=1)


def _flag(field: dataclasses.Field[Any]) -> str:
    return RENAMED.get(field.name, field.name)


def _define_flags() -> None:
    fields: dict[str, dict[str, dataclasses.Field[Any]]] = {}
    for kind, spec in SPECS.items():
        for field in dataclasses.fields(spec):
            fields.setdefault(_flag(field), {})[kind] = field
    for name, by_kind in fields.items():
        # A flag that several kinds have may default to something else in each.
        about = "; ".join(f"{kind}: see {SPECS[kind].__name__}.{field.name}" for kind, field in by_kind.items())
        defaults = ", ".join(f"{kind} {_text(field.default)}" for kind, field in by_kind.items())
        default = next(iter(by_kind.values())).default
        define = next((DEFINE[kind] for kind in DEFINE if isinstance(default, kind)), flags.DEFINE_float)
        define(name, None, f"{about} (default: {defaults})")


def _text(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


_define_flags()


def spec_from_flags(kind: str) -> Luna16Phantom | NlstPhantom | LksPhantom:
    """The phantom that the flags describe. Raises `InputError` for flags of another kind."""
    wanted = {_flag(field): field for field in dataclasses.fields(SPECS[kind])}
    for other, spec in SPECS.items():
        for name in map(_flag, dataclasses.fields(spec)):
            if name not in wanted and FLAGS[name].present:
                raise InputError(f"--{name}: belongs to --kind={other}, found with --kind={kind}: leave it out")
    return SPECS[kind](**{field.name: _value(name, field) for name, field in wanted.items() if FLAGS[name].present})


def _value(name: str, field: dataclasses.Field[Any]) -> Any:
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
        from medssl_jax.report.nodules.contact_sheet import write_contact_sheet
        from medssl_jax.report.phantoms.chest_sheet import read_sheet_scans

        write_contact_sheet(FLAGS.contact_sheet, read_sheet_scans(spec, FLAGS.output, FLAGS.sheet_scans))
        print(f"{FLAGS.contact_sheet}: slices of the first scans")


def _make_nlst(spec: NlstPhantom) -> None:
    write_nlst_phantom(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", "studies"))
    print(f"{FLAGS.output}: {len(spec.studies)} studies of {spec.patients} patients")
    if FLAGS.contact_sheet:
        from medssl_jax.report.nodules.contact_sheet import write_contact_sheet
        from medssl_jax.report.phantoms.study_sheet import read_sheet_studies

        write_contact_sheet(FLAGS.contact_sheet, read_sheet_studies(spec, FLAGS.output, FLAGS.sheet_scans))
        print(f"{FLAGS.contact_sheet}: slices of the first studies, one reconstruction of each")


def _make_lks(spec: LksPhantom) -> None:
    write_lks_phantom(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", "slides"))
    print(f"{FLAGS.output}: {spec.train} training and {spec.test} test slides")
    if FLAGS.contact_sheet:
        from medssl_jax.report.phantoms.slide_sheet import write_slide_sheet

        write_slide_sheet(FLAGS.contact_sheet, spec, FLAGS.output)
        print(f"{FLAGS.contact_sheet}: a slide of each class")


def main(argv: Sequence[str]) -> None:
    """Writes the phantom, then the contact sheet."""
    del argv
    spec = spec_from_flags(FLAGS.kind)
    if isinstance(spec, Luna16Phantom):
        _make_luna16(spec)
    elif isinstance(spec, NlstPhantom):
        _make_nlst(spec)
    else:
        _make_lks(spec)


if __name__ == "__main__":
    command.run(main)
