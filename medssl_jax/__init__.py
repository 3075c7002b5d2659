"""Label-efficient medical imaging in JAX: FocalMix for nodules in CT, SOS for gigapixel slides."""
