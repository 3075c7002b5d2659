"""Makes the TFDS data set that training reads from the files as downloaded.

    python -m experiments.prepare --dataset=luna16 --manual_dir=DIR --data_dir=DIR

On two cores LUNA16 takes 4 to 6 seconds a scan, 60 to 90 minutes for all 888. A data set that is there already is kept.
"""

from collections.abc import Sequence

from absl import flags

from experiments import command
from medssl_jax.data import sources

_DATASET = flags.DEFINE_enum("dataset", "luna16", ["luna16"], "which data set to make")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "folder of the unzipped download", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "folder of the made data set", required=True)


def main(argv: Sequence[str]) -> None:
    """Prepares and says what is there."""
    del argv
    sources.prepare_luna16(_MANUAL_DIR.value, _DATA_DIR.value)
    print(f"{_DATA_DIR.value}: {sources.open_luna16(_DATA_DIR.value)}")


if __name__ == "__main__":
    command.run(main)
