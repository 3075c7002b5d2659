"""NLST: chest CTs of 26,000 people without nodule labels, as DICOM series, and what its phantom writes."""

VERSION = "4.0.0"  # raise it when what is stored changes, so that old data sets are not taken for new ones
RELEASE_NOTES = {
    "1.0.0": "First.",
    "2.0.0": "The SHA-256 of each record; patients by a hash.",
    "3.0.0": "HU resampled axis by axis, which rounds a voxel in 100,000 the other way; lungs found at less cost.",
    "4.0.0": "A scan stored from the other end is prepared as if it were not: voxels at the edge of lungs.",
}
