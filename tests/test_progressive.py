"""Progressive coding of exact models, mixtures under one noise, and DDPM's variances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import gaussian

import vdmlite as vdm
from vdmlite.neighbours import progressive

pytestmark = pytest.mark.once

STD = 0.5


def exact(std=STD, shape=(4,)):
    return vdm.VDM(
        vdm.FixedLinear(-6.0, 8.0),
        vdm.GaussianDenoiser(gaussian(std, shape=shape)),
        vdm.GaussianDecoder(),
        shape,
    )


def examples(key, n=4000, std=STD, shape=(4,)):
    return np.asarray(std * jax.random.normal(key, (n, *shape)))


def test_a_gaussian_source_is_coded_at_shannons_rate(key):
    """R(Δ) = ½ log2(s²/Δ): with both from a finite sample, within five errors."""
    gammas = np.linspace(-6.0, 8.0, 120)
    found = progressive.rate_distortion(
        exact(), examples(key), gammas, draws=4000, batch_size=40_000, key=key
    )
    shannon = 0.5 * np.log2(STD**2 / found.distortion**2)
    relative = found.distortion_error / found.distortion / np.log(2)
    np.testing.assert_array_less(
        np.abs(found.rate - shannon), 5 * (found.rate_error + relative) + 2e-3
    )
    information = 0.5 * np.log2(1 + STD**2 * np.exp(-gammas))
    np.testing.assert_array_less(np.abs(found.rate - information), 5 * found.rate_error + 2e-3)


def test_the_rates_are_those_of_the_bound(key):
    """At the clean end all but the reconstruction has been paid."""
    x = examples(key, 600)
    found = progressive.rate_distortion(
        exact(), x, np.linspace(-6.0, 8.0, 150), draws=600, batch_size=10_000, key=key
    )
    bits = vdm.evaluate(exact(), x, draws=8, key=key).bits
    both = bits.prior.mean + bits.diffusion.mean
    # The same examples, so that only the noise differs.
    assert found.rate[0] == pytest.approx(
        float(both), abs=5 * float(bits.diffusion.error) + 0.02
    )
    assert np.all(np.diff(found.rate) < 0)
    assert np.all(np.diff(found.distortion) > 0)


def test_errors_are_those_of_repetition(key):
    gammas = np.linspace(-4.0, 6.0, 40)
    runs = [
        progressive.rate_distortion(
            exact(), examples(one, 200), gammas, draws=200, batch_size=8000, key=one
        )
        for one in jax.random.split(key, 40)
    ]
    for value, error in (("rate", "rate_error"), ("distortion", "distortion_error")):
        spread = np.std([getattr(r, value)[[0, 20]] for r in runs], axis=0, ddof=1)
        stated = np.mean([getattr(r, error)[[0, 20]] for r in runs], axis=0)
        np.testing.assert_allclose(stated, spread, rtol=0.4)


def test_a_rate_finds_its_level_and_a_rate_beyond_is_refused(key):
    gammas = np.linspace(-6.0, 8.0, 30)
    found = progressive.rate_distortion(exact(), examples(key, 100), gammas, key=key)
    for i in (3, 17):
        assert found.gamma_at(float(found.rate[i])) == pytest.approx(gammas[i])
    with pytest.raises(ValueError, match=r"the rates go from .* got 9"):
        found.gamma_at(9.0)
    with pytest.raises(ValueError, match="rise"):
        progressive.rate_distortion(exact(), examples(key, 9), gammas[::-1], key=key)


def test_a_reconstruction_is_as_far_off_as_the_curve_says(key):
    x, gammas = examples(key, 2000), np.array([-2.0, 1.0])
    found = progressive.rate_distortion(exact(), x, gammas, draws=2000, key=key)
    see = jax.vmap(lambda x, key: progressive.reconstruct(exact(), x, 1.0, key=key))
    off = np.sqrt(np.mean((see(x, jax.random.split(key, 2000)) - x) ** 2))
    assert off == pytest.approx(found.distortion[1], rel=0.05)


def test_between_two_examples_the_noise_is_whole(key):
    """From far out, data; from near, the mixture of the two."""
    model, n = exact(1.0, (2,)), 4000
    one, other = jnp.array([0.8, -0.3]), jnp.array([-0.2, 0.5])

    def draw(gamma, share):
        keys = jax.random.split(key, n)
        mix = lambda key: progressive.interpolate(  # noqa: E731
            model, one, other, share, gamma, steps=60, key=key
        )
        return np.asarray(jax.vmap(mix)(keys))

    far = draw(7.5, 0.5)  # nothing is left of either: samples of the data
    np.testing.assert_allclose(far.std(0), 0.94, rtol=0.04)  # 60 steps: a little narrow
    near = draw(-5.5, 0.25)  # hardly any noise: the mixture itself
    np.testing.assert_allclose(near.mean(0), 0.75 * one + 0.25 * other, atol=0.02)
    assert near.std(0).max() < 0.15


def test_the_ends_of_an_interpolation_are_walks_from_the_examples(key):
    one, other = jnp.array([0.8, -0.3]), jnp.array([-0.2, 0.5])
    at = [
        progressive.interpolate(exact(shape=(2,)), a, b, share, 0.0, steps=5, key=key)
        for a, b, share in ((one, other, 0.0), (other, one, 1.0), (one, one, 0.3))
    ]
    np.testing.assert_allclose(at[0], at[1], rtol=1e-5)
    np.testing.assert_allclose(at[0], at[2], rtol=1e-4)


@pytest.mark.parametrize("gap", [0.1, 6.0])
def test_ddpms_two_variances(gap, key):
    z, gamma_t = jnp.array([0.3, -1.2]), 1.5
    denoiser, gamma_s = exact(shape=(2,)).denoiser, gamma_t - gap

    def std(step):
        take = lambda key: step(denoiser, z, gamma_s, gamma_t, key=key)  # noqa: E731
        drawn = jax.vmap(take)(jax.random.split(key, 20_000))
        return np.asarray(drawn).std(0), np.asarray(drawn).mean(0)

    to, _ = vdm.transition(jnp.ones(2), gamma_s, gamma_t), None
    back = vdm.posterior(z, denoiser(z, gamma_t).x, gamma_s, gamma_t)
    wide, mean = std(progressive.DDPM())
    np.testing.assert_allclose(wide, to.std, rtol=0.03)  # √β, forwards
    np.testing.assert_allclose(mean, back.mean, atol=0.04)
    narrow, _ = std(progressive.DDPM(0.0))
    np.testing.assert_allclose(narrow, back.std, rtol=0.03)  # √β̃
    between, _ = std(progressive.DDPM(0.5))
    np.testing.assert_allclose(between, np.sqrt(to.std * back.std), rtol=0.03)


@pytest.mark.parametrize(("share", "std"), [(1.0, 1.0), (0.0, 1e-5)])
def test_each_variance_is_right_for_one_kind_of_data(share, std, key):
    """β for N(0, I) and β̃ for one point: exact in any number of steps."""
    model = exact(std, (2,)).under(vdm.FixedLinear(-12.0, 12.0))
    drawn = vdm.draw(
        model, 4000, steps=3, step=progressive.DDPM(share), batch_size=4000, key=key
    )
    noise = np.exp(-6.0)  # of z_0
    expected = np.hypot(std, noise) if share else noise
    assert drawn.std() == pytest.approx(expected, rel=0.05)
