"""Networks: shapes, silent before training, told of γ; features and convolutions by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, close, over, perturbed
from scipy import signal

from vdmlite.nn import MLP, Conv, ConvNet, fourier_features, sinusoids

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
