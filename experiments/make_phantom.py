"""Makes a synthetic data set on disk, in the layout of the real one.

python -m experiments.make_phantom --kind=luna16 --output=DIR --scans=20 --chest_mm=80,112,128 --contact_sheet=FILE.png
python -m experiments.make_phantom --kind=nlst --output=DIR --patients=20 --layout=idc
python -m experiments.make_phantom --kind=lks --output=DIR --train=24 --test=12 --contact_sheet=FILE.png
python -m experiments.make_phantom --kind=telling_lks --output=DIR --train=479 --test=3000 --layouts=tiles-none

A study of NLST takes a core about a second, a slide of 1024 x 1024 0.25 s, a small one of telling_lks, which can tell
rules of switching apart, 0.05 s; a slide as large as LKS's (--grid=40
--patch_side=1000 --shrink=40) takes about two minutes, and 0.7 GB of disk with LZW, 1.6 GB without.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from absl import flags
from etils import epy

from experiments import command
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import progress_bar
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.slides.spec import LksPhantom, TellingPhantom
from medssl_jax.phantoms.spec import PhantomSpec
from medssl_jax.phantoms.studies.spec import NlstPhantom

with epy.lazy_imports():
    from medssl_jax.phantoms import lks, luna16, nlst
    from medssl_jax.report.nodules import contact_sheet
    from medssl_jax.report.phantoms import chest_sheet, slide_sheet

FLAGS = flags.FLAGS


class Kind(NamedTuple):
    """A data set to imitate: its spec, the function that writes it, what it is made of."""

    spec: type
    writer: Callable[[], Callable[..., None]]  # imported when it is asked for
    items: str
    made: Callable[[Any], str]


KINDS = {
    "luna16": Kind(Luna16Phantom, lambda: luna16.write_luna16_phantom, "scans", lambda spec: f"{spec.scans} scans"),
    "nlst": Kind(
        NlstPhantom,
        lambda: nlst.write_nlst_phantom,
        "studies",
        lambda spec: f"{len(spec.studies)} studies of {spec.patients} patients",
    ),
    "lks": Kind(
        LksPhantom,
        lambda: lks.write_lks_phantom,
        "slides",
        lambda spec: f"{spec.train} training and {spec.test} test slides",
    ),
    "telling_lks": Kind(
        TellingPhantom,
        lambda: lks.write_lks_phantom,
        "slides",
        lambda spec: f"{spec.train} training and {spec.test} test slides",
    ),
}
RENAMED = {"chest_zyx_mm": "chest_mm"}
DEFINE: dict[type, Any] = {tuple: flags.DEFINE_list, int: flags.DEFINE_integer, str: flags.DEFINE_string}

flags.DEFINE_enum("kind", "luna16", list(KINDS), "which data set to imitate")
flags.DEFINE_string("output", None, "folder to write to; what is finished there is kept", required=True)
flags.DEFINE_integer("workers", 2, "processes", lower_bound=1)
flags.DEFINE_string(
    "contact_sheet",
    None,
    "also draw into this PNG file: the first scans or studies with boxes, or a slide of each class and kind",
)
flags.DEFINE_integer("sheet_scans", 6, "scans on the contact sheet of luna16, studies on that of nlst", lower_bound=1)


def _flag(field: dataclasses.Field[Any]) -> str:
    return RENAMED.get(field.name, field.name)


def _define_flags() -> None:
    fields: dict[str, dict[str, dataclasses.Field[Any]]] = {}
    for name, kind in KINDS.items():
        for field in dataclasses.fields(kind.spec):
            fields.setdefault(_flag(field), {})[name] = field
    for name, by_kind in fields.items():
        # A flag that several kinds have may default to something else in each.
        about = "; ".join(f"{kind}: see {KINDS[kind].spec.__name__}.{field.name}" for kind, field in by_kind.items())
        defaults = ", ".join(f"{kind} {_text(field.default)}" for kind, field in by_kind.items())
        default = next(iter(by_kind.values())).default
        define = next((DEFINE[kind] for kind in DEFINE if isinstance(default, kind)), flags.DEFINE_float)
        define(name, None, f"{about} (default: {defaults})")


def _text(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


_define_flags()


def spec_from_flags(kind: str) -> PhantomSpec:
    """The phantom that the flags describe. Raises `InputError` for flags of another kind."""
    spec = KINDS[kind].spec
    wanted = {_flag(field): field for field in dataclasses.fields(spec)}
    for other in KINDS:
        for name in map(_flag, dataclasses.fields(KINDS[other].spec)):
            if name not in wanted and FLAGS[name].present:
                raise InputError(f"--{name}: belongs to --kind={other}, found with --kind={kind}: leave it out")
    return spec(**{field.name: _value(name, field) for name, field in wanted.items() if FLAGS[name].present})


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


def _draw_sheet(spec: PhantomSpec) -> str:
    """Draws the contact sheet of a written phantom and says what it shows."""
    if isinstance(spec, LksPhantom):
        slide_sheet.write_slide_sheet(FLAGS.contact_sheet, spec, FLAGS.output)
        return "a slide of each class and kind"
    if isinstance(spec, NlstPhantom):
        contact_sheet.write_contact_sheet(
            FLAGS.contact_sheet, chest_sheet.read_sheet_studies(spec, FLAGS.output, FLAGS.sheet_scans)
        )
        return "slices of the first studies, one reconstruction of each"
    assert isinstance(spec, Luna16Phantom)
    contact_sheet.write_contact_sheet(
        FLAGS.contact_sheet, chest_sheet.read_sheet_scans(spec, FLAGS.output, FLAGS.sheet_scans)
    )
    return "slices of the first scans"


def main(argv: Sequence[str]) -> None:
    """Writes the phantom, then the contact sheet."""
    del argv
    spec = spec_from_flags(FLAGS.kind)
    kind = KINDS[FLAGS.kind]
    kind.writer()(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", kind.items))
    print(f"{FLAGS.output}: {kind.made(spec)}")
    if FLAGS.contact_sheet:
        print(f"{FLAGS.contact_sheet}: {_draw_sheet(spec)}")


if __name__ == "__main__":
    command.run(main)
