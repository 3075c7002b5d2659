"""The names of SOS and of the methods it is compared with: in configs, in tables, and where one is measured by another.

Table 3 of Maksoud et al., SOS, CVPR 2020, has all but the cascade and what follows it.
"""

IMAGE_LEVEL = "Image-Level"  # RS is relative to it
PATCH_LEVEL = "Patch-Level"
MULTI_SCALE = "Multi-Scale"  # SB is relative to it
RDMS = "RDMS"
SOS = "SOS"
CASCADE = "Cascade"
GATEKEEPER = "Gatekeeper"
DEFERRAL = "Deferral"

METHODS = (
    IMAGE_LEVEL,
    PATCH_LEVEL,
    MULTI_SCALE,
    RDMS,
    SOS,
    CASCADE,
    GATEKEEPER,
    DEFERRAL,
)  # in the order of the tables
