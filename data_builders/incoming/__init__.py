"""Scans as they are handed over: study folders, archives, single files, lists of paths."""
