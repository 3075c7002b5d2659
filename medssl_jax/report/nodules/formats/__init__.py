"""The marks of a scan in the file formats of viewers; each file knows one."""
