"""All schedules: they rise between their ends, know their slope, and show what is trained."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, SCHEDULES, close, over

from vdmlite import LearnedLinear

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
    # Half a step each way: the mean of the slope over an interval is the rise over it.
    nodes, weights = np.polynomial.legendre.leggauss(40)
    slopes = jax.vmap(lambda u: schedule.slope(u)[1])(jnp.asarray((nodes + 1) / 2, gamma.dtype))
    np.testing.assert_allclose(weights @ np.asarray(slopes) / 2, 12.0, rtol=1e-4)


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
