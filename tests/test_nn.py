"""Networks: shapes, silent before training, told of γ; all by hand, and lowered for others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export
from oracles import EPS, agrees, close, over, perturbed
from scipy import signal, special

import vdmlite as vdm
from vdmlite import VDM, LearnedLinear, LevelDecoder, NetDenoiser, evaluation
from vdmlite.nn import MLP, Conv, ConvNet, UNet, fourier_features, sinusoids
from vdmlite.nn.unet import Attention, GroupNorm, ResBlock

pytestmark = pytest.mark.once

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


def awake(make, seed=0, scale=0.3):
    """A network with noise for all its weights, which nothing had to be compiled for."""
    rng = np.random.default_rng(seed)

    def fill(a):
        shaped = isinstance(a, jax.ShapeDtypeStruct)
        return jnp.asarray(scale * rng.normal(size=a.shape), a.dtype) if shaped else a

    return jax.tree.map(fill, eqx.filter_eval_shape(make))


def some(*shape):
    """Noise of a shape, always the same."""
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.result_type(float))


@over(NETS, "entry")
def test_silent_at_first_then_sees_all_it_is_given(entry):
    shape, out_shape, make = entry
    z, gammas = some(*shape), jnp.array([-12.0, -11.5, 3.0])
    silent = eqx.filter_jit(make)()(z, gammas[0])
    assert silent.shape == out_shape
    assert not silent.any()
    (base, near, far), slope = look(awake(make), z, gammas)
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

SMALL = {"width": 8, "depth": 1, "exponents": (0, 1)}
UNETS = {
    "with all": lambda: UNet(2, **SMALL, dropout=0.2, key=KEY),
    "with attention everywhere": lambda: UNet(2, **SMALL, attend_everywhere=True, key=KEY),
    "without attention": lambda: UNet(2, **{**SMALL, "depth": 2}, attention=False, key=KEY),
    "without features": lambda: UNet(1, width=12, depth=1, groups=2, exponents=(), key=KEY),
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
    return h + conv_by_hand(attention.out, (weights @ v).reshape(h.shape))


def block_by_hand(block, h, level):
    inner = conv_by_hand(block.conv_1, silu(norm_by_hand(block.norm_1, h)))
    inner = inner + f64(block.projection.weight) @ level
    inner = conv_by_hand(block.conv_2, silu(norm_by_hand(block.norm_2, inner)))
    return inner + (h if block.skip is None else conv_by_hand(block.skip, h))


def stage_by_hand(stage, h, level):
    h = block_by_hand(stage.block, h, level)
    return h if stage.attention is None else attention_by_hand(stage.attention, h)


def unet_by_hand(net, z, gamma, flag):
    """VDM's network, step by step as its authors' program takes them."""
    half = len(net.norm.scale) // 2
    angles = 1000 * (gamma + 13.3) / 18.3 * 10.0 ** (-4 * np.arange(half) / (half - 1))
    level = np.concatenate([np.sin(angles), np.cos(angles), [flag]])
    for linear in net.embed:
        level = silu(f64(linear.weight) @ level + f64(linear.bias))
    phases = [2 * np.pi * 2.0**n * z[..., c] for c in range(z.shape[-1]) for n in net.exponents]
    waves = [wave(phase)[..., None] for wave in (np.sin, np.cos) for phase in phases]
    h = conv_by_hand(net.conv_in, np.concatenate([z, *waves], -1))
    skips = [h]
    for stage in net.down:
        h = stage_by_hand(stage, h, level)
        skips.append(h)
    for stage in net.middle:
        h = stage_by_hand(stage, h, level)
    for stage, skip in zip(net.up, skips[::-1], strict=True):
        h = stage_by_hand(stage, np.concatenate([h, skip], -1), level)
    return conv_by_hand(net.conv_out, silu(norm_by_hand(net.norm, h))) + z


@over(UNETS)
def test_a_unet_is_its_definition(make):
    net, gamma, flag = awake(make), -3.7, 1.0
    z = some(4, 6, net.conv_out.bias.size)
    expected = unet_by_hand(net, f64(z), gamma, flag)
    # Of its angles, the largest is 1000 (γ + 13.3)/18.3 = 525. JAX's attention takes its
    # softmax in single precision, whatever it is given.
    attends = net.middle[0].attention is not None
    eps = float(jnp.finfo(jnp.float32).eps) if attends else EPS
    scale = 1000 * eps * np.abs(expected).max()
    got = eqx.filter_jit(net)(z, gamma, flag)
    np.testing.assert_allclose(got, expected, rtol=0, atol=scale)


@pytest.fixture(scope="module")
def fresh():
    """A U-Net as it is before training, with attention everywhere."""
    return eqx.filter_jit(UNet)(3, width=32, depth=1, attend_everywhere=True, key=KEY)


def test_a_unet_says_z_at_first(fresh):
    z = some(4, 4, 3)
    for gamma, flag in ((-12.0, 0.0), (3.0, 1.0)):
        assert np.array_equal(eqx.filter_jit(fresh)(z, gamma, flag), z)


def test_at_first_each_stage_of_a_unet_says_what_it_was_given(fresh):
    """Blocks are silent, of γ and flag too, and so is attention."""
    h = some(4, 4, 64)
    for stage in (*fresh.down, *fresh.middle, *fresh.up):
        given = h[..., : stage.block.norm_1.scale.size]
        skip = stage.block.skip
        expected = given if skip is None else skip(given)
        assert np.array_equal(stage(given, fresh.embedding(0.3, 1.0)), expected)


def test_the_first_weights_of_a_unet_have_the_spread_of_the_published_ones(fresh):
    """Variance 1 over the number of inputs, cut at two standard deviations; biases are 0.

    A normal number cut there has a standard deviation of 0.8796, and a kurtosis of 2.37.
    """
    drawn = 0
    for path, a in jax.tree_util.tree_leaves_with_path(eqx.filter(fresh, eqx.is_array)):
        name, values = jax.tree_util.keystr(path), f64(a)
        if name.endswith(".scale"):
            assert np.all(values == 1)
        elif name.endswith("bias") or "projection" in name or not values.any():
            assert not values.any()
            assert not name.endswith("weight") or "projection" in name
        else:
            inputs = a.shape[-1] if a.ndim == 2 else np.prod(a.shape[:-1])
            error = np.sqrt(1.37 / a.size)
            assert abs(inputs * np.mean(values**2) - 1) < 5 * error, name
            assert np.abs(values).max() < 2.0001 / 0.8796 / np.sqrt(inputs), name
            assert np.abs(values).max() > 1.9 / 0.8796 / np.sqrt(inputs), name
            drawn += 1
    # An entry, two layers for γ, a first convolution in each of 5 blocks, two skips, and
    # query, key and value of 4 attentions.
    assert drawn == 1 + 2 + 5 + 2 + 3 * 4


@pytest.mark.parametrize("name", ["without attention", "without features"])
def test_a_unet_sees_all_it_is_given_once_awake(name):
    net = awake(UNETS[name])
    z, gammas = some(4, 4, net.conv_out.bias.size), jnp.array([-12.0, -11.5, 3])
    (base, near, far), slope = look(net, z, gammas)
    assert np.abs(far - base).max() > 1e-2  # not γ-blind
    assert np.abs(near - base).max() > 1e-2  # nor at the clean end
    assert np.all(np.abs(slope) > 1e-4)  # nor blind to any part of z
    flagged = eqx.filter_jit(net)(z, gammas[0], 1.0)
    assert np.abs(flagged - base).max() > 1e-2  # nor to the flag


def test_every_weight_of_a_unet_has_a_gradient_once_awake():
    """But an attention's key bias: the same for all positions, it cancels in the softmax."""
    net, z = awake(UNETS["with attention everywhere"]), some(4, 4, 2)
    grads = eqx.filter_jit(eqx.filter_grad(lambda n: jnp.sum(n(z, -3.7, 1.0) ** 2)))(net)
    paths = jax.tree_util.tree_leaves_with_path(grads)
    dead = {jax.tree_util.keystr(path) for path, g in paths if np.abs(g).max() < 1e-4}
    stages = ("down[0]", "middle[0]", "up[0]", "up[1]")
    assert dead == {f".{stage}.attention.key.bias" for stage in stages}


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
    ("width", "depth", "knobs"),
    [
        (64, 4, {"attention": False}),
        (8, 1, {}),
        (8, 2, {"attend_everywhere": True}),
    ],
)
def test_a_unet_has_as_many_weights_as_the_published_one(width, depth, knobs):
    c, everywhere = width, knobs.get("attend_everywhere", False)
    net = eqx.filter_eval_shape(UNet, 3, width=c, depth=depth, **knobs, key=KEY)
    attention = 4 * c**2 + 6 * c
    published = {
        "conv_in": (15 * 9) * c + c,  # of z, and a sine and a cosine of two frequencies
        "embed": (4 * c * (c + 1) + 4 * c) + (16 * c**2 + 4 * c),  # of γ, and the flag
        "down": depth * (22 * c**2 + 6 * c + everywhere * attention),
        "middle": 2 * (22 * c**2 + 6 * c) + knobs.get("attention", True) * attention,
        "up": (depth + 1) * (33 * c**2 + 9 * c + everywhere * attention),
        "norm": 2 * c,
        "conv_out": 27 * c + 3,
    }
    assert {name: count(getattr(net, name)) for name in published} == published
    assert count(net) == sum(published.values())


def count(tree) -> int:
    return sum(a.size for a in jax.tree.leaves(tree) if hasattr(a, "size"))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"width": 6}, "multiple of 4 channels, got 6"),
        ({"width": 0}, "multiple of 4 channels, got 0"),
        ({"width": 8, "groups": 8}, "8 groups of 8 channels"),
        ({"width": 8, "dropout": 1.0}, "share of the activations.* got 1.0"),
        ({"width": 8, "dropout": -0.1}, "got -0.1"),
    ],
)
def test_a_unet_that_makes_no_sense_is_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        eqx.filter_eval_shape(UNet, 3, depth=1, **knobs, key=KEY)


# Dropout


def test_dropout_is_at_work_where_there_is_a_key_and_nowhere_else():
    with_it, without = (
        awake(lambda p=p: UNet(2, **SMALL, attention=False, dropout=p, key=KEY))
        for p in (0.2, 0)
    )
    z, run = some(4, 4, 2), eqx.filter_jit(lambda net, z, key: net(z, -3.7, key=key))
    expected = run(without, z, None)
    assert np.array_equal(run(without, z, KEY), expected)
    assert np.array_equal(run(with_it, z, None), expected)
    assert np.array_equal(run(eqx.nn.inference_mode(with_it), z, KEY), expected)
    dropped = [run(with_it, z, key) for key in jax.random.split(KEY)]
    assert np.abs(dropped[0] - expected).max() > 1e-2
    assert np.abs(dropped[0] - dropped[1]).max() > 1e-2


def test_dropout_keeps_the_mean_of_a_block_and_drops_the_share_it_says():
    """What comes after is linear, so the variance is p/(1 − p) Σ (kernel · input)²."""
    p = 0.3
    block = awake(lambda: ResBlock(8, 8, groups=2, embedding_size=4, dropout=p, key=KEY))
    h, level = some(3, 3, 8), some(4)
    keys = jax.random.split(KEY, 4000)
    out = eqx.filter_jit(jax.vmap(lambda key: block(h, level, key=key)))(keys)
    mean = f64(block(h, level))
    agrees(out, mean)
    inner = conv_by_hand(block.conv_1, silu(norm_by_hand(block.norm_1, f64(h))))
    inner = silu(norm_by_hand(block.norm_2, inner + f64(block.projection.weight) @ f64(level)))
    squared = eqx.tree_at(
        lambda c: (c.kernel, c.bias), block.conv_2, (block.conv_2.kernel**2, 0.0)
    )
    agrees((f64(out) - mean) ** 2, p / (1 - p) * conv_by_hand(squared, inner**2))


# What changes the cost alone

EVERYWHERE = {"width": 8, "depth": 1, "attend_everywhere": True, "dropout": 0.2}
Z, GAMMA = some(4, 4, 3), -3.7


def value_and_gradient(net):
    """Of the sum of squares of ε̂ − z, and ε̂ − z; with dropout, whose key is always the same."""

    def value(net):
        added = net(Z, GAMMA, 1.0, key=KEY) - Z
        return jnp.sum(added**2), added

    (_, added), gradient = eqx.filter_jit(eqx.filter_value_and_grad(value, has_aux=True))(net)
    return added, gradient


@pytest.fixture(scope="module")
def plain():
    net = awake(lambda: UNet(3, **EVERYWHERE, key=KEY))
    return net, *value_and_gradient(net)


@pytest.mark.parametrize(
    ("knobs", "backend"),
    [
        ({"remat": True}, "cpu"),
        ({"scan": True}, "cpu"),  # where the loop is unrolled
        ({"scan": True, "remat": True}, "gpu"),
    ],
)
def test_scan_and_remat_change_neither_value_nor_gradient(plain, knobs, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    net = awake(lambda: UNet(3, **EVERYWHERE, **knobs, key=KEY))
    added, gradient = value_and_gradient(net)
    _, expected, gradients = plain
    eps = float(jnp.finfo(jnp.float32).eps)  # that of attention's softmax, in any precision
    size = np.abs(expected).max()
    np.testing.assert_allclose(added, expected, rtol=0, atol=100 * eps * size)
    for got, want in zip(*map(jax.tree.leaves, (gradient, gradients)), strict=True):
        # What is next to nothing is the sum of as many large numbers as there are positions.
        atol = eps * (1000 * np.abs(want).max() + 10 * size**2)
        np.testing.assert_allclose(got, want, rtol=0, atol=atol)


def test_scan_is_the_same_without_a_key(plain, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    net = awake(lambda: UNet(3, **EVERYWHERE, scan=True, key=KEY))
    got, expected = (eqx.filter_jit(n)(Z, GAMMA) for n in (net, plain[0]))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_scan_has_fewer_convolutions_to_compile_and_remat_more_to_run(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")

    def convolutions(depth: int, **knobs) -> int:
        net = awake(lambda: UNet(3, width=8, depth=depth, **knobs, key=KEY))
        weights, rest = eqx.partition(net, eqx.is_array)
        value = jax.grad(lambda w: jnp.sum(eqx.combine(w, rest)(Z, GAMMA)))
        return inside(jax.make_jaxpr(value)(weights).jaxpr)

    def inside(jaxpr) -> int:
        """Count every call of a function, but the body of a loop once."""
        below = [p for e in jaxpr.eqns for p in jax.tree.leaves(e.params, is_leaf=holds)]
        here = sum(e.primitive.name == "conv_general_dilated" for e in jaxpr.eqns)
        return here + sum(inside(getattr(p, "jaxpr", p)) for p in below if holds(p))

    def holds(param) -> bool:
        return hasattr(param, "jaxpr") or hasattr(param, "eqns")

    assert convolutions(3) > convolutions(2)
    assert convolutions(3, scan=True) == convolutions(2, scan=True) < convolutions(2)
    assert convolutions(2, remat=True) > convolutions(2)


# Half precision


def halves(**knobs) -> tuple[UNet, UNet]:
    """The same weights in two networks, of which the second multiplies in bfloat16."""
    one, two = (awake(lambda b=b: UNet(3, **knobs, bfloat16=b, key=KEY)) for b in (False, True))
    return one, two


def test_half_precision_is_that_of_the_stages_alone():
    _, net = halves(**EVERYWHERE)
    assert not net.conv_in.bfloat16
    assert not net.conv_out.bfloat16
    for stage in (*net.down, *net.middle, *net.up):
        block, attention = stage.block, stage.attention
        convs = [block.conv_1, block.conv_2, *([] if block.skip is None else [block.skip])]
        if attention is not None:
            convs += [attention.query, attention.key, attention.value, attention.out]
        assert all(conv.bfloat16 for conv in convs)


def test_half_precision_changes_little_and_the_types_of_nothing(plain):
    _, net = halves(**EVERYWHERE)
    _, expected, gradients = plain
    added, gradient = value_and_gradient(net)
    for a in jax.tree.leaves((added, gradient, eqx.filter(net, eqx.is_array))):
        assert a.dtype == jnp.result_type(float)
    # A bfloat16 is off by up to 1/256 of itself, at random: so are its products, and ε̂.
    for got, want in ((added, expected), (gradient, gradients)):
        got, want = (
            np.concatenate([np.ravel(a) for a in jax.tree.leaves(b)]) for b in (got, want)
        )
        off = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert 1 / 4096 < off < 1 / 32


def test_half_precision_sees_inside_a_grey_level():
    """Two images an eighth of a level apart: the same in bfloat16, but not for the network."""
    rng = np.random.default_rng(2)
    z = jnp.asarray(rng.integers(128, 256, (4, 4, 3)) / 256, Z.dtype)
    near = z + 2 / 256 / 8
    assert np.array_equal(near.astype(jnp.bfloat16).astype(Z.dtype), z)
    full, half = (
        eqx.filter_jit(lambda net: net(near, -13.0) - net(z, -13.0))(net)
        for net in halves(width=8, depth=1, attention=False)
    )
    assert np.linalg.norm(full) > 10 * np.linalg.norm(near - z)
    assert np.linalg.norm(half - full) < 0.1 * np.linalg.norm(full)


# Other machines: all that runs on one is lowered for it here, though it can't be run


def model() -> VDM:
    """All knobs turned, as on a large machine."""
    knobs = {"dropout": 0.1, "bfloat16": True, "remat": True, "scan": True}
    net = UNet(3, width=8, depth=2, attend_everywhere=True, **knobs, key=KEY)
    return VDM(LearnedLinear(), NetDenoiser(net), LevelDecoder(256), (8, 8, 3))


def call_net(model, data, key):
    del data
    return model.denoiser.net(jnp.zeros((8, 8, 3)), -3.7, jnp.ones(()), key=key)


def call_step(model, data, key):
    optimiser = optax.adamw(2e-4)
    state = vdm.init(model, optimiser)
    return vdm.train_step(state, optimiser, data, jnp.ones(2), key=key)


def call_sampler(model, data, key):
    del data
    return vdm.sample(model, steps=3, key=key)


def call_evaluation(model, data, key):
    points = evaluation._points(model.schedule, jnp.linspace(0, 1, len(data)), None)
    return evaluation._draws(model, data, None, points, jnp.arange(len(data)), key)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("call", [call_net, call_step, call_sampler, call_evaluation])
def test_all_that_runs_is_lowered_for_other_machines(call, platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)  # a loop stays a loop
    weights, rest = eqx.partition(
        eqx.filter_eval_shape(model), lambda a: isinstance(a, jax.ShapeDtypeStruct)
    )

    def run(weights, data, key):
        out = call(eqx.combine(weights, rest), data, jax.random.wrap_key_data(key))
        return eqx.filter(out, eqx.is_array)

    data = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.uint8)
    key = jax.eval_shape(jax.random.key_data, KEY)
    lowered = export.export(jax.jit(run), platforms=[platform])(weights, data, key)
    assert lowered.platforms == (platform,)
    text = lowered.mlir_module()
    assert "stablehlo.convolution" in text
    assert "bf16" in text
    assert "stablehlo.while" in text
