"""The processes of a run, and the devices that share its batches."""

from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel, data_parallel

__all__ = ["SINGLE_DEVICE", "DataParallel", "data_parallel"]
