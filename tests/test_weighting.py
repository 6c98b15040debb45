"""Weighted losses: one integral in many forms, its gradient, and the density of least noise."""

import itertools
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import EPS, gaussian, net

import vdmlite as vdm
from vdmlite.neighbours import weighting

pytestmark = pytest.mark.once

ENDS = (-6.0, 5.0)
LINE = jnp.linspace(-5.5, 4.5, 23)
NODES, SHARES = np.polynomial.legendre.leggauss(64)
NODES, SHARES = (NODES + 1) / 2, SHARES / 2


def m(gamma):
    """E ‖ε − ε̂‖² of N(0, ¼) data, one dimension."""
    return 1 / (1 + 4 * np.exp(np.asarray(gamma, np.float64)))


@pytest.mark.parametrize("kind", [vdm.FixedLinear, vdm.Cosine, vdm.FlowMatching, vdm.Karras])
def test_a_schedules_density_is_one_over_its_slope(kind):
    schedule = kind(*ENDS)
    t = jnp.linspace(0.02, 0.98, 25)
    gammas, slopes = schedule.slope(t)
    found = jax.vmap(weighting.Density(schedule))(gammas)
    np.testing.assert_allclose(found * slopes, 1.0, rtol=1e-4)
    outside = jax.vmap(weighting.Density(schedule))(jnp.array([ENDS[0] - 0.1, ENDS[1] + 0.1]))
    assert np.array_equal(outside, np.zeros(2))


@pytest.mark.parametrize(
    ("schedule", "density"),
    [
        (vdm.Cosine(-30.0, 30.0), lambda g: 1 / (2 * np.pi * np.cosh(g / 2))),
        (vdm.FlowMatching(-30.0, 30.0), lambda g: 1 / (8 * np.cosh(g / 4) ** 2)),
    ],
)
def test_densities_in_closed_form(schedule, density):
    found = jax.vmap(weighting.Density(schedule))(LINE)
    np.testing.assert_allclose(found, density(np.asarray(LINE, float)), rtol=1e-5)


@pytest.mark.parametrize("kind", [vdm.FixedLinear, vdm.Cosine, vdm.FlowMatching, vdm.Karras])
@pytest.mark.parametrize(
    ("target", "of_guess"),
    [
        ("eps", lambda guess, a, s: guess.eps),
        ("x", lambda guess, a, s: guess.x),
        ("v", lambda guess, a, s: a * guess.eps - s * guess.x),
        ("velocity", lambda guess, a, s: guess.eps - guess.x),
    ],
)
def test_a_mean_over_time_is_the_weighted_integral(kind, target, of_guess):
    """The error of each target, for an ε̂ that is off by what it is off."""
    schedule = kind(*ENDS)
    gammas = schedule(jnp.asarray(NODES))
    a, s = vdm.process.alpha(gammas), vdm.process.sigma(gammas)
    if target == "velocity":  # its path has α + σ = 1, and so has its z
        a, s = a / (a + s), s / (a + s)
    # x̂ − x and ε̂ − ε for one z: α δx + σ δε = 0.
    off = np.sqrt(m(gammas))
    error = types.SimpleNamespace(x=-s / a * off, eps=off)
    over_t = np.sum(SHARES * np.asarray(of_guess(error, a, s), np.float64) ** 2)
    points = ENDS[0] + (ENDS[1] - ENDS[0]) * NODES
    w = jax.vmap(weighting.mean_squared(schedule, target))(jnp.asarray(points))
    over_gamma = np.sum(
        SHARES * (ENDS[1] - ENDS[0]) * 0.5 * np.asarray(w, np.float64) * m(points)
    )
    np.testing.assert_allclose(over_gamma, over_t, rtol=2e-4)


def test_published_weights():
    """Kingma and Gao 2023, table 1: in λ = −γ, up to a factor."""

    def shape(weight):
        w = np.asarray(jax.vmap(weight)(LINE), np.float64)
        return w / w[0]

    gammas = np.asarray(LINE, np.float64)
    wide = (-30.0, 30.0)
    rising = np.exp((gammas - gammas[0]) / 2)
    for weight in (
        weighting.mean_squared(vdm.Cosine(*wide), "v"),
        weighting.mean_squared(vdm.FlowMatching(*wide), "velocity"),
    ):
        np.testing.assert_allclose(shape(weight), rising, rtol=1e-4)
    normal = np.exp(-((-gammas - 2.4) ** 2) / (2 * 2.4**2)) * (np.exp(gammas) + 0.25)
    np.testing.assert_allclose(shape(weighting.edm()), normal / normal[0], rtol=1e-4)


def test_an_unknown_target_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"eps, x, v, velocity, not 'score'"):
        weighting.mean_squared(vdm.Cosine(), "score")


def model(schedule=None):
    return vdm.VDM(schedule or vdm.LearnedLinear(-4.0, 3.0), net(), vdm.GaussianDecoder(), (2,))


def flat(tree):
    return np.concatenate(
        [np.ravel(a) for a in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]
    )


def test_with_weight_one_it_is_the_bounds_gradient_but_for_the_schedule(key):
    data = jax.random.normal(key, (16, 2))
    gradient = eqx.filter_jit(weighting.WeightedGradient(jnp.ones_like))
    terms, slopes = gradient(model(), data, key=key)
    assert terms.loss.shape == (16,)
    assert not flat(slopes.schedule).any()

    def mean_bound(vdm_):  # the same draws, by hand
        time_key, noise_key = jax.random.split(key)
        gammas, rates = vdm_.schedule.slope(vdm.spread_times(16, key=time_key))

        def one(x, gamma, rate, key):
            m = vdm.bound.squared_error(vdm_, x, gamma, key=jax.random.split(key)[1])
            return 0.5 * rate * m

        nats = jax.vmap(one)(data, gammas, rates, jax.random.split(noise_key, 16))
        return vdm.bits_per_dim(nats.mean(), (2,))

    expected = eqx.filter_jit(eqx.filter_grad(mean_bound))(model())
    np.testing.assert_allclose(flat(slopes.denoiser), flat(expected.denoiser), rtol=1e3 * EPS)


def test_the_gradient_is_linear_in_the_weight(key):
    data = jax.random.normal(key, (16, 2))
    one, two, both = (
        eqx.filter_jit(weighting.WeightedGradient(w))(model(), data, key=key)[1]
        for w in (jnp.exp, jnp.ones_like, lambda g: 3 * jnp.exp(g) + 2)
    )
    np.testing.assert_allclose(
        flat(both), 3 * flat(one) + 2 * flat(two), rtol=1e4 * EPS, atol=1e4 * EPS
    )


def test_no_weight_under_a_schedule_that_stands_still_is_a_nan(key):
    """β-linear has γ′(0) = 0, where its density is infinite."""
    still = model(vdm.BetaLinear(*ENDS))
    gradient = weighting.WeightedGradient(weighting.mean_squared(still.schedule, "eps"))
    compiled = eqx.filter_jit(gradient)
    for one in jax.random.split(key, 20):
        _, slopes = compiled(still, jax.random.normal(one, (4, 2)), key=one)
        assert np.isfinite(flat(slopes)).all()
    at_start = gradient.weight(jnp.asarray(ENDS[0])) * still.schedule.slope(0.0)[1]
    assert np.isfinite(at_start)


def test_finite_steps_are_refused(key):
    with pytest.raises(ValueError, match=r"T → ∞, got timesteps = 8"):
        weighting.WeightedGradient(jnp.ones_like)(
            model(), jnp.zeros((4, 2)), timesteps=8, key=key
        )


def test_the_training_loop_descends_what_it_is_given(key):
    """A network told only the noisy end learns it, and the clean end later or never."""
    examples = np.asarray(0.5 * jax.random.normal(key, (512, 2)))
    start = model(vdm.FixedLinear(-4.0, 3.0))
    noisy = weighting.WeightedGradient(lambda gamma: jnp.where(gamma > 1.0, 1.0, 0.0))
    optimiser, ends = optax.adam(3e-3), {}
    for name, gradient in (("all", vdm.training_gradient), ("noisy", noisy)):
        batches = vdm.data.batches(examples, 128, key=key)
        state = vdm.init(start, optimiser)
        stream = vdm.train(
            state, optimiser, itertools.islice(batches, 200), gradient=gradient, key=key
        )
        for state, _ in stream:  # noqa: B007
            pass
        ends[name] = vdm.error_curve(
            state.vdm, examples, np.array([-3.0, 2.0]), draws=512, key=key
        ).mean
    least = 2 * m(np.array([-3.0, 2.0]))
    assert ends["noisy"][1] < least[1] + 0.15
    assert ends["noisy"][0] > ends["all"][0] + 0.1


def curve_of_exact(key):
    exact = vdm.VDM(
        vdm.FixedLinear(*ENDS),
        vdm.GaussianDenoiser(gaussian(0.5, shape=(1,))),
        vdm.GaussianDecoder(),
        (1,),
    )
    examples = np.asarray(0.5 * jax.random.normal(key, (4096, 1)))
    return (
        exact,
        examples,
        vdm.error_curve(exact, examples, np.linspace(*ENDS, 60), draws=4096, key=key),
    )


def test_a_weighted_loss_by_a_curve(key):
    _, _, curve = curve_of_exact(key)
    weight = weighting.mean_squared(vdm.Cosine(*ENDS), "eps")
    expected = np.sum(SHARES * m(vdm.Cosine(*ENDS)(jnp.asarray(NODES))))
    assert weighting.weighed(curve, weight).loss == pytest.approx(expected, rel=0.03)
    assert weighting.weighed(curve, jnp.ones_like).loss == pytest.approx(curve.loss, rel=1e-5)


def test_no_density_has_less_noise_than_the_importance_grid(key):
    """E[(w m/2p)²] under each density, from the curve's own squares."""
    _, _, curve = curve_of_exact(key)
    weight = weighting.mean_squared(vdm.Cosine(*ENDS), "v")
    grid = weighting.importance_grid(curve, weight, 200)
    assert len(grid) == 201
    assert np.all(np.diff(grid) > 0)
    np.testing.assert_allclose(grid[[0, -1]], ENDS, atol=1e-5)
    fine = np.linspace(*ENDS, 4001)[1:-1]
    square = np.interp(fine, curve.gammas, curve.square)
    w = np.asarray(jax.vmap(weight)(jnp.asarray(fine)), np.float64)

    def second_moment(p):
        p = p / p.sum()
        return np.sum((w**2 * square) / p)

    best = np.interp(fine, (grid[1:] + grid[:-1]) / 2, 1 / np.diff(grid))
    others = [np.ones_like(fine), w, np.sqrt(square), best * np.exp(0.2 * np.sin(fine))]
    least = second_moment(w * np.sqrt(square))
    assert second_moment(best) < 1.02 * least
    assert all(second_moment(p) > second_moment(best) for p in others)
