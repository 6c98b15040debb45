"""The best few steps: equal to brute force, and worth what the evaluator says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import oracle_model

import vdmlite as vdm
from vdmlite.neighbours.few_steps import best_grid, edge_costs, shortest_paths


def gaussian_curve(n: int, low: float = -13.3, high: float = 5.0) -> vdm.ErrorCurve:
    """The exact errors of data N(0, ½²) in one dimension."""
    gammas = np.linspace(low, high, n)
    mean = 0.25 * np.exp(-gammas) / (1 + 0.25 * np.exp(-gammas))
    return vdm.ErrorCurve(gammas, mean, 0 * mean, 3 * mean**2)


def along(costs, nodes) -> float:
    return sum(costs[i, j] for i, j in itertools.pairwise(nodes))


@pytest.mark.parametrize("seed", range(200))
def test_the_program_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 10))
    costs = np.where(np.arange(n)[:, None] < np.arange(n), rng.exponential(size=(n, n)), np.inf)
    paths = shortest_paths(costs, n - 1)
    for k in range(1, n):
        inner = itertools.combinations(range(1, n - 1), k - 1)
        every = [along(costs, (0, *nodes, n - 1)) for nodes in inner]
        np.testing.assert_allclose(paths.cost[k, -1], min(every), rtol=1e-12)
        path = paths.path(k)
        assert (len(path), path[0], path[-1]) == (k + 1, 0, n - 1)
        np.testing.assert_allclose(along(costs, path), min(every), rtol=1e-12)


@pytest.mark.parametrize(
    ("steps", "nats"),
    [(4, 99.97463), (10, 15.72756), (100, 6.485690), (1000, 6.006237), (10000, 5.961011)],
)
def test_the_edges_of_an_even_grid_add_up_to_the_discrete_loss(steps, nats):
    """The numbers are those of the closed form, with γ linear from −13.3 to 5."""
    gammas = np.linspace(-13.3, 5.0, steps + 1)
    error = gaussian_curve(steps + 1).mean
    if steps > 1000:  # too many for a whole matrix: its neighbours, two at a time
        total = sum(edge_costs(gammas[i : i + 2], error[i : i + 2])[0, 1] for i in range(steps))
    else:
        total = np.trace(edge_costs(gammas, error), offset=1)
    np.testing.assert_allclose(total, nats, rtol=1e-6)


def test_the_best_grid_is_no_worse_than_any_named_one_and_better_with_more_steps():
    curve = gaussian_curve(401)
    costs = edge_costs(curve.gammas, curve.mean)
    paths = shortest_paths(costs, 40)
    best = paths.cost[1:, -1]
    assert np.all(np.diff(best) < 0)
    limit = 0.5 * np.trapezoid(curve.mean, curve.gammas)
    assert np.all(best > limit)
    random = np.random.default_rng(0)
    for steps in (2, 4, 8, 16, 40):
        nearest = [
            np.abs(
                curve.gammas[:, None]
                - np.array([float(s(i / steps)) for i in range(steps + 1)])
            ).argmin(0)
            for s in (vdm.FixedLinear(), vdm.Cosine(), vdm.BetaLinear(), vdm.Karras())
        ]
        by_chance = [
            np.r_[0, np.sort(random.choice(np.arange(1, 400), steps - 1, replace=False)), 400]
            for _ in range(20)
        ]
        for nodes in [*nearest, *by_chance]:
            assert best[steps - 1] <= along(costs, np.unique(nodes)) * (1 + 1e-12)


@pytest.mark.once
def test_the_best_grid_costs_what_the_evaluator_measures_on_it(key):
    curve, model = gaussian_curve(300), oracle_model()
    x = 0.5 * np.asarray(jax.random.normal(key, (4000, 1)))
    for steps in (4, 12):
        grid = best_grid(curve, steps)
        promised = shortest_paths(edge_costs(curve.gammas, curve.mean), steps).cost[steps, -1]
        got = vdm.evaluate(
            model.under(vdm.PiecewiseLinear(grid)),
            x,
            timesteps=steps,
            draws=8,
            batch_size=4000,
            key=key,
        )
        assert abs(got.nats.diffusion.mean - promised) < 5 * got.nats.diffusion.error
        even = vdm.evaluate(model, x, timesteps=steps, draws=8, batch_size=4000, key=key)
        least = even.nats.diffusion.mean - 5 * even.nats.diffusion.error
        assert got.nats.diffusion.mean < least


def test_the_excess_falls_as_one_over_the_steps():
    """(1/2K) (∫ √|f′(u)| du)² with f = ½ mmse and u the SNR: here for Gaussian data."""
    curve = gaussian_curve(2001, -6.0, 3.0)
    paths = shortest_paths(edge_costs(curve.gammas, curve.mean), 64)
    u = np.exp(-curve.gammas)
    mmse = 0.25 / (1 + 0.25 * u)
    slope = 0.5 * mmse**2
    law = 0.5 * np.trapezoid(np.sqrt(slope)[::-1], u[::-1]) ** 2
    limit = 0.5 * (np.log1p(0.25 * u[0]) - np.log1p(0.25 * u[-1]))
    excess = paths.cost[64, -1] - limit
    np.testing.assert_allclose(64 * excess, law, rtol=0.05)


def test_there_is_no_step_that_does_not_go_down():
    costs = edge_costs(np.array([-1.0, 0.0, 2.0]), np.ones(3))
    assert np.all(np.isinf(costs[np.tril_indices(3)]))
    assert np.all(costs[np.triu_indices(3, 1)] > 0)


def test_bad_questions_raise():
    costs = edge_costs(np.linspace(-1, 1, 4), np.ones(4))
    with pytest.raises(ValueError, match="rise from each to the next"):
        edge_costs(np.array([0.0, 2.0, 1.0]), np.ones(3))
    with pytest.raises(ValueError, match="got most = 0"):
        shortest_paths(costs, 0)
    paths = shortest_paths(costs, 5)
    for edges in (-1, 0, 4, 5, 6):
        with pytest.raises(ValueError, match=f"no path of {edges} edges over 4 nodes"):
            paths.path(edges)
    assert list(paths.path(3)) == [0, 1, 2, 3]


def test_the_chosen_grid_is_a_schedule_for_samples_too(key):
    grid = best_grid(gaussian_curve(100), 5)
    model = oracle_model().under(vdm.PiecewiseLinear(grid))
    np.testing.assert_allclose(
        [float(model.schedule(i / 5)) for i in range(6)], grid, rtol=1e-5
    )
    assert jnp.isfinite(vdm.sample(model, steps=5, key=key)).all()
