"""The forward process: laws of probability, and digits against 60-digit arithmetic."""

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, close

from vdmlite import alpha, alpha2, marginal, posterior, sigma, sigma2, snr, transition

pytestmark = pytest.mark.quick

STEPS = [(-13.3, 5.0), (-4.0, 1.0), (0.0, 0.5), (3.0, 5.0)]
X = jnp.array([0.3, -0.9, 0.5])
EXTREMES = [-80.0, -13.3, -1.0, 0.0, 5.0, 80.0]


def exact(gamma) -> tuple[Decimal, Decimal]:
    """Return (α², σ²) at the very number that a float is."""
    g = Decimal(float(gamma))
    return 1 / (1 + g.exp()), 1 / (1 + (-g).exp())


@pytest.mark.parametrize("gamma", EXTREMES)
def test_powers_are_exact_at_extreme_levels(gamma):
    gamma = jnp.asarray(gamma)
    assert abs(float(alpha2(gamma)) + float(sigma2(gamma)) - 1) <= 2 * EPS
    assert abs(float(alpha(gamma)) ** 2 + float(sigma(gamma)) ** 2 - 1) <= 4 * EPS
    with localcontext() as context:
        context.prec = 60
        a2, s2 = exact(gamma)
        for got, want in [
            (alpha2(gamma), a2),
            (sigma2(gamma), s2),
            (alpha(gamma), a2.sqrt()),
            (sigma(gamma), s2.sqrt()),
            (snr(gamma), a2 / s2),
        ]:  # e^γ amplifies the rounding of γ by |γ|
            assert abs(float(got) / float(want) - 1) < EPS * (4 + abs(float(gamma)))


def test_scales_take_numbers_and_arrays():
    gammas = jnp.array(EXTREMES)
    for f in (alpha, alpha2, sigma, sigma2, snr):
        assert np.array_equal(f(gammas), [f(g) for g in EXTREMES])


def test_marginal_jumps_from_the_data():
    q = marginal(X, 0.7)
    close(q.mean, np.asarray(X) / np.sqrt(1 + np.exp(0.7)))
    close(q.std, 1 / np.sqrt(1 + np.exp(-0.7)))


@pytest.mark.parametrize(("gamma_s", "gamma_t"), STEPS)
def test_chapman_kolmogorov(gamma_s, gamma_t):
    first, step, jump = (
        marginal(X, gamma_s),
        transition(X, gamma_s, gamma_t),  # its mean is linear: X stands for any z_s
        marginal(X, gamma_t),
    )
    scale = step.mean / X
    close(scale * first.mean, jump.mean)
    close(scale**2 * first.std**2 + step.std**2, jnp.full(3, jump.std**2))


def test_transitions_compose():
    g = (-2.0, 0.4, 3.0)
    first, second, both = (transition(X, g[i], g[j]) for i, j in [(0, 1), (1, 2), (0, 2)])
    close(second.mean / X * first.mean, both.mean)
    close((second.mean / X) ** 2 * first.std**2 + second.std**2, jnp.full(3, both.std**2))


@pytest.mark.parametrize(("gamma_s", "gamma_t"), STEPS)
def test_bayes(gamma_s, gamma_t):
    """q(z_s | z_t, x) q(z_t | x) = q(z_t | z_s) q(z_s | x)."""
    z_s = marginal(X, gamma_s).at(jnp.array([0.5, -1.0, 1.5]))
    z_t = transition(z_s, gamma_s, gamma_t).at(jnp.array([-0.7, 0.2, 1.1]))
    q_st, q_t = posterior(z_t, X, gamma_s, gamma_t), marginal(X, gamma_t)
    q_ts, q_s = transition(z_s, gamma_s, gamma_t), marginal(X, gamma_s)
    # A rounding of z_s is one of EPS/std in its ε, and ε² is what a log density holds.
    scale = 10 + 1 / float(jnp.minimum(q_st.std, q_s.std))
    close(
        q_st.log_prob(z_s) + q_t.log_prob(z_t),
        q_ts.log_prob(z_t) + q_s.log_prob(z_s),
        16,
        scale,
    )


@pytest.mark.parametrize("steps", [100, 100_000])
@pytest.mark.parametrize("t", [0.01, 0.4, 0.7, 1.0])
def test_small_steps_keep_their_digits(steps, t):
    gamma_t = jnp.asarray(-13.3 + 18.3 * t)
    gamma_s = jnp.asarray(-13.3 + 18.3 * (t - 1 / steps))
    z_t = jnp.array([0.2, -1.3, 0.8])
    got_t, got_p = transition(z_t, gamma_s, gamma_t), posterior(z_t, X, gamma_s, gamma_t)
    with localcontext() as context:
        context.prec = 60
        (a2_t, s2_t), (a2_s, s2_s) = exact(gamma_t), exact(gamma_s)
        scale = (a2_t / a2_s).sqrt()
        variance = s2_t - scale**2 * s2_s
        # The textbook's products of Gaussians, in none of the package's forms.
        weight_z, weight_x = scale * s2_s / s2_t, a2_s.sqrt() * variance / s2_t
        std, posterior_std = float(variance.sqrt()), float((variance * s2_s / s2_t).sqrt())
    # softplus(γ_t) − softplus(γ_s) subtracts numbers of size max(1, γ), close to each other.
    digits = 4 * EPS * max(1.0, float(gamma_t)) / float(gamma_t - gamma_s)
    np.testing.assert_allclose(got_t.std, std, rtol=digits)
    close(got_t.mean, float(scale) * np.asarray(z_t))
    np.testing.assert_allclose(got_p.std, posterior_std, rtol=32 * EPS)
    close(got_p.mean, float(weight_z) * np.asarray(z_t) + float(weight_x) * np.asarray(X))
    only_x = posterior(jnp.zeros(3), X, gamma_s, gamma_t).mean
    np.testing.assert_allclose(only_x, float(weight_x) * np.asarray(X), rtol=32 * EPS)


def test_no_step_is_no_move():
    step, back = transition(X, 1.0, 1.0), posterior(X, 0 * X, 1.0, 1.0)
    assert step.std == back.std == 0
    assert np.array_equal(step.mean, X)
    assert np.array_equal(back.mean, X)


@pytest.mark.parametrize("step", [transition, lambda z, s, t: posterior(z, z, s, t)])
def test_wrong_order_raises_with_both_values(step):
    with pytest.raises(ValueError, match=r"gamma_s = 2\.5 > gamma_t = -1\.25"):
        step(X, 2.5, -1.25)
    jax.eval_shape(step, X, 2.5, -1.25)  # values that can't be seen are not judged


@pytest.mark.parametrize("gap", [1e-4, 1e-2, 1.0, 18.3])
@pytest.mark.parametrize("gamma", [-13.3, 0.0, 5.0, 12.0])
def test_the_width_of_a_transition_keeps_its_digits(gamma, gap):
    gamma_s, gamma_t = (jnp.asarray(g, jnp.result_type(float)) for g in (gamma - gap, gamma))
    exact_gap = float(gamma_t) - float(gamma_s)  # as the inputs' own rounding has it
    expected = np.sqrt(-np.expm1(-exact_gap) / (1 + np.exp(-float(gamma_t))))
    got = transition(jnp.ones(1), gamma_s, gamma_t).std
    np.testing.assert_allclose(got, expected, rtol=16 * EPS)
