"""Makes a synthetic data set on disk, in the layout of the real one.

python -m experiments.make_phantom --kind=luna16 --output=DIR --scans=20 --chest_mm=80,112,128 --contact_sheet=FILE.png
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments import command
from medssl_jax.errors import InputError
from medssl_jax.phantoms.luna16 import Luna16Phantom, write_luna16_phantom
from medssl_jax.progress import progress_bar

FLAGS = flags.FLAGS
RENAMED = {"chest_zyx_mm": "chest_mm"}

flags.DEFINE_enum("kind", "luna16", ["luna16"], "which data set to imitate")
flags.DEFINE_string("output", None, "folder to write to; a scan that is there already is kept", required=True)
flags.DEFINE_integer("workers", 2, "processes", lower_bound=1)
flags.DEFINE_string("contact_sheet", None, "also draw slices of the first scans, with boxes, into this PNG file")
flags.DEFINE_integer("sheet_scans", 6, "scans on the contact sheet", lower_bound=1)
for _field in dataclasses.fields(Luna16Phantom):
    _name = RENAMED.get(_field.name, _field.name)
    _default: Any = _field.default
    if isinstance(_default, tuple):
        flags.DEFINE_list(_name, [f"{number:g}" for number in _default], f"see Luna16Phantom.{_field.name}")
    elif isinstance(_default, int):
        flags.DEFINE_integer(_name, _default, f"see Luna16Phantom.{_field.name}")
    else:
        flags.DEFINE_float(_name, _default, f"see Luna16Phantom.{_field.name}")


def spec_from_flags() -> Luna16Phantom:
    """The phantom that the flags describe."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Luna16Phantom):
        name = RENAMED.get(field.name, field.name)
        values[field.name] = _numbers(name) if isinstance(field.default, tuple) else getattr(FLAGS, name)
    return Luna16Phantom(**values)


def _numbers(name):
    texts = getattr(FLAGS, name)
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        found = ",".join(texts)
        raise InputError(f"--{name}: found {found}, expected numbers with commas between") from None


def main(argv: Sequence[str]) -> None:
    """Writes the phantom, then the contact sheet."""
    spec = spec_from_flags()
    write_luna16_phantom(spec, FLAGS.output, workers=FLAGS.workers, progress=progress_bar("phantom", "scans"))
    print(f"{FLAGS.output}: {spec.scans} scans")
    if FLAGS.contact_sheet:
        from medssl_jax.phantoms.sheet import read_sheet_scans
        from medssl_jax.report.contact_sheet import write_contact_sheet

        write_contact_sheet(FLAGS.contact_sheet, read_sheet_scans(spec, FLAGS.output, FLAGS.sheet_scans))
        print(f"{FLAGS.contact_sheet}: slices of the first scans")


if __name__ == "__main__":
    command.run(main)
