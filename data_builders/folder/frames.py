"""The frames of world coordinates that a table of lesions may be in."""

LPS = "LPS"  # x towards the patient's left, y to the back, z to the head: DICOM, ITK, LUNA16
RAS = "RAS"  # x towards the patient's right, y to the front, z to the head: what 3D Slicer shows
AUTO = "auto"  # the one in which all lesions lie in their scans
FRAMES = (LPS, RAS)
FRAMES_TO_ASK_FOR = (AUTO, *FRAMES)
