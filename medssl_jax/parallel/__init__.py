"""The processes and devices of a run."""
