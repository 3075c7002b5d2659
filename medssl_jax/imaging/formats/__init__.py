"""Volume files: MetaImage, NIfTI and NRRD."""
