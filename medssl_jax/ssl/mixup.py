"""MixUp of patches, then of objects (FocalMix, arXiv 2003.09108). Voxels stay on the device, shapes stay fixed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medssl_jax.detection.boxes import whole_boxes


class ImageMix(NamedTuple):
    """Patch i becomes `weight[i]` of itself and the rest of patch `partner[i]`; it stays the dominant one."""

    partner: Int[Array, " b"]
    weight: Float[Array, " b"]


class ObjectMix(NamedTuple):
    """Object m of patch b takes 1 - `weight[b, m]` of object `donor[b, m]`, counted over the flattened batch."""

    donor: Int[Array, "b m"]
    weight: Float[Array, "b m"]
    active: Bool[Array, "b m"]


def draw_image_mix(
    key: Array, usable: Bool[Array, " b"], eta: float, *, kinds: Bool[Array, " b"] | None = None
) -> ImageMix:
    """A random permutation of the usable patches as partners, and weights max(l, 1 - l) with l from Beta(eta, eta).

    Patches that are not usable are their own partners, and nobody else's. Where `kinds` are given, partners are of one
    kind.
    """
    partner_key, weight_key = jax.random.split(key)
    order = jax.random.uniform(partner_key, usable.shape)
    if kinds is None:
        partner = _shuffled_partners(order, usable)
    else:
        of_kind = _shuffled_partners(order, usable & kinds), _shuffled_partners(order, usable & ~kinds)
        partner = jnp.where(kinds, *of_kind)
    return ImageMix(partner, _draw_weights(weight_key, usable.shape, eta))


def _shuffled_partners(order: Float[Array, " b"], usable: Bool[Array, " b"]) -> Int[Array, " b"]:
    """The usable patches permuted by their `order`; each of the others is its own partner."""
    in_order = jnp.argsort(~usable)
    shuffled = jnp.argsort(jnp.where(usable, order, 2.0))
    return jnp.zeros(usable.shape, in_order.dtype).at[in_order].set(shuffled, unique_indices=True)


def mix_images(patches: Float[Array, " b *voxels"], mix: ImageMix) -> Float[Array, " b *voxels"]:
    """l x_i + (1 - l) x_partner; serves voxels, targets and loss weights alike."""
    weight = mix.weight.reshape(-1, *(1,) * (patches.ndim - 1))
    return weight * patches + (1 - weight) * patches[mix.partner]


def draw_object_mix(
    key: Array,
    boxes_zyxdhw: Float[Array, "b m 6"],
    valid: Bool[Array, "b m"],
    *,
    side: int,
    eta: float,
    kinds: Bool[Array, " b"] | None = None,
) -> ObjectMix:
    """For each object another object of the batch, any with equal chance.

    Boxes are in voxels of patches of `side`; those cut by the border neither give nor take. An object that is alone in
    the batch stays as it is. Where `kinds` are given, both objects are of patches of one kind.
    """
    usable = (valid & whole_boxes(boxes_zyxdhw, side)).reshape(-1)
    donor_key, weight_key = jax.random.split(key)
    candidates = usable[None, :] & ~jnp.eye(usable.size, dtype=bool)
    if kinds is not None:
        kind = jnp.repeat(kinds, boxes_zyxdhw.shape[1])
        candidates &= kind[:, None] == kind[None, :]
    donor = jax.random.categorical(donor_key, jnp.where(candidates, 0.0, -jnp.inf))
    active = usable & candidates.any(1)
    weight = _draw_weights(weight_key, (usable.size,), eta)
    return ObjectMix(donor.reshape(valid.shape), weight.reshape(valid.shape), active.reshape(valid.shape))


def mix_objects(
    patches: Float[Array, "b s s s c"], boxes_zyxdhw: Float[Array, "b m 6"], mix: ObjectMix, *, window: int
) -> Float[Array, "b s s s c"]:
    """Blends each donor, rescaled to the host's box, into the host's box; no voxel outside a box changes.

    Donors are read before any object is mixed. `window` is the side of the cube, in voxels, that is read and
    written round an object: boxes must fit into it, larger ones are left alone.
    """
    side = patches.shape[1]
    window = min(window, side)
    fits = (boxes_zyxdhw[..., 3:] <= window - 2).all(-1)
    active = mix.active & fits & fits.reshape(-1)[mix.donor]
    objects_per_patch = boxes_zyxdhw.shape[1]
    donor_boxes = boxes_zyxdhw.reshape(-1, 6)[mix.donor]

    def read_donor(donor: Array, donor_box: Array, host_box: Array) -> Array:
        start = _window_start(donor_box, window, side)
        # One slice of the batch, not a patch of it first: that would copy a whole patch for every object.
        whole = (1, window, window, window, patches.shape[-1])
        voxels = jax.lax.dynamic_slice(patches, (donor // objects_per_patch, *start, 0), whole)[0]
        return _resample(voxels, donor_box[:3] - start.astype(donor_box.dtype), donor_box[3:], host_box, side)

    donors = jax.vmap(jax.vmap(read_donor))(mix.donor, donor_boxes, boxes_zyxdhw)

    def blend_into(patch: Array, item: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        box, donor, weight, is_active = item
        start = _window_start(box, window, side)
        host = _read_window(patch, start, window)

        def inside_along(axis: int) -> Array:
            places, centre = start[axis] + jnp.arange(window), box[axis]
            return jnp.abs(places.astype(centre.dtype) - centre) <= box[3 + axis] / 2

        z, y, x = (inside_along(axis) for axis in range(3))
        inside = z[:, None, None] & y[None, :, None] & x[None, None, :]
        blended = jnp.where((inside & is_active)[..., None], weight * host + (1 - weight) * donor, host)
        return jax.lax.dynamic_update_slice(patch, blended, (*start, 0)), None

    def blend_all(patch: Array, boxes: Array, donors: Array, weights: Array, active: Array) -> Array:
        return jax.lax.scan(blend_into, patch, (boxes, donors, weights, active))[0]

    return jax.vmap(blend_all)(patches, boxes_zyxdhw, donors, mix.weight, active)


def _draw_weights(key: Array, shape: tuple[int, ...], eta: float) -> Float[Array, "..."]:
    weight = jax.random.beta(key, eta, eta, shape)
    return jnp.maximum(weight, 1 - weight)


def _window_start(box: Float[Array, "6"], window: int, side: int) -> Int[Array, "3"]:
    return jnp.clip(jnp.round(box[:3] - (window - 1) / 2), 0, side - window).astype(jnp.int32)


def _read_window(patch: Float[Array, "s s s c"], start: Int[Array, "3"], window: int) -> Float[Array, "w w w c"]:
    return jax.lax.dynamic_slice(patch, (*start, 0), (window, window, window, patch.shape[-1]))


def _resample(
    donor: Float[Array, "w w w c"],
    donor_centre: Float[Array, "3"],
    donor_extent: Float[Array, "3"],
    host_box: Float[Array, "6"],
    side: int,
) -> Float[Array, "w w w c"]:
    """The donor's window seen from the host's window: linear along each axis, as three small matrix products."""
    window = donor.shape[0]
    start = _window_start(host_box, window, side)
    for axis in range(3):
        # A row of padding has no extent, and is nobody's donor or host.
        places, centre = start[axis] + jnp.arange(window), host_box[axis]
        relative = (places.astype(centre.dtype) - centre) / host_box[3 + axis]
        source = jnp.clip(donor_centre[axis] + relative * donor_extent[axis], 0, window - 1)
        weights = jnp.clip(1 - jnp.abs(source[:, None] - jnp.arange(window)[None, :].astype(source.dtype)), 0)
        donor = jnp.moveaxis(jnp.tensordot(weights, donor, axes=(1, axis)), 0, axis)
    return donor
