"""The networks, as Flax modules, and how a config becomes one."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.models.detector import AnchorSettings, Detector, DetectorSettings, make_detector
    from medssl_jax.models.fpn3d import FPN3D
    from medssl_jax.models.pretrained import read_resnet18
    from medssl_jax.models.resnet import ResNet3D
    from medssl_jax.models.resnet2d import ResNet2D
    from medssl_jax.models.sos_networks import (
        HighOutput,
        Hrn,
        Intensities,
        LowOutput,
        Lrn,
        MethodSettings,
        Policy,
        SosModelSettings,
        SosNetworks,
        make_networks,
        measure_intensities,
    )

__all__ = [
    "FPN3D",
    "AnchorSettings",
    "Detector",
    "DetectorSettings",
    "HighOutput",
    "Hrn",
    "Intensities",
    "LowOutput",
    "Lrn",
    "MethodSettings",
    "Policy",
    "ResNet2D",
    "ResNet3D",
    "SosModelSettings",
    "SosNetworks",
    "make_detector",
    "make_networks",
    "measure_intensities",
    "read_resnet18",
]
