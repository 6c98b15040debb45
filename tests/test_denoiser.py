"""Exact denoisers against Bayes' rule by quadrature, and what all denoisers share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import DENOISERS, EPS, READINGS, close, gaussian, mixture, over
from scipy import stats

import vdmlite as vdm
from vdmlite import EmpiricalDenoiser, GaussianDenoiser, MixtureDenoiser, NetDenoiser
from vdmlite.decoder import level_values

LINE = np.linspace(-6, 6, 6001)[:, None]
each_gamma = pytest.mark.parametrize("gamma", [-4.0, 0.0, 4.0])


def scales(gamma):
    return 1 / np.sqrt(1 + np.exp(gamma)), 1 / np.sqrt(1 + np.exp(-gamma))


@each_gamma
@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_exact_denoisers_obey_bayes(name, gamma):
    """E[x | z] = ∫ x p(x) q(z | x) dx / ∫ p(x) q(z | x) dx, in one dimension."""
    means, stds, weights = (
        np.array([-0.9, 0.2, 1.0]),
        np.array([0.2, 0.5, 0.1]),
        [0.5, 0.2, 0.3],
    )
    if name == "gaussian":
        means, stds, weights = means[1:2], stds[1:2], [1.0]
        denoiser = GaussianDenoiser(gaussian(0.5, 0.2, (1,)))
    else:
        arrays = (
            jnp.asarray(a, jnp.result_type(float)) for a in (weights, means[:, None], stds)
        )
        denoiser = MixtureDenoiser(vdm.Mixture(*arrays))
    a, s = scales(gamma)
    z = np.array([-1.5, -0.2, 0.0, 0.8, 2.0])
    joint = (
        stats.norm.pdf(LINE, means, stds) @ weights * stats.norm.pdf(z[:, None], a * LINE.T, s)
    )
    expected = (joint @ LINE)[:, 0] / joint.sum(1)
    guess = jax.vmap(lambda u: denoiser(u[None], gamma))(jnp.asarray(z, jnp.result_type(float)))
    close(guess.x[:, 0], expected, ulps=64, scale=1 / a)
    close(guess.eps[:, 0], (z - a * expected) / s, ulps=64, scale=1 / s)


@each_gamma
def test_score_is_the_gradient_of_the_diffused_density(gamma):
    denoiser = MixtureDenoiser(mixture())
    z = jnp.array([[0.1, -0.3], [1.0, 0.9], [-2.0, 0.0]])
    score = jax.vmap(lambda u: denoiser(u, gamma).score)(z)
    close(
        score, jax.vmap(jax.grad(denoiser.diffused(gamma).log_prob))(z), 64, 10 + np.exp(-gamma)
    )


def test_diffused_mixture_is_the_law_of_z(key):
    a, s = scales(0.5)
    diffused, data = MixtureDenoiser(mixture()).diffused(0.5), mixture()
    close(diffused.means, a * np.asarray(data.means))
    close(diffused.stds**2, a**2 * np.asarray(data.stds) ** 2 + s**2)
    x = data.sample(key=key)
    assert vdm.marginal(x, 0.5).mean.shape == diffused.sample(key=key).shape == (2,)


@pytest.mark.parametrize("gamma", [-13.3, 0.0, 10.0])
def test_a_mixture_of_one_is_a_gaussian(gamma):
    one = vdm.Mixture(jnp.ones(1), jnp.full((1, 2), 0.3), jnp.full(1, 0.5))
    z = jnp.array([0.4, -1.1])
    ours, expected = (
        MixtureDenoiser(one)(z, gamma),
        GaussianDenoiser(gaussian(mean=0.3))(z, gamma),
    )
    close(ours.eps, expected.eps)
    close(ours.x, expected.x, scale=1 / scales(gamma)[0])


def test_empirical_recovers_its_points_at_low_noise():
    points = mixture().means
    denoiser = EmpiricalDenoiser(points)
    for point in points:
        z = vdm.marginal(point, -9.0).at(jnp.array([1.0, -2.0]))
        close(denoiser(z, -9.0).x, point)


@each_gamma
def test_empirical_is_a_mixture_of_tiny_widths(gamma):
    points = mixture().means
    tiny = vdm.Mixture(jnp.full(3, 1 / 3), points, jnp.full(3, 1e-6))
    z = jnp.array([0.2, 0.1])
    ours, expected = EmpiricalDenoiser(points)(z, gamma), MixtureDenoiser(tiny)(z, gamma)
    size = np.exp(abs(gamma) / 2)
    np.testing.assert_allclose(ours.x, expected.x, rtol=0, atol=(64 * EPS + 1e-10) * size)
    np.testing.assert_allclose(ours.eps, expected.eps, rtol=0, atol=(64 * EPS + 1e-10) * size)


@each_gamma
def test_from_level_logits_is_bayes_rule_over_levels(gamma, key):
    levels, shape = 5, (2, 3)
    logits = np.asarray(jax.random.normal(key, (*shape, levels)))
    z = np.linspace(-1, 1, 6).reshape(shape)
    a, s = scales(gamma)
    values = -1 + (2 * np.arange(levels) + 1) / levels
    weights = np.exp(logits) * stats.norm.pdf(z[..., None], a * values, s)
    expected = (weights * values).sum(-1) / weights.sum(-1)
    dtype = jnp.result_type(float)
    guess = vdm.from_level_logits(jnp.asarray(logits, dtype), jnp.asarray(z, dtype), gamma)
    close(guess.x, expected, ulps=64, scale=np.exp(-gamma / 2))
    close(guess.eps, (z - a * expected) / s, ulps=64, scale=(1 + np.exp(-gamma / 2)) / s)
    assert np.abs(guess.x).max() <= float(level_values(levels)[-1]) + EPS


@over(READINGS, "entry")
def test_a_net_is_read_as_asked(entry, key):
    seen = {}

    def network(z, gamma, *, key):
        seen.update(gamma=gamma, key=key)
        return jnp.sin(z)

    z = jnp.array([0.3, -0.8])
    gamma = jnp.asarray(1.5)
    guess, expected = (
        NetDenoiser(network, entry[0])(z, 1.5, key=key),
        entry[0](jnp.sin(z), z, gamma),
    )
    assert eqx.tree_equal(guess, expected)
    assert seen == {"gamma": 1.5, "key": key}
    assert eqx.tree_equal(NetDenoiser(network)(z, 1.5), vdm.from_eps(jnp.sin(z), z, gamma))


@pytest.mark.parametrize("condition", [jnp.asarray(1.0), jnp.array([2, 0])])
def test_a_net_is_told_the_condition_after_the_noise_level(condition, key):
    seen = []

    def network(*given, key):
        seen.append((given, key))
        return given[0]

    z = jnp.array([0.3, -0.8])
    gamma = jnp.asarray(1.5)
    guess = NetDenoiser(network, condition=condition)(z, gamma, key=key)
    assert eqx.tree_equal(guess, vdm.from_eps(z, z, gamma))
    assert seen == [((z, gamma, condition), key)]


@over(DENOISERS)
def test_jit_vmap_and_the_definition(make):
    denoiser, gamma = make(), jnp.asarray(0.7)
    z = jnp.array([[0.1, -0.4], [1.5, 0.2], [-1.0, -1.0]])
    batch = eqx.filter_jit(lambda d, z, g: jax.vmap(d, (0, None))(z, g))(denoiser, z, gamma)
    for i in range(3):
        one = denoiser(z[i], gamma)
        close(batch.x[i], one.x, ulps=64)
        close(batch.eps[i], one.eps, ulps=64)
    a, s = scales(0.7)
    close(a * batch.x + s * batch.eps, z)


@pytest.mark.parametrize("name", DENOISERS)
def test_grad_and_the_second_order_formula(name):
    """∂x̂/∂z = (α/σ²) Cov[x | z] for an exact denoiser: symmetric, nowhere negative."""
    denoiser = DENOISERS[name]()
    jacobian = np.asarray(jax.jacobian(lambda z: denoiser(z, 0.7).x)(jnp.array([0.1, -0.4])))
    assert np.isfinite(jacobian).all()
    assert jacobian.any()
    if name != "NetDenoiser":
        close(jacobian, jacobian.T, ulps=64)
        assert np.linalg.eigvalsh(jacobian).min() >= -64 * EPS
