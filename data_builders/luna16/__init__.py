"""LUNA16: 888 chest CTs with 1,186 nodules, and what its phantom writes."""

VERSION = "5.0.0"  # raise it when what is stored changes, so that old data sets are not taken for new ones
RELEASE_NOTES = {
    "1.0.0": "First.",
    "2.0.0": "Patient and whether a scan is labelled.",
    "3.0.0": "The SHA-256 of each record; patients by a hash.",
    "4.0.0": "HU resampled axis by axis, which rounds a voxel in 100,000 the other way; lungs found at less cost.",
    "5.0.0": "A scan stored from the other end is prepared as if it were not: voxels at the edge of lungs.",
}
