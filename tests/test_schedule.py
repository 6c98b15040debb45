"""All schedules: they rise between their ends, know their slope, and show what is trained."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, SCHEDULES, close, over, perturbed, time_nodes

from vdmlite import Karras, LearnedLinear, MonotoneNet, PiecewiseLinear

pytestmark = pytest.mark.quick


@over(SCHEDULES)
@pytest.mark.parametrize("ends", [(-13.3, 5.0), (-9.0, 6.0), (2.0, 3.0), (-20.0, 20.0)])
def test_hits_its_ends_and_rises(make, ends):
    schedule = make(*ends)
    gammas = jax.vmap(schedule)(jnp.linspace(0, 1, 101))
    assert np.all(np.diff(gammas) > 0)
    size = max(abs(g) for g in ends)
    np.testing.assert_allclose(gammas[np.array([0, -1])], ends, rtol=0, atol=16 * EPS * size)
    assert schedule(0.0).shape == ()


@over(SCHEDULES)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_slope_is_the_derivative(make, t):
    schedule = make(-7.0, 5.0)
    gamma, slope = schedule.slope(t)
    close(gamma, schedule(t), scale=7)
    close(slope, jax.grad(schedule)(t), ulps=64)
    times, weights = time_nodes()
    slopes = jax.vmap(lambda u: schedule.slope(u)[1])(times)
    np.testing.assert_allclose(weights @ np.asarray(slopes), 12.0, rtol=1e-4)  # the rise


@over(SCHEDULES)
def test_arrays_get_gradients_and_numbers_none(make):
    """A field that is an array is trained, whichever it is; a Python number has no gradient."""
    schedule = make(-4.0, 4.0)
    grads = eqx.filter_grad(lambda s: s(0.3))(schedule)
    trained = jax.tree.leaves(eqx.filter(schedule, eqx.is_array))
    assert len(jax.tree.leaves(grads)) == len(trained)
    for grad in jax.tree.leaves(grads):
        assert np.all(grad != 0)


def test_what_is_trained():
    trained = {
        name: len(jax.tree.leaves(eqx.filter(make(-4.0, 4.0), eqx.is_array)))
        for name, make in SCHEDULES.items()
    }
    assert {k: n for k, n in trained.items() if n} == {"LearnedLinear": 2, "MonotoneNet": 6}


DEFINITIONS = {  # a function of γ that is affine in a function of t: what names a schedule
    "FixedLinear": (lambda g: g, lambda t: t),
    "LearnedLinear": (lambda g: g, lambda t: t),
    "Cosine": (lambda g: np.arctan(np.exp(g / 2)), lambda t: t),  # tan φ = σ/α
    "BetaLinear": (lambda g: np.log1p(np.exp(g)), lambda t: t**2),  # −log α²
    "FlowMatching": (lambda g: 1 / (1 + np.exp(-g / 2)), lambda t: t),  # σ/(α + σ)
    "Karras": (lambda g: np.exp(g / 14), lambda t: t),  # (σ/α)^{1/7}
}


def test_all_schedules_but_the_free_ones_have_a_definition():
    assert set(SCHEDULES) - set(DEFINITIONS) == {"MonotoneNet", "PiecewiseLinear"}


@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("ends", [(-13.3, 5.0), (2.0, 3.0), (-20.0, 20.0)])
def test_each_schedule_is_straight_where_its_definition_says(name, ends):
    straight, clock = DEFINITIONS[name]
    t = np.linspace(0, 1, 41)
    gammas = jax.vmap(SCHEDULES[name](*ends))(jnp.asarray(t, jnp.result_type(float)))
    first, last = (straight(np.float64(g)) for g in ends)
    expected = first + (last - first) * clock(t)
    # An error in γ is at most as large a relative error of what is straight.
    size = max(abs(g) for g in ends)
    got = straight(np.asarray(gammas, np.float64))
    np.testing.assert_allclose(got, expected, rtol=16 * EPS * size, atol=16 * EPS)


def test_a_piecewise_linear_schedule_goes_through_its_values_and_straight_between():
    schedule = PiecewiseLinear(np.array([-7.0, -2.0, 0.5, 5.0]))
    times = jnp.array([0.0, 1 / 6, 1 / 3, 0.5, 2 / 3, 0.75, 1.0])
    expected = [-7.0, -4.5, -2.0, -0.75, 0.5, 0.5 + 4.5 / 4, 5.0]
    close(jax.vmap(schedule)(times), expected, scale=15 * 7)


@pytest.mark.parametrize(
    "gammas", [[-1.0, 2.0, 2.0, 3.0], [-1.0, 2.0, 1.0], [0.0, float("nan"), 1.0]]
)
def test_values_that_do_not_rise_raise(gammas):
    with pytest.raises(ValueError, match=re.escape(f"got {tuple(gammas)}")):
        PiecewiseLinear(gammas)


@pytest.mark.parametrize("gammas", [[], [1.0]])
def test_a_piecewise_linear_schedule_needs_two_values(gammas):
    with pytest.raises(ValueError, match=f"2 values of γ or more, got {len(gammas)}"):
        PiecewiseLinear(gammas)


@pytest.mark.parametrize("rho", [0.5, 1.0, 3.0, 40.0])
def test_karras_with_another_rho_is_straight_in_another_power(rho):
    schedule, t = Karras(-13.3, 5.0, rho=rho), np.linspace(0, 1, 41)
    gammas = np.asarray(jax.vmap(schedule)(jnp.asarray(t, jnp.result_type(float))), np.float64)
    low, high = np.exp(-13.3 / 2 / rho), np.exp(5.0 / 2 / rho)
    got = np.exp(gammas / 2 / rho)  # (σ/α)^{1/ρ}; an error in γ is worth 1/(2ρ) of it
    expected = low + (high - low) * t
    np.testing.assert_allclose(got, expected, rtol=16 * EPS * 13.3 * (1 + 1 / rho))


def test_karras_with_a_large_rho_is_linear():
    """(σ/α)^{1/ρ} = 1 + γ/(2ρ) + …: the rest of a span of 18 is worth 18²/(16ρ) at most."""
    t = jnp.linspace(0, 1, 41)
    gammas = jax.vmap(Karras(-13.3, 5.0, rho=1000.0))(t)
    off = np.abs(np.asarray(gammas) - (-13.3 + 18.3 * np.asarray(t)))
    assert off.max() < 18.3**2 / 16 / 1000 + 64 * EPS * 1000  # a rounding times 2ρ


@pytest.mark.parametrize("rho", [0.0, -7.0, float("nan")])
def test_a_rho_that_is_not_positive_raises(rho):
    with pytest.raises(ValueError, match=f"rho must be positive, got {rho}"):
        Karras(rho=rho)


@pytest.mark.parametrize("name", ["Cosine", "FlowMatching"])
def test_what_treats_signal_and_noise_alike_is_its_own_mirror_image(name):
    """Both ends have their digits: with α and σ exchanged, time runs backwards."""
    schedule, t = SCHEDULES[name](-20.0, 20.0), jnp.linspace(0, 1, 33)
    there, back = jax.vmap(schedule)(t), jax.vmap(schedule)(1 - t)
    close(there, -back, scale=20)


def driven(net: MonotoneNet, key) -> MonotoneNet:
    """Return it with the inner weights far from where they began, its ends where they were."""

    def inner(s):
        return s.line, s.heights, s.steepness, s.places

    keys = jax.random.split(key, 4)
    moved = [
        perturbed(weights, key=k, scale=scale)
        for weights, k, scale in zip(inner(net), keys, (3.0, 3.0, 30.0, 0.3), strict=True)
    ]
    return eqx.tree_at(inner, net, moved)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 8, 64])
def test_a_driven_monotone_net_rises_and_hits_its_ends_exactly(width, seed):
    net = driven(MonotoneNet(-13.3, 5.0, width=width), jax.random.key(seed))
    elsewhere = eqx.tree_at(
        lambda s: (s.ends.start, s.ends.width), net, (jnp.asarray(-9.7), jnp.asarray(-3.1))
    )
    for schedule, start, stop in ((net, -13.3, 5.0), (elsewhere, -9.7, -6.6)):
        assert schedule(0.0) == schedule.ends(0.0)
        assert schedule(1.0) == schedule.ends(1.0)
        close(schedule(0.0), start, scale=13.3)
        close(schedule(1.0), stop, scale=13.3)
        gammas, slopes = jax.vmap(schedule.slope)(jnp.linspace(0, 1, 101))
        assert np.all(np.diff(gammas) > 0)
        assert np.all(slopes > 0)
        # Many points at once are summed in another order, which is worth a rounding.
        close(gammas[np.array([0, -1])], [start, stop], scale=13.3)


def test_a_monotone_nets_share_does_not_know_its_ends():
    here = driven(MonotoneNet(-13.3, 5.0, width=8), jax.random.key(5))
    there = eqx.tree_at(lambda s: s.ends, here, LearnedLinear(-2.0, 40.0))
    times = np.linspace(0, 1, 7)
    shares = [float(here.share(t)) for t in times]
    assert shares == [float(there.share(t)) for t in times]
    assert np.abs(shares - times).max() > 0.05  # it has been driven away from the straight
    for schedule, start, width in ((here, -13.3, 18.3), (there, -2.0, 42.0)):
        for t, share in zip(times, shares, strict=True):
            close(schedule(t), start + width * share, scale=42)


def test_a_monotone_net_begins_nearly_straight():
    """Never off by more than 0.5 % of the way; away from the ends its slope is even to 2 %."""
    t = np.linspace(0, 1, 1001)
    net = MonotoneNet(-13.3, 5.0)
    off = np.abs(np.asarray(jax.vmap(net.share)(jnp.asarray(t, jnp.result_type(float)))) - t)
    assert 0 < off.max() < 0.005
    slopes = np.asarray(jax.vmap(net.slope)(jnp.linspace(0.1, 0.9, 201))[1])
    np.testing.assert_allclose(slopes / 18.3, 1.0, atol=0.02)


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_inner_weights_have_no_say_in_the_ends(t):
    net = driven(MonotoneNet(-13.3, 5.0, width=8), jax.random.key(6))
    grads = eqx.filter_grad(lambda s: s(t))(net)
    for grad in (grads.line, grads.heights, grads.steepness, grads.places):
        close(grad, np.zeros(grad.shape), scale=18.3)  # f(1)/f(1) cancels but for a rounding
    close(grads.ends.start, 1.0)
    close(grads.ends.width, t)
    between = eqx.filter_grad(lambda s: s(0.4))(net)  # but they have one in between
    for grad in (between.line, between.heights, between.steepness, between.places):
        assert np.abs(grad).max() > 1e-3


@pytest.mark.parametrize("width", [0, -3])
def test_a_monotone_net_of_no_width_raises(width):
    with pytest.raises(ValueError, match=f"width of at least 1, got {width}"):
        MonotoneNet(width=width)


def test_learned_linear_rises_wherever_training_takes_its_width():
    schedule = eqx.tree_at(lambda s: s.width, LearnedLinear(-4.0, 4.0), jnp.asarray(-3.0))
    close(schedule(0.0), -4.0)
    close(schedule(1.0), -1.0)


@over(SCHEDULES)
@pytest.mark.parametrize(
    "ends",
    [
        (5.0, -13.3),
        (1.0, 1.0),
        (float("nan"), 1.0),
        (0.0, float("nan")),
        (-float("inf"), 1.0),
        (0.0, float("inf")),
    ],
)
def test_a_range_that_does_not_rise_raises_with_its_values(make, ends):
    with pytest.raises(ValueError, match=f"gamma_min = {ends[0]} and gamma_max = {ends[1]}"):
        make(*ends)
