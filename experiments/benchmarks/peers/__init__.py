"""The same work by PyTorch and MONAI; only --peer imports these files."""
