"""Networks: shapes, silent before training, told of γ; features and convolutions by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, close, over, perturbed
from scipy import signal, special

import vdmlite as vdm
from vdmlite.nn import MLP, Conv, ConvNet, UNet, fourier_features, sinusoids
from vdmlite.nn.unet import Attention, GroupNorm

KEY = jax.random.key(3)
NETS = {  # the shape of z, the shape of the output, a network from one to the other
    "MLP": ((2, 3), (2, 3), lambda: MLP((2, 3), width=16, depth=2, key=KEY)),
    "MLP with features": (
        (4,),
        (4,),
        lambda: MLP((4,), width=16, depth=1, exponents=(0, 1), key=KEY),
    ),
    "MLP of levels": (
        (2,),
        (2, 5),
        lambda: MLP((2,), out_shape=(2, 5), width=8, depth=1, key=KEY),
    ),
    "ConvNet": ((4, 5, 3), (4, 5, 3), lambda: ConvNet((4, 5, 3), width=8, depth=2, key=KEY)),
    "ConvNet of levels": (
        (4, 4, 1),
        (4, 4, 1, 7),
        lambda: ConvNet((4, 4, 1), out_shape=(4, 4, 1, 7), width=8, depth=1, key=KEY),
    ),
}


@over(NETS, "entry")
def test_silent_at_first_then_sees_all_it_is_given(entry):
    shape, out_shape, make = entry
    net, z = make(), jax.random.normal(KEY, shape)
    gammas = jnp.array([-12.0, -11.5, 3.0])
    silent, _ = look(net, z, gammas)
    assert silent.shape == (3, *out_shape)
    assert not silent.any()
    (base, near, far), slope = look(perturbed(net, key=KEY), z, gammas)
    assert np.abs(far - base).max() > 1e-3  # not γ-blind
    assert np.abs(near - base).max() > 1e-4  # nor at the clean end
    assert np.all(np.abs(slope) > 1e-4)  # nor blind to any part of z


@eqx.filter_jit
def look(net, z, gammas):
    """Return the outputs at each γ, and how the first depends on z."""
    slope = jax.grad(lambda z: jnp.sum(net(z, gammas[0]) ** 2))(z)
    return jax.vmap(net, (None, 0))(z, gammas), slope


def test_sinusoids():
    got = sinusoids(0.4, jnp.array([1.0, 3.0]))
    close(got, [np.sin(0.4), np.sin(1.2), np.cos(0.4), np.cos(1.2)])


def test_fourier_features_and_their_order():
    z = jnp.array([[0.1, -0.3], [0.25, 0.6]])
    got = fourier_features(z, (0, 2))
    phase = 2 * np.pi * np.asarray(z)
    expected = [  # z, then sines channel by channel, then cosines
        np.asarray(z),
        *(np.sin(f * phase[:, c : c + 1]) for c in range(2) for f in (1, 4)),
        *(np.cos(f * phase[:, c : c + 1]) for c in range(2) for f in (1, 4)),
    ]
    close(got, np.concatenate(expected, -1), scale=8)
    assert got.shape == (2, 2 * (1 + 2 * 2))
    assert fourier_features(z, ()) is z


def test_the_top_frequency_has_a_period_of_one_grey_level():
    """A grey level of 256 is 2/256 wide: on clean pixels the top features are constant."""
    centres = jnp.asarray(2 * (np.arange(256) + 0.5) / 256 - 1, jnp.result_type(float))[:, None]
    _, low_sin, top_sin, low_cos, top_cos = np.asarray(fourier_features(centres)).T
    rounding = 2 * np.pi * 128 * EPS  # the angle reaches 804
    np.testing.assert_allclose(top_sin, 0, atol=rounding)
    np.testing.assert_allclose(top_cos, -1, atol=rounding)
    np.testing.assert_allclose(np.abs(low_sin), 1, atol=rounding)
    np.testing.assert_allclose(low_cos, 0, atol=rounding)
    assert np.all(low_sin[1:] * low_sin[:-1] < 0)
    # Half a level on, the top feature is at the opposite side: no shorter period.
    np.testing.assert_allclose(fourier_features(centres + 1 / 256)[:, 4], 1, atol=rounding)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_conv_is_the_direct_convolution(size):
    conv = perturbed(Conv(2, 3, size, key=KEY), key=KEY)
    h = np.asarray(jax.random.normal(KEY, (5, 6, 2)))
    kernel = np.asarray(conv.kernel)
    expected = [
        sum(signal.correlate2d(h[..., i], kernel[..., i, o], "same") for i in range(2))
        for o in range(3)
    ]
    close(conv(jnp.asarray(h)), np.stack(expected, -1) + np.asarray(conv.bias), scale=10)


# The U-Net, against its definition in NumPy and float64


UNETS = {
    "with all": lambda: UNet(2, width=8, depth=1, exponents=(0, 1), key=KEY),
    "without attention": lambda: UNet(
        2, width=8, depth=2, attention=False, exponents=(0, 1), key=KEY
    ),
    "without features": lambda: UNet(1, width=8, depth=1, exponents=(), key=KEY),
}


def f64(a):
    return np.asarray(a, np.float64)


def silu(a):
    return a * special.expit(a)


def conv_by_hand(conv, h):
    kernel, (height, width) = f64(conv.kernel), h.shape[:2]
    size = len(kernel)
    padded = np.pad(h, [(size // 2, size // 2)] * 2 + [(0, 0)])
    return f64(conv.bias) + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def norm_by_hand(norm, h):
    """Group by group, each by its own mean and variance over space and its channels."""
    each = np.split(h, norm.groups, axis=-1)
    normal = [(g - g.mean()) / np.sqrt(g.var() + 1e-6) for g in each]
    return np.concatenate(normal, -1) * f64(norm.scale) + f64(norm.bias)


def attention_by_hand(attention, h):
    """softmax(QKᵀ/√C)V over all positions, one head."""
    normal, c = norm_by_hand(attention.norm, h), h.shape[-1]
    q, k, v = (
        conv_by_hand(a, normal).reshape(-1, c)
        for a in (attention.query, attention.key, attention.value)
    )
    weights = special.softmax(q @ k.T / np.sqrt(c), axis=1)
    return h + conv_by_hand(attention.exit, (weights @ v).reshape(h.shape))


def block_by_hand(block, h, level):
    inner = conv_by_hand(block.conv_1, silu(norm_by_hand(block.norm_1, h)))
    inner = inner + f64(block.told.weight) @ level
    inner = conv_by_hand(block.conv_2, silu(norm_by_hand(block.norm_2, inner)))
    return inner + (h if block.skip is None else conv_by_hand(block.skip, h))


def unet_by_hand(net, z, gamma):
    """VDM's network, step by step as its authors' program takes them."""
    half = len(net.norm.scale) // 2
    angles = 1000 * (gamma + 13.3) / 18.3 * 10.0 ** (-4 * np.arange(half) / (half - 1))
    level = np.concatenate([np.sin(angles), np.cos(angles)])
    for linear in net.tell:
        level = silu(f64(linear.weight) @ level + f64(linear.bias))
    phases = [2 * np.pi * 2.0**n * z[..., c] for c in range(z.shape[-1]) for n in net.exponents]
    waves = [wave(phase)[..., None] for wave in (np.sin, np.cos) for phase in phases]
    h = conv_by_hand(net.entry, np.concatenate([z, *waves], -1))
    skips = [h]
    for block in net.down:
        h = block_by_hand(block, h, level)
        skips.append(h)
    h = block_by_hand(net.middle[0], h, level)
    if net.middle[1] is not None:
        h = attention_by_hand(net.middle[1], h)
    h = block_by_hand(net.middle[2], h, level)
    for block, skip in zip(net.up, skips[::-1], strict=True):
        h = block_by_hand(block, np.concatenate([h, skip], -1), level)
    return conv_by_hand(net.exit, silu(norm_by_hand(net.norm, h))) + z


@over(UNETS)
def test_a_unet_is_its_definition(make):
    net, gamma = perturbed(make(), key=KEY), -3.7
    z = jax.random.normal(KEY, (4, 6, net.exit.bias.size))
    expected = unet_by_hand(net, f64(z), gamma)
    # Of its angles, the largest is 1000 (γ + 13.3)/18.3 = 525. JAX's attention takes its
    # softmax in single precision, whatever it is given.
    eps = EPS if net.middle[1] is None else float(jnp.finfo(jnp.float32).eps)
    scale = 1000 * eps * np.abs(expected).max()
    np.testing.assert_allclose(eqx.filter_jit(net)(z, gamma), expected, rtol=0, atol=scale)


@over(UNETS)
def test_a_unet_says_z_at_first_then_sees_all_it_is_given(make):
    net = make()
    z, gammas = jax.random.normal(KEY, (4, 4, net.exit.bias.size)), jnp.array([-12.0, -11.5, 3])
    for guess in look(net, z, gammas)[0]:
        assert np.array_equal(guess, z)
    (base, near, far), slope = look(perturbed(net, key=KEY), z, gammas)
    assert np.abs(far - base).max() > 1e-2  # not γ-blind
    assert np.abs(near - base).max() > 1e-2  # nor at the clean end
    assert np.all(np.abs(slope) > 1e-4)  # nor blind to any part of z


def test_every_weight_of_a_unet_has_a_gradient_once_awake():
    """But an attention's key bias: the same for all positions, it cancels in the softmax."""
    net = perturbed(UNETS["with all"](), key=KEY)
    z = jax.random.normal(KEY, (4, 4, 2))
    grads = eqx.filter_jit(eqx.filter_grad(lambda n: jnp.sum(n(z, -3.7) ** 2)))(net)
    attention = net.middle[1]
    assert attention is not None
    paths = jax.tree_util.tree_leaves_with_path(grads)
    dead = {jax.tree_util.keystr(path) for path, g in paths if np.abs(g).max() < 1e-4}
    assert dead == {".middle[1].key.bias"}


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("spread", [2.0, 1e-3])  # whose square is the 1e-6 below the root
def test_group_norm_is_its_definition_and_equinoxs(groups, spread):
    norm = perturbed(GroupNorm(6, groups), key=KEY)
    h = spread * (1.5 + jax.random.normal(KEY, (4, 5, 6)))
    got = norm(h)
    close(got, norm_by_hand(norm, f64(h)), ulps=128)
    theirs = eqx.nn.GroupNorm(groups, 6, eps=1e-6)
    theirs = eqx.tree_at(lambda n: (n.weight, n.bias), theirs, (norm.scale, norm.bias))
    close(got, jnp.moveaxis(theirs(jnp.moveaxis(h, -1, 0)), 0, -1), ulps=128)
    # An image of one colour is not divided by zero.
    close(norm(jnp.full((2, 2, 6), 0.3)), np.broadcast_to(norm.bias, (2, 2, 6)), ulps=1024)


@pytest.mark.parametrize("groups", [6, 4, 7])
def test_a_group_of_one_channel_or_of_unequal_numbers_is_refused(groups):
    """Alone in its group, a channel would lose the constant by which it is told γ."""
    with pytest.raises(ValueError, match=f"{groups} groups of 6 channels"):
        GroupNorm(6, groups)


def test_attention_is_its_definition():
    silent = Attention(8, groups=2, key=KEY)
    h = jax.random.normal(KEY, (3, 4, 8))
    assert np.array_equal(silent(h), h)
    attention = perturbed(silent, key=KEY, scale=1.0)
    expected = attention_by_hand(attention, f64(h))
    assert np.abs(expected - f64(h)).max() > 1
    # JAX takes its softmax in single precision, whatever it is given.
    np.testing.assert_allclose(attention(h), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("width", "depth", "attention"), [(128, 32, True), (64, 4, False), (8, 1, True)]
)
def test_a_unet_has_as_many_weights_as_the_published_one(width, depth, attention):
    """But for those that tell it of augmentation: 4 · width in the first layer of `tell`."""
    c = width
    net = eqx.filter_eval_shape(UNet, 3, width=c, depth=depth, attention=attention, key=KEY)
    published = {
        "entry": (15 * 9) * c + c,  # of z, and a sine and a cosine of two frequencies
        "tell": (4 * c**2 + 8 * c) + (16 * c**2 + 4 * c),
        "down": depth * (22 * c**2 + 6 * c),
        "middle": 2 * (22 * c**2 + 6 * c) + attention * (4 * c**2 + 6 * c),
        "up": (depth + 1) * (33 * c**2 + 9 * c),
        "head": 29 * c + 3,
    }
    ours = {name: count(getattr(net, name)) for name in published if name != "head"}
    ours["head"] = count((net.norm, net.exit))
    assert ours == {**published, "tell": published["tell"] - 4 * c}
    assert count(net) == sum(published.values()) - 4 * c
    if width == 128:  # the CIFAR-10 model, two weights of which are its schedule's
        schedule = count(vdm.LearnedLinear())
        assert sum(published.values()) + schedule == 30_578_181
        assert count(net) + schedule == 30_578_181 - 512


def count(tree) -> int:
    return sum(a.size for a in jax.tree.leaves(tree) if hasattr(a, "size"))
