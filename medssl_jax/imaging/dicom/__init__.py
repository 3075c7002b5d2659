"""CT series of DICOM files."""
