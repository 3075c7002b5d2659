"""LKS: 684 whole-slide images of liver, kidney and stomach in four classes, and what its phantom writes."""

VERSION = "1.0.0"  # raise it when what is stored changes, so that old data sets are not taken for new ones
