"""The probability-flow ODE: its map and its likelihood are those of exact models."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import X64, agrees, gaussian, mixture, perturbed

import vdmlite as vdm
from vdmlite import nn
from vdmlite.neighbours import ode

pytestmark = pytest.mark.quick  # diffrax has to work with every version of JAX that we name

SCHEDULE = vdm.FixedLinear(-9.0, 9.0)


def variance(gamma, std: float = 0.5):
    return vdm.alpha2(gamma) * std**2 + vdm.sigma2(gamma)


def model(denoiser, shape=(2,)) -> vdm.VDM:
    return vdm.VDM(SCHEDULE, denoiser, vdm.GaussianDecoder(), shape)


def learned() -> vdm.VDM:
    """A network in six dimensions that knows nothing, but is smooth."""
    net = nn.MLP((6,), width=16, depth=1, key=jax.random.key(1))
    return model(vdm.NetDenoiser(perturbed(net, key=jax.random.key(2), scale=0.1)), (6,))


def exact(std: float = 0.5) -> vdm.GaussianDenoiser:
    return vdm.GaussianDenoiser(gaussian(std))


@pytest.mark.parametrize("ends", [(-9.0, 9.0), (9.0, -9.0), (-2.0, -1.5)])
@pytest.mark.parametrize("std", [0.1, 0.5, 2.0])
def test_it_carries_gaussians_as_the_closed_form_does(std, ends):
    """For data N(0, s²): z_γ′ = z_γ √(v(γ′)/v(γ)), v = α² s² + σ²."""
    gammas, z = jnp.linspace(ends[0], ends[1], 5), jnp.array([0.7, -1.3])
    way = ode.flow(exact(std), z, gammas, tolerance=1e-6)
    scale = jnp.sqrt(variance(gammas, std) / variance(gammas[0], std))
    np.testing.assert_allclose(way, jnp.outer(scale, z), rtol=2e-4, atol=1e-6)


def test_velocity_is_the_slope_of_that_map():
    z, gamma = jnp.array([0.7, -1.3]), 0.8
    rate = jax.grad(lambda g: 0.5 * jnp.log(variance(g)))(gamma)
    np.testing.assert_allclose(ode.velocity(exact(), z, gamma), rate * z, rtol=1e-4)


def test_a_way_back_ends_where_it_began():
    denoiser, z = vdm.MixtureDenoiser(mixture()), jnp.array([0.4, 0.1])
    there = ode.flow(denoiser, z, jnp.array([3.0, -5.0]), tolerance=1e-6)[-1]
    back = ode.flow(denoiser, there, jnp.array([-5.0, 3.0]), tolerance=1e-6)[-1]
    np.testing.assert_allclose(back, z, atol=1e-3)


def test_a_smaller_tolerance_is_a_smaller_error():
    z, gammas = jnp.array([0.7, -1.3]), jnp.array([9.0, -9.0])
    truth = jnp.sqrt(variance(-9.0) / variance(9.0)) * z
    errors = [
        float(jnp.abs(ode.flow(exact(), z, gammas, tolerance=t)[-1] - truth).max())
        for t in (1e-2, 1e-3, 1e-5)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def order(step, steps=(16, 32, 64, 128)) -> float:
    """Fit the order of a step's error over a whole walk, for an exact mixture."""
    denoiser, ends = vdm.MixtureDenoiser(mixture()), (5.0, -5.0)
    z = jnp.array([[0.7, -1.3], [-1.0, 0.4], [0.2, 0.9]])
    tight = 1e-10 if X64 else 1e-7
    truth = jax.vmap(lambda z: ode.flow(denoiser, z, jnp.array(ends), tolerance=tight)[-1])(z)
    errors = []
    for n in steps:
        walk = functools.partial(vdm.walk, gammas=jnp.linspace(*ends, n + 1), step=step)
        last = jax.vmap(lambda z, walk=walk: walk(denoiser, z, key=jax.random.key(0))[-1])(z)
        errors.append(float(jnp.linalg.norm(last - truth)))
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.once
def test_ddim_is_of_first_order_and_heun_of_second():
    assert abs(order(vdm.DDIM()) - 1) < 0.15
    assert abs(order(ode.Heun()) - 2) < 0.25


def test_the_density_of_a_gaussian_is_exact():
    """The flow takes N(0, 1) to N(0, v(γ_0)/v(γ_1)), whatever γ_1 leaves of the data."""
    z = jnp.array([[0.0, 0.0], [0.7, -1.3], [2.0, 1.0]])
    got = jax.vmap(lambda z: ode.log_prob(model(exact()), z, tolerance=1e-6))(z)
    std = jnp.sqrt(variance(-9.0) / variance(9.0))
    expected = jax.vmap(vdm.Gaussian(jnp.zeros(2), std).log_prob)(z)
    np.testing.assert_allclose(got.log_prob, expected, atol=1e-3)
    np.testing.assert_array_equal(got.error, 0.0)
    np.testing.assert_allclose(got.noise, z / std, rtol=1e-3)


@pytest.mark.once
def test_the_density_of_a_mixture_is_known_to_a_hundredth_of_a_nat(key):
    data, keys = mixture(), jax.random.split(key, 40)
    denoiser = vdm.MixtureDenoiser(data)
    z = jax.vmap(lambda k: denoiser.diffused(-9.0).sample(key=k))(keys)
    got = jax.vmap(lambda z: ode.log_prob(model(denoiser), z))(z)
    expected = jax.vmap(denoiser.diffused(-9.0).log_prob)(z)
    np.testing.assert_allclose(got.log_prob, expected, atol=0.01)
    # As a density of x = z/α it is that of the data, but for the noise that is left at γ_0.
    x = z / vdm.alpha(-9.0)
    stds = jnp.sqrt(data.stds**2 + jnp.exp(-9.0))
    of_x = jax.vmap(vdm.Mixture(data.weights, data.means, stds).log_prob)(x)
    np.testing.assert_allclose(got.log_prob + ode.x_scale(model(denoiser)), of_x, atol=0.01)


@pytest.mark.once
def test_probes_agree_with_the_trace_within_their_error(key):
    vdm_, (z_key, probe_key) = learned(), jax.random.split(key)
    z = jax.random.normal(z_key, (40, 6))
    trace = jax.vmap(lambda z: ode.log_prob(vdm_, z))(z)
    keys = jax.random.split(probe_key, 40)
    guess = jax.vmap(lambda z, k: ode.log_prob(vdm_, z, probes=16, key=k))(z, keys)
    off = (np.asarray(guess.log_prob) - np.asarray(trace.log_prob)) / np.asarray(guess.error)
    assert np.all(np.asarray(guess.error) > 0)
    assert 0.5 < off.std() < 1.8  # the errors are of the right size,
    assert abs(off.mean()) < 5 * off.std() / 40**0.5  # and not to one side
    np.testing.assert_allclose(guess.noise, trace.noise, atol=1e-2)


@pytest.mark.once
def test_more_probes_are_a_smaller_error(key):
    vdm_, z = learned(), jax.random.normal(key, (6,))
    few, many = (ode.log_prob(vdm_, z, probes=n, key=key).error for n in (16, 400))
    assert 3 < few / many < 8


@pytest.mark.parametrize(("probes", "with_key"), [(1, True), (0, True), (4, False)])
def test_an_error_needs_probes_and_a_key(probes, with_key, key):
    with pytest.raises(ValueError, match=f"2 probes or more and a key, got probes={probes}"):
        ode.log_prob(model(exact()), jnp.zeros(2), probes=probes, key=key if with_key else None)


def test_samples_have_the_moments_of_the_data(key):
    data = mixture()
    flowing = eqx.filter_jit(
        lambda m, ks: jax.vmap(lambda k: ode.sample(m, tolerance=1e-4, key=k))(ks)
    )
    x = np.asarray(flowing(model(vdm.MixtureDenoiser(data)), jax.random.split(key, 3000)))
    weights, means, stds = (np.asarray(a) for a in (data.weights, data.means, data.stds))
    agrees(x, weights @ means)
    agrees(x**2, weights @ (means**2 + stds[:, None] ** 2) + np.exp(-9))
    agrees(x[:, 0] * x[:, 1], weights @ (means[:, 0] * means[:, 1]))


def test_samples_are_of_the_decoders_kind(key):
    """Chance in the first latent alone: a model that guesses one image draws that image."""
    data = jnp.array([[0, 3], [2, 1]])
    decoder = vdm.LevelDecoder(4)
    certain = vdm.EmpiricalDenoiser(decoder.embed(data)[None])
    drawn = ode.sample(vdm.VDM(SCHEDULE, certain, decoder, (2, 2)), key=key)
    np.testing.assert_array_equal(drawn, data)
