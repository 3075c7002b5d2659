"""Strong augmentation of what a student sees of a patch that its teacher saw plain, as in FixMatch (arXiv 2001.07685).

Voxels change and places do not, so that targets of anchors stay. The kinds of change follow STAC (arXiv 2005.04757);
every strength is our choice.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def augment(
    key: Array,
    patches: Float[Array, "b s s s 1"],
    *,
    intensity_scale: float,
    intensity_shift: float,
    blur: float,
    noise: float,
    cut_out: float,
) -> Float[Array, "b s s s 1"]:
    """Patches in other contrast, blurred, noisy and with a cube cut out, each by a key of its own.

    Contrast about the patch's mean is multiplied by 1 +- `intensity_scale` and shifted by +- `intensity_shift`, in
    units of normalised voxels (1 is 900 HU); `blur` is the largest sigma of a Gaussian in voxels, `noise` the largest
    standard deviation, `cut_out` the largest side of the cube as a share of the patch's. Each is drawn uniformly; 0
    leaves it out.
    """

    def one(key: Array, patch: Float[Array, "s s s 1"]) -> Float[Array, "s s s 1"]:
        of_contrast, of_shift, of_blur, of_noise, of_cut = jax.random.split(key, 5)
        mean = patch.mean()
        if intensity_scale:
            patch = mean + (patch - mean) * (1 + intensity_scale * jax.random.uniform(of_contrast, (), minval=-1))
        if intensity_shift:
            patch = patch + intensity_shift * jax.random.uniform(of_shift, (), minval=-1)
        if blur:
            patch = gaussian_blur(patch, blur * jax.random.uniform(of_blur, ()))
        if noise:
            of_size, of_voxels = jax.random.split(of_noise)
            patch = patch + noise * jax.random.uniform(of_size, ()) * jax.random.normal(of_voxels, patch.shape)
        if cut_out:
            of_side, of_centre = jax.random.split(of_cut)
            side = patch.shape[0]
            half = cut_out * side * jax.random.uniform(of_side, ()) / 2
            centre = jax.random.uniform(of_centre, (3,), minval=-0.5, maxval=side - 0.5)
            z, y, x = jnp.abs(jnp.arange(side, dtype=jnp.float32) - centre[:, None]) <= half
            inside = z[:, None, None] & y[None, :, None] & x[None, None, :]
            patch = jnp.where(inside[..., None], mean, patch)
        return patch

    return jax.vmap(one)(jax.random.split(key, len(patches)), patches)


def gaussian_blur(patch: Float[Array, "s s s c"], sigma: Float[Array, ""]) -> Float[Array, "s s s c"]:
    """The patch blurred along each axis by a Gaussian of `sigma` voxels, whose weights inside the patch sum to 1."""
    places = jnp.arange(patch.shape[0], dtype=jnp.float32)
    apart = places[:, None] - places[None, :]
    weights = jnp.exp(-(apart**2) / (2 * jnp.maximum(sigma, 1e-3) ** 2))
    weights = weights / weights.sum(1, keepdims=True)
    for _ in range(3):
        # The first axis is contracted and comes back last of the three: after three turns the order is the old one.
        patch = jnp.einsum("zyxc,sz->yxsc", patch, weights)
    return patch
