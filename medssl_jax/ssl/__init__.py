"""Semi-supervised learning: pseudo-labels and MixUp, as pure functions of arrays."""

from etils import epy

with epy.lazy_api_imports(globals()):
    from medssl_jax.ssl.augmentation import augment, gaussian_blur
    from medssl_jax.ssl.mixup import ImageMix, ObjectMix, draw_image_mix, draw_object_mix, mix_images, mix_objects
    from medssl_jax.ssl.pseudo_labels import average_views, sharpen, sure_targets

__all__ = [
    "ImageMix",
    "ObjectMix",
    "augment",
    "average_views",
    "draw_image_mix",
    "draw_object_mix",
    "gaussian_blur",
    "mix_images",
    "mix_objects",
    "sharpen",
    "sure_targets",
]
