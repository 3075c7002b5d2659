"""A user's own chest CTs: a folder of scans, with or without labels."""

VERSION = "2.0.0"  # raise it when what is stored changes, so that old data sets are not taken for new ones
RELEASE_NOTES = {"1.0.0": "First release.", "2.0.0": "The SHA-256 of each record; patients by a hash."}
