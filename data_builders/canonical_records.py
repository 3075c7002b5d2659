"""Records in one canonical form: protobuf orders the fields of others anew in every process."""

from collections.abc import Iterable
from typing import Any

from etils import epath
from tensorflow_datasets.core import writer
from tensorflow_datasets.proto import tf_example_pb2


class CanonicalWriter(writer.ExampleWriter):
    """Writes the records of a data set, so that a build has the same bytes whenever it is made."""

    def write(self, path: epath.PathLike, examples: Iterable[tuple[Any, bytes]]) -> None:
        """Writes serialised examples."""
        canonical = ((key, canonical_record(tf_example_pb2.Example.FromString(record))) for key, record in examples)
        super().write(path, canonical)


def canonical_record(example: tf_example_pb2.Example) -> bytes:
    """The bytes of one record, its fields in the order of their names."""
    return example.SerializeToString(deterministic=True)
