"""Gaussians and mixtures against scipy, quadrature and counting."""

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, agrees, close, mixture
from scipy import integrate, stats

from vdmlite import Gaussian, Mixture, kl

MEAN = np.array([[0.3, -1.0, 2.0], [0.0, 5.0, -0.1]])
STDS = {"one": np.array(0.7), "each": np.array([[0.1, 1.0, 3.0], [0.5, 2.0, 0.2]])}
each_std = pytest.mark.parametrize("std", STDS.values(), ids=STDS.keys())


def make(mean, std) -> Gaussian:
    dtype = jnp.result_type(float)
    return Gaussian(jnp.asarray(mean, dtype), jnp.asarray(std, dtype))


@each_std
def test_log_prob_is_that_of_scipy(std):
    x = MEAN + np.linspace(-2, 2, 6).reshape(2, 3)
    expected = stats.norm.logpdf(x, MEAN, std).sum()
    close(make(MEAN, std).log_prob(jnp.asarray(x, jnp.result_type(float))), expected, scale=300)


@each_std
def test_at_and_sample(std, key):
    q = make(MEAN, std)
    close(q.at(jnp.ones((2, 3))), MEAN + std)
    assert np.array_equal(q.sample(key=key), q.sample(key=key))
    draws = jax.vmap(lambda k: q.sample(key=k))(jax.random.split(key, 4000))
    agrees(draws, MEAN)
    agrees((np.asarray(draws) - MEAN) ** 2, np.broadcast_to(std**2, (2, 3)))


@pytest.mark.parametrize(
    ("q", "p"), [((0.3, 0.5), (-0.2, 1.5)), ((1.0, 2.0), (0.0, 0.7)), ((0.1, 1.0), (0.1, 1.0))]
)
def test_kl_is_that_of_quadrature(q, p):
    def integrand(x):
        return stats.norm.pdf(x, *q) * (stats.norm.logpdf(x, *q) - stats.norm.logpdf(x, *p))

    expected = integrate.quad(integrand, q[0] - 12 * q[1], q[0] + 12 * q[1], epsabs=1e-12)[0]
    close(kl(make([q[0]], q[1]), make([p[0]], p[1])), expected, ulps=max(32, 1e-11 / EPS))


def test_kl_sums_over_dimensions_and_mixes_widths():
    p = make(np.zeros((2, 3)), 1.0)
    whole = kl(make(MEAN, STDS["each"]), p)
    parts = [
        kl(make([m], s), make([0.0], 1.0))
        for m, s in zip(MEAN.ravel(), STDS["each"].ravel(), strict=True)
    ]
    close(whole, sum(float(a) for a in parts))


@pytest.mark.parametrize("std", [1.0, 0.01])
@pytest.mark.parametrize("delta", [1e-1, 1e-3, 1e-5])
def test_kl_keeps_digits_when_widths_nearly_agree(std, delta):
    # The naive e^r − 1 − r errs by EPS/r² of its value, ours by some EPS/r.
    q, p = make([0.0], std * (1 + delta)), make([0.0], std)
    with localcontext() as context:
        context.prec = 60
        r = 2 * (Decimal(float(q.std)).ln() - Decimal(float(p.std)).ln())
        expected = float((r.exp() - 1 - r) / 2)
    tolerance = 8 * EPS * (1 + abs(np.log(std))) / delta
    assert abs(float(kl(q, p)) / expected - 1) < tolerance


def test_kl_is_never_negative():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 10, 5000)
    q = make(np.zeros(5000), std * (1 + 1e-6 * rng.normal(size=5000)))
    p = make(np.zeros(5000), std)
    each = jax.vmap(lambda m, a, b: kl(Gaussian(m, a), Gaussian(m, b)))
    assert each(q.mean, q.std, p.std).min() >= 0
    assert kl(q, q) == 0


def test_mixture_log_prob_is_the_weighted_sum():
    m, x = mixture(), np.array([0.1, -0.4])
    density = sum(
        float(w) * np.prod(stats.norm.pdf(x, np.asarray(mean, np.float64), float(s)))
        for w, mean, s in zip(m.weights, m.means, m.stds, strict=True)
    )
    point = jnp.asarray(x, jnp.result_type(float))
    close(m.log_prob(point), np.log(density), ulps=64)
    close(jnp.exp(m.component_log_prob(point)).sum(), density, ulps=64)


def test_mixture_integrates_to_one():
    line = jnp.arange(-3.0, 3.0, 0.04)
    grid = jnp.stack(jnp.meshgrid(line, line), -1).reshape(-1, 2)
    total = jnp.exp(jax.vmap(mixture().log_prob)(grid)).sum() * 0.04**2
    close(total, 1.0, ulps=max(64, 1e-9 / EPS))


def test_mixture_samples_have_its_moments(key):
    m = mixture()
    draws = np.asarray(jax.vmap(lambda k: m.sample(key=k))(jax.random.split(key, 8000)))
    mean = np.asarray(m.weights) @ np.asarray(m.means)
    agrees(draws, mean)
    second = np.asarray(m.weights) @ (
        np.asarray(m.means) ** 2 + np.asarray(m.stds)[:, None] ** 2
    )
    agrees(draws**2, second)
    near = np.linalg.norm(draws - np.asarray(m.means[0]), axis=1) < 0.3  # 3 widths, 98.9 %
    assert abs(near.mean() - 0.4) < 0.04


@pytest.mark.parametrize(("weights", "stds"), [((2,), (3,)), ((3,), (4,)), ((3,), ())])
def test_mixture_of_unequal_counts_raises(weights, stds):
    # Under the import hook jaxtyping may speak first; a user without it gets the ValueError.
    with pytest.raises((ValueError, TypeError), match="weights"):
        Mixture(jnp.ones(weights), jnp.zeros((3, 2)), jnp.ones(stds))
