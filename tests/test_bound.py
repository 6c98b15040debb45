"""The bound: every term against a closed form, and the theorems of the paper as equalities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import (
    EPS,
    SCHEDULES,
    X64,
    agrees,
    close,
    mixture,
    normal_nodes,
    off_by,
    oracle_model,
    over,
    time_nodes,
)
from scipy import stats

import vdmlite as vdm
from vdmlite import VDM, FixedLinear, GaussianDecoder, LevelDecoder, MixtureDenoiser

X, DELTA = jnp.array([0.5, -0.2]), jnp.array([0.3, -0.6])
NORM2 = 0.45  # of DELTA

ON_PAPER = {4: 99.97463, 10: 15.72756, 100: 6.485690, 1000: 6.006237, 10_000: 5.961011}
"""The T-step diffusion loss of N(0, ½²), γ linear from −13.3 to 5, in nats (MATH.md)."""

quick = pytest.mark.quick


def off_model(schedule) -> VDM:
    return VDM(schedule, off_by(X, DELTA), GaussianDecoder(), (2,))


@eqx.filter_jit
def continuous(model, x, times, key):
    keys = jax.random.split(key, len(times))
    loss = jax.vmap(lambda t, k: vdm.continuous_diffusion_loss(model, x, t, key=k))
    return loss(times, keys)


@eqx.filter_jit
def discrete(model, x, times, steps, key):
    keys = jax.random.split(key, len(times))
    loss = jax.vmap(
        lambda t, k: vdm.discrete_diffusion_loss(model, x, t, timesteps=steps, key=k)
    )
    return loss(times, keys)


def middles(steps):
    """Times that round up to 1/T, 2/T, …, 1."""
    return (jnp.arange(steps) + 0.5) / steps


def squared_error(gammas):
    """M(γ) = E‖ε − ε̂‖² of the oracle by quadrature over x and ε: exact, it is quadratic."""
    nodes, weights = normal_nodes(3)
    model, nodes = oracle_model(), jnp.asarray(nodes, jnp.result_type(float))

    def error(gamma, x, eps):
        z = vdm.marginal(0.5 * x[None], gamma).at(eps[None])
        return (eps - model.denoiser(z, gamma).eps[0]) ** 2

    pairs = jax.vmap(jax.vmap(error, (None, None, 0)), (None, 0, None))
    values = jax.jit(jax.vmap(pairs, (0, None, None)))(gammas, nodes, nodes)
    return np.einsum("gij,i,j->g", values, weights, weights)


# Single terms


@quick
def test_prior_loss_is_its_closed_form():
    s2 = 1 / (1 + np.exp(-2.0))
    expected = 0.5 * np.sum(s2 + (1 - s2) * np.asarray(X) ** 2 - 1 - np.log(s2))
    close(vdm.prior_loss(off_model(FixedLinear(-4.0, 2.0)), X), expected)


@quick
def test_reconstruction_loss_of_real_numbers(key):
    model = oracle_model(shape=(2,))
    draw = jax.vmap(lambda k: vdm.reconstruction_loss(model, X, key=k))
    agrees(draw(jax.random.split(key, 4000)), np.log(2 * np.pi * np.e) - 13.3)


@quick
def test_reconstruction_loss_of_levels(key):
    """−E log p(k | z_0) = E log Σ_j exp(½ε² − ½(ε + (v_k − v_j)/w)²), w = e^{γ_0/2}."""
    levels, k, width = 4, 1, np.exp(-0.5)
    model = VDM(FixedLinear(-1.0, 3.0), off_by(X[:1], 0.0), LevelDecoder(levels), (1,))
    draw = jax.vmap(lambda key: vdm.reconstruction_loss(model, jnp.array([k]), key=key))
    eps, weights = normal_nodes(60)
    gaps = (2 / levels) * (k - np.arange(levels)) / width
    exponent = 0.5 * eps[:, None] ** 2 - 0.5 * (eps[:, None] + gaps) ** 2
    expected = weights @ np.log(np.exp(exponent).sum(1))
    agrees(draw(jax.random.split(key, 8000)), expected)


@quick
@over(SCHEDULES)
def test_losses_of_a_known_error(make, key):
    """If ‖ε − ε̂‖² = SNR ‖δ‖² then both diffusion losses are ½ (SNR(0) − SNR(1)) ‖δ‖²."""
    model = off_model(make(-4.0, 4.0))
    expected = 0.5 * (np.exp(4) - np.exp(-4)) * NORM2
    close(discrete(model, X, middles(7), 7, key).mean(), expected, ulps=256)
    times, weights = time_nodes()
    losses = continuous(model, X, times, key)
    np.testing.assert_allclose(weights @ losses, expected, rtol=max(1e-5, 256 * EPS))
    gamma, slope = jax.vmap(model.schedule.slope)(times)
    close(losses, 0.5 * slope * np.exp(-gamma) * NORM2, ulps=256)


@quick
@pytest.mark.parametrize("steps", [10, 1000])
def test_steps_times_kl_is_the_loss(steps, key):
    """T KL(q(z_s | z_t, x) ‖ p(z_s | z_t)) = ½ T expm1(γ_t − γ_s) ‖ε − ε̂‖²."""
    model, t = off_model(FixedLinear(-5.0, 5.0)), 0.4
    s = t - 1 / steps
    gamma_s, gamma_t = model.schedule(s), model.schedule(t)
    z_t = vdm.marginal(X, gamma_t).at(jnp.array([0.4, -1.3]))
    q, p = vdm.posterior(z_t, X, gamma_s, gamma_t), model.reverse(z_t, s, t)
    expected = 0.5 * steps * np.expm1(float(gamma_t - gamma_s)) * np.exp(-gamma_t) * NORM2
    digits = 64 * EPS * steps  # γ_t − γ_s itself has no more
    np.testing.assert_allclose(steps * vdm.kl(q, p), expected, rtol=digits)
    loss = vdm.discrete_diffusion_loss(model, X, t - 0.5 / steps, timesteps=steps, key=key)
    np.testing.assert_allclose(loss, expected, rtol=digits)


@quick
@pytest.mark.parametrize("steps", [10, 13, 1000])
def test_times_of_the_discrete_loss_are_rounded_up(steps, key):
    """Any t in ((i − 1)/T, i/T] stands for step i; t = 0 for the first."""
    model = off_model(FixedLinear(-4.0, 4.0))
    gammas = np.linspace(-4, 4, steps + 1)[1:]
    by_step = 0.5 * steps * np.expm1(8 / steps) * np.exp(-gammas) * NORM2
    just = np.arange(1, steps + 1) / steps
    times = np.concatenate([[0.0], just - 0.5 / steps, just]).astype(X.dtype)
    expected = np.concatenate([by_step[:1], by_step, by_step])
    losses = discrete(model, X, jnp.asarray(times), steps, key)
    np.testing.assert_allclose(losses, expected, rtol=64 * EPS * steps)


# The Gaussian oracle: numbers on paper


@pytest.mark.parametrize("steps", ON_PAPER)
def test_discrete_loss_on_paper_by_quadrature(steps, key):
    gammas = jax.vmap(FixedLinear(-13.3, 5.0))(jnp.arange(1, steps + 1) / steps)
    x = jnp.zeros(1)  # a guess that is off by 1 leaves the weight of each step, times SNR
    model = eqx.tree_at(lambda m: m.denoiser, oracle_model(), off_by(x, jnp.ones(1)))
    weights = np.asarray(discrete(model, x, middles(steps), steps, key) * jnp.exp(gammas))
    got = np.mean(weights.astype(np.float64) * squared_error(gammas))
    np.testing.assert_allclose(got, ON_PAPER[steps], rtol=5e-7 if X64 else 2e-5 + EPS * steps)


def test_discrete_loss_falls_to_the_continuous_one_on_paper():
    nodes, weights = np.polynomial.legendre.leggauss(60)
    gammas = jnp.asarray(-13.3 + 18.3 * (nodes + 1) / 2, jnp.result_type(float))
    limit = 0.5 * 18.3 * (weights @ squared_error(gammas)) / 2
    np.testing.assert_allclose(limit, 5.9560146, rtol=2e-8 if X64 else 1e-5)
    np.testing.assert_allclose(
        limit, 0.5 * (np.log1p(0.25 * np.exp(13.3)) - np.log1p(0.25 * np.exp(-5))), rtol=1e-5
    )

    def loss(steps):
        gammas = jnp.asarray(np.linspace(-13.3, 5, steps + 1)[1:], jnp.result_type(float))
        return 0.5 * steps * np.expm1(18.3 / steps) * squared_error(gammas).mean()

    losses = [loss(2**k) for k in range(2, 13)]
    assert np.all(np.diff([*losses, limit]) < 0)
    gaps = np.array(losses) - limit
    np.testing.assert_allclose(gaps[-2] / gaps[-1], 2, rtol=0.02)  # first order in 1/T


@pytest.mark.parametrize("steps", [4, 10, None])
def test_the_oracles_losses_by_monte_carlo(steps, key):
    model, n = oracle_model(), 1 << 14
    data_key, key = jax.random.split(key)
    data = 0.5 * jax.random.normal(data_key, (n, 1))
    terms = eqx.filter_jit(vdm.batch_vlb)(model, data, timesteps=steps, key=key)
    agrees(terms.diffusion, ON_PAPER.get(steps, 5.9560146))
    agrees(terms.reconstruction, 0.5 * np.log(2 * np.pi * np.e) - 13.3 / 2)
    first, second = (a - a.mean() for a in (terms.reconstruction, terms.diffusion))
    agrees(first * second, 0.0)  # their noises are independent
    if steps is None:
        agrees(terms.loss, 0.725801)


@quick
def test_the_bound_of_an_exact_model_is_tight():
    """Whole bound 0.725801 nats, entropy 0.725791: all that is lost, is lost at the ends."""
    model, (nodes, weights) = oracle_model(), normal_nodes(3)
    nodes = jnp.asarray(nodes[:, None], jnp.result_type(float))
    prior = weights @ jax.vmap(lambda x: vdm.prior_loss(model, x))(0.5 * nodes)

    def reconstruct(eps):
        z_0 = vdm.marginal(jnp.full(1, 0.2), -13.3).at(eps)
        return -model.decoder.log_prob(jnp.full(1, 0.2), z_0, -13.3)

    whole = prior + weights @ jax.vmap(reconstruct)(nodes) + 5.9560146
    tolerance = 1e-6 if X64 else 2e-4  # float32: x̂ = 0.2 is read off z_0 at a width of 1e-3
    np.testing.assert_allclose(whole, 0.725801, atol=tolerance)
    np.testing.assert_allclose(whole, stats.norm(0, 0.5).entropy(), atol=1e-5 + tolerance)


# Schedules


def test_the_continuous_bound_is_the_same_for_all_schedules(key):
    """Only the ends of γ matter: the paired differences of two schedules have mean zero."""
    n, data = 1 << 14, mixture()
    data_key, key = jax.random.split(key)
    x = jax.vmap(lambda k: data.sample(key=k))(jax.random.split(data_key, n))
    losses = {}
    for name, make in SCHEDULES.items():
        model = VDM(make(-7.0, 5.0), MixtureDenoiser(data), GaussianDecoder(), (2,))
        losses[name] = np.asarray(eqx.filter_jit(vdm.batch_vlb)(model, x, key=key).diffusion)
    first, *others = losses.values()
    for other in others:
        # Equal up to rounding (the same curve), or within 3 standard errors.
        if not np.allclose(first, other, rtol=1e-3):
            agrees(first - other, 0.0, errors=3.0)


# Batches, times, units


@quick
@pytest.mark.parametrize("n", [1, 8, 49, 98, 103])  # arange(0, 1, 1/49) has 50 values
def test_spread_times_are_n_and_even(n, key):
    t = np.sort(np.asarray(vdm.spread_times(n, key=key)))
    assert t.shape == (n,)
    assert 0 <= t[0] <= t[-1] < 1
    np.testing.assert_allclose(np.diff(t), 1 / n, atol=4 * EPS)


@quick
def test_each_spread_time_is_uniform(key):
    t = jax.vmap(lambda k: vdm.spread_times(5, key=k))(jax.random.split(key, 2000))
    for column in np.asarray(t).T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4


@quick
def test_a_batch_is_its_examples_at_spread_times(key):
    n, model = 5, oracle_model(schedule=FixedLinear(-4.0, 4.0), shape=(2,))
    data = jax.random.normal(key, (n, 2))
    batch = vdm.batch_vlb(model, data, key=key)
    time_key, noise_key = jax.random.split(key)
    times, keys = vdm.spread_times(n, key=time_key), jax.random.split(noise_key, n)
    for i in (0, n - 1):
        one = vdm.vlb(model, data[i], times[i], key=keys[i])
        for name in ("prior", "reconstruction", "diffusion", "loss"):
            close(getattr(batch, name)[i], getattr(one, name), ulps=256)
    close(batch.loss, batch.prior + batch.reconstruction + batch.diffusion)
    close(batch.mean().loss, batch.loss.mean())
    assert len(set(np.asarray(batch.reconstruction).tolist())) == n  # each has its own noise


@quick
@pytest.mark.parametrize("steps", [None, 4])
def test_a_batch_with_conditions_is_its_examples_each_with_its_own(steps, key):
    def network(z, gamma, condition, *, key):
        del key
        return z * condition + gamma

    model = VDM(FixedLinear(-4.0, 4.0), vdm.NetDenoiser(network), GaussianDecoder(), (2,))
    data, conditions = jax.random.normal(key, (3, 2)), jnp.array([0.0, 1.0, -2.0])
    batch = vdm.batch_vlb(model, data, conditions, timesteps=steps, key=key)
    time_key, noise_key = jax.random.split(key)
    times, keys = vdm.spread_times(3, key=time_key), jax.random.split(noise_key, 3)
    for i in range(3):
        told = model.given(conditions[i])
        one = vdm.vlb(told, data[i], times[i], timesteps=steps, key=keys[i])
        close(batch.diffusion[i], one.diffusion, ulps=256)
        close(batch.reconstruction[i], one.reconstruction, ulps=256)


@quick
def test_bits_per_dim():
    close(vdm.bits_per_dim(jnp.array([np.log(2) * 12, 0.0]), (2, 3, 2)), [1.0, 0.0])
    close(vdm.bits_per_dim(jnp.asarray(3.0), (1,)), 3 / np.log(2))


# What is refused


@quick
def test_what_is_refused(key):
    model = oracle_model(shape=(2,))
    levels = VDM(FixedLinear(), off_by(X, 0.0), LevelDecoder(4), (2,))
    t = jnp.asarray(0.5)
    refused = [
        (
            lambda: vdm.vlb(model, X, t, timesteps=0, key=key),
            "must be at least 1, got 0",
        ),
        (lambda: vdm.batch_vlb(model, X[None], timesteps=-2, key=key), "got -2"),
        (lambda: vdm.vlb(model, X[None], t, key=key), "looks like a batch: use batch_vlb"),
        (lambda: vdm.batch_vlb(model, X, key=key), r"shape \(n, 2\), got \(2,\)"),
        (lambda: vdm.vlb(model, X.at[0].set(jnp.nan), t, key=key), "finite, got 1 .* as nan"),
        (
            lambda: vdm.vlb(levels, jnp.array([0, 4]), t, key=key),
            "0 … 3, got values from 0 to 4",
        ),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
            call()
