"""A user's own chest CTs: a folder of scans, with or without labels."""

VERSION = "1.0.0"  # raise it when what is stored changes, so that old data sets are not taken for new ones
RELEASE_NOTES = {VERSION: "First release."}
