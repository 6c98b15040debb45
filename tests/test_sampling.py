"""Sampling: with the exact denoiser, ancestral samples are the data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import agrees, mixture, off_by, oracle_model

import vdmlite as vdm
from vdmlite import VDM, FixedLinear, GaussianDecoder, LevelDecoder, MixtureDenoiser, sample


def test_samples_of_an_exact_mixture_have_its_moments(key):
    data, n = mixture(), 4000
    model = VDM(FixedLinear(-9.0, 6.0), MixtureDenoiser(data), GaussianDecoder(), (2,))
    draw = eqx.filter_jit(lambda m, ks: jax.vmap(lambda k: sample(m, 500, key=k))(ks))
    x = np.asarray(draw(model, jax.random.split(key, n)))
    weights, means, stds = (np.asarray(a) for a in (data.weights, data.means, data.stds))
    agrees(x, weights @ means)
    agrees(x**2, weights @ (means**2 + stds[:, None] ** 2) + np.exp(-9))
    agrees(x[:, 0] * x[:, 1], weights @ (means[:, 0] * means[:, 1]))
    # The three components in their proportions, by the likeliest of each point.
    which = np.asarray(jax.vmap(data.component_log_prob)(jnp.asarray(x))).argmax(1)
    truth = jax.vmap(lambda k: data.sample(key=k))(jax.random.split(jax.random.key(9), n))
    theirs = np.asarray(jax.vmap(data.component_log_prob)(truth)).argmax(1)
    for k in range(3):
        agrees(1.0 * (which == k) - 1.0 * (theirs == k), 0.0)


def test_the_last_step_is_the_decoders_mode(key):
    """A model that always guesses one image draws that image, in levels."""
    data = jnp.array([[0, 3], [2, 1]])
    decoder = LevelDecoder(4)
    model = VDM(FixedLinear(), off_by(decoder.embed(data), 0.0), decoder, (2, 2))
    drawn = sample(model, 3, key=key)
    assert np.array_equal(drawn, data)
    assert jnp.issubdtype(drawn.dtype, jnp.integer)


def test_one_step_is_one_step(key):
    """With T = 1 the sample is the decoder's mode of one draw from p(z_0 | z_1)."""
    model = oracle_model(schedule=FixedLinear(-3.0, 3.0), shape=(4000,))
    x = np.asarray(sample(model, 1, key=key))
    gain, c = vdm.posterior(jnp.ones(1), jnp.zeros(1), -3.0, 3.0).mean[0], -np.expm1(-6.0)
    a_s, a_t = (float(vdm.alpha(g)) for g in (-3.0, 3.0))
    guess = a_t * 0.25 / (a_t**2 * 0.25 + 1 - a_t**2)
    slope = float(gain) + a_s * c * guess
    agrees(x, 0.0)
    agrees(x**2, (slope**2 + (1 - a_s**2) * c) / a_s**2)


def test_samples_are_those_of_their_key():
    model = oracle_model(shape=(3,))
    one, again, other = (sample(model, 4, key=jax.random.key(k)) for k in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("steps", [0, -5])
def test_no_steps_raise(steps, key):
    with pytest.raises(ValueError, match=f"at least 1 step, got {steps}"):
        sample(oracle_model(), steps, key=key)
