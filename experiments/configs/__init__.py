"""One file per experiment; a child changes a few fields of `focalmix.py`."""
