"""Weights of torchvision's ResNet-18 mean the same here: against its layers written out with NumPy."""

import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import lks_sos
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models import pretrained
from medssl_jax.models.pretrained import BLOCKS, FEATURES, read_resnet18
from medssl_jax.models.resnet2d import ResNet2D
from medssl_jax.models.sos_networks import make_networks


def random_weights():
    rng = np.random.default_rng(0)
    arrays = {}

    def convolution(name, norm, features, in_features, kernel):
        shape = (features, in_features, kernel, kernel)
        arrays[f"{name}.weight"] = rng.normal(size=shape, scale=(2 / (in_features * kernel**2)) ** 0.5)
        arrays[f"{norm}.weight"], arrays[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, (2, features))
        arrays[f"{norm}.bias"], arrays[f"{norm}.running_mean"] = rng.normal(size=(2, features), scale=0.3)
        arrays[f"{norm}.num_batches_tracked"] = np.array(7)

    convolution("conv1", "bn1", 64, 3, 7)
    before = 64
    for stage, features in enumerate(FEATURES, 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", f"{name}.bn1", features, before, 3)
            convolution(f"{name}.conv2", f"{name}.bn2", features, features, 3)
            if before != features:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", features, before, 1)
            before = features
    arrays["fc.weight"], arrays["fc.bias"] = rng.normal(size=(1000, 512)), rng.normal(size=1000)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def torchvisions_features(arrays, image):
    """`image` (y, x) grey; everything as resnet18's forward has it, in evaluation mode."""

    def convolve(x, weight, stride):
        side = weight.shape[-1]
        padded = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))[:, ::stride, ::stride]
        return np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4)))

    def norm(x, name):
        scale, offset, mean, variance = (
            arrays[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + offset

    x = np.maximum(norm(convolve(np.stack([image] * 3), arrays["conv1.weight"], 2), "bn1"), 0)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    x = windows.max((-1, -2))
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            residual = np.maximum(norm(convolve(x, arrays[f"{name}.conv1.weight"], stride), f"{name}.bn1"), 0)
            residual = norm(convolve(residual, arrays[f"{name}.conv2.weight"], 1), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in arrays:
                x = norm(convolve(x, arrays[f"{name}.downsample.0.weight"], stride), f"{name}.downsample.1")
            x = np.maximum(x + residual, 0)
    return x.mean((1, 2))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.npz"
    arrays = random_weights()
    np.savez(path, **arrays)
    return path, arrays


def test_features_are_torchvisions(weights):
    path, arrays = weights
    image = np.random.default_rng(1).normal(size=(37, 40)).astype(np.float32)
    network = ResNet2D(FEATURES, BLOCKS, normalise=False)
    params = read_resnet18(path)
    ours = jax.jit(network.apply)({"params": params}, jnp.asarray(image)[None, ..., None])[0]
    expected = torchvisions_features(arrays, image)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_the_parameters_are_those_of_the_network(weights):
    network = ResNet2D(FEATURES, BLOCKS, normalise=False)
    fresh = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 1)))["params"]
    shapes = jax.tree.map(lambda leaf: leaf.shape, fresh)
    assert shapes == jax.tree.map(lambda leaf: leaf.shape, read_resnet18(weights[0]))


def test_all_networks_of_a_method_begin_with_them(weights):
    config = lks_sos.get_config()
    config.model.pretrained = str(weights[0])
    config.model.intensity_deviation = 1.0
    config.method.use_policy = True
    settings = settings_from(SosConfig, config)
    networks = make_networks(settings.model, settings.method, SlideLayout(2, 64, 4))
    backbone = read_resnet18(weights[0])
    fresh = jax.eval_shape(networks.init, jax.random.key(0))
    params = networks.with_backbone(fresh, backbone)
    assert jax.tree.structure(params) == jax.tree.structure(fresh)
    for tree in (params["low"]["backbone"], params["high"]["encoder"], params["policy"]["backbone"]):
        np.testing.assert_array_equal(tree["stem"]["kernel"], backbone["stem"]["kernel"])
    assert params["high"]["head"] is fresh["high"]["head"]


def test_a_method_of_one_network_gets_no_other(weights):
    config = lks_sos.get_config()
    config.model.intensity_deviation = 1.0
    config.method.use_high, config.inference.rule = False, "low"
    settings = settings_from(SosConfig, config)
    networks = make_networks(settings.model, settings.method, SlideLayout(2, 64, 4))
    params = networks.with_backbone(jax.eval_shape(networks.init, jax.random.key(0)), read_resnet18(weights[0]))
    assert params.keys() == {"low"}


def test_what_is_no_such_file(weights, tmp_path):
    with pytest.raises(InputError, match="no such file, expected the arrays of a ResNet-18"):
        read_resnet18(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(InputError, match="no whole NumPy archive"):
        read_resnet18(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", **{name: array[:1] for name, array in weights[1].items() if array.ndim})
    with pytest.raises(InputError, match=r"conv1\.weight: found \(1, 3, 7, 7\), expected an array of \(64, 3, 7, 7\)"):
        read_resnet18(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", weight=np.ones(3))
    with pytest.raises(InputError, match=r"conv1\.weight: found nothing, expected an array of \(64, 3, 7, 7\)"):
        read_resnet18(tmp_path / "other.npz")


def _npy(array):
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def _with_header(header):
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


FIRST = np.ones((64, 3, 7, 7), np.float32)  # conv1.weight, which is read before all others


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"text", "cannot be read"),
        (_with_header(b"(" * 200), "cannot be read"),
        (_with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000)}"), r"found \(100000, 1000"),
        (_npy(FIRST)[:-1], "cannot be read"),
        (_npy(FIRST.astype(np.int32)), r"found int32 of \(64, 3, 7, 7\), expected an array of \(64, 3, 7, 7\)"),
        (_npy(FIRST.astype(object)), "found object of"),
        (_npy(FIRST * np.nan), "holds numbers that are not finite"),
        (_npy(FIRST) + bytes(2**20), "cannot be read"),
    ],
    ids=["empty", "text", "tokens", "huge", "short", "whole numbers", "objects", "not finite", "long"],
)
def test_an_array_that_is_none(tmp_path, content, told):
    with zipfile.ZipFile(tmp_path / "weights.npz", "w") as archive:
        archive.writestr("conv1.weight.npy", content)
    with pytest.raises(InputError, match=rf"weights\.npz: conv1\.weight: .*{told}") as caught:
        read_resnet18(tmp_path / "weights.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_is_told_by_the_checksum(tmp_path, place):
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, **{"conv1.weight": np.random.default_rng(0).normal(size=FIRST.shape).astype(np.float32)})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.npz: conv1\.weight: cannot be read"):
        read_resnet18(path)


def test_damage_to_an_array_that_is_not_read_is_told_too(weights, tmp_path):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(weights[0]) as whole:
        member = whole.getinfo("fc.weight.npy")
    content = bytearray(weights[0].read_bytes())
    content[member.header_offset + len(member.FileHeader()) + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.npz: fc\.weight: cannot be read \(BadZipFile: Bad CRC-32"):
        read_resnet18(path)


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "MOST_BYTES_UNPACKED", 1 << 20)
    np.savez_compressed(tmp_path / "weights.npz", zeros=np.zeros(1 << 20))
    with pytest.raises(InputError, match=r"weights\.npz: unpacks to 8 MiB, expected .* at most 1 MiB"):
        read_resnet18(tmp_path / "weights.npz")


def test_a_variance_of_zero_is_torchvisions_epsilon(weights, tmp_path):
    arrays = dict(weights[1])
    arrays["bn1.running_var"] = np.zeros_like(arrays["bn1.running_var"])
    np.savez(tmp_path / "weights.npz", **arrays)
    kernel = read_resnet18(tmp_path / "weights.npz")["stem"]["kernel"]
    expected = arrays["conv1.weight"].sum(axis=1) * (arrays["bn1.weight"] / 1e-5**0.5)[:, None, None]
    np.testing.assert_allclose(np.moveaxis(kernel[:, :, 0], 2, 0), expected, rtol=1e-4, atol=1e-3)


def test_a_negative_variance_is_refused(tmp_path):
    arrays = {"conv1.weight": FIRST, "bn1.running_var": np.append(np.ones(63), -1.0)}
    arrays |= {f"bn1.{part}": np.ones(64) for part in ("weight", "bias", "running_mean")}
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(InputError, match=r"bn1\.running_var: found -1, expected 0 or more"):
        read_resnet18(tmp_path / "weights.npz")


def test_other_networks_take_no_pretrained_weights():
    config = lks_sos.get_config()
    config.model.pretrained = "resnet18.npz"
    config.model.high_blocks = (1, 1, 1, 1)
    with pytest.raises(InputError, match=r"model\.pretrained is resnet18\.npz, expected nothing, or features"):
        settings_from(SosConfig, config)
