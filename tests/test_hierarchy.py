"""The hierarchical VAE and its codes: exact chains, its bound in both forms, both orders."""

from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdmlite import Gaussian, codec
from vdmlite.course import chains
from vdmlite.neighbours import bit_swap, hierarchy
from vdmlite.neighbours.logistic import DiscretisedLogistic, Logistic, log_mass

pytestmark = pytest.mark.once

DOWN = chains.Chain(*map(np.array, ([0.8, 1.1, -0.6], [0.3, -0.2, 0.1], [0.5, 0.7, 0.9])))
UP = chains.Chain(*map(np.array, ([0.5, -0.4, 0.3], [0.1, 0.2, -0.3], [0.8, 0.6, 1.1])))
X = 0.7


# Logistics


def logistic(mean, scale):
    return Logistic(jnp.asarray(mean, float), jnp.asarray(scale, float))


def test_a_density_is_the_slope_of_the_masses():
    law, x = logistic([0.3, -1.0], [0.2, 2.0]), np.linspace(-40, 40, 400_001)
    for mean, scale in zip(law.mean, law.scale, strict=True):
        density = np.exp(jax.vmap(logistic(mean, scale).log_prob)(jnp.asarray(x)))
        assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-4)
        inside = (x > -0.5) & (x < 1.2)
        mass = np.exp(log_mass(logistic(mean, scale), jnp.asarray(-0.5), jnp.asarray(1.2)))
        assert np.trapezoid(density[inside], x[inside]) == pytest.approx(mass, abs=2e-4)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-np.inf, np.inf, 0.0),
        (-np.inf, 0.0, -np.log(2)),
        (0.0, np.inf, -np.log(2)),
        (60.0, np.inf, -60.0),  # log sigmoid(−60)
        (60.0, 61.0, -60 + np.log1p(-np.exp(-1))),
        (-61.0, -60.0, -60 + np.log1p(-np.exp(-1))),
        (1e-3, 1.1e-3, np.log(1e-4 / 4)),
    ],
)
def test_a_mass_keeps_its_digits(low, high, expected):
    found = log_mass(logistic(0.0, 1.0), jnp.asarray(low), jnp.asarray(high))
    assert found == pytest.approx(expected, rel=2e-4, abs=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_have_masses_that_add_up_to_one(levels):
    law = DiscretisedLogistic(
        logistic([[0.3, -3.0], [5.0, 0.9]], [[0.1, 0.5], [0.01, 3.0]]), levels
    )
    masses = law.log_masses()
    assert masses.shape == (2, 2, levels)
    np.testing.assert_allclose(np.exp(masses).sum(-1), 1, rtol=1e-5)
    x = np.array([[0, levels - 1], [1, levels // 2]])
    expected = np.take_along_axis(np.asarray(masses), x[..., None], -1).sum()
    assert law.log_prob(x) == pytest.approx(expected, rel=1e-5)


def test_levels_are_drawn_as_often_as_they_are_likely():
    law = DiscretisedLogistic(logistic(0.4, 0.3), 5)
    n = 20_000
    drawn = jax.vmap(lambda key: law.sample(key=key))(jax.random.split(jax.random.key(0), n))
    p = np.exp(law.log_masses())
    z = (np.bincount(drawn, minlength=5) / n - p) / np.sqrt(p * (1 - p) / n)
    assert np.abs(z).max() < 4


def test_the_outermost_levels_have_a_gradient():
    x = np.array([0, 7])

    def loss(mean):
        return DiscretisedLogistic(Logistic(mean, jnp.ones(2)), 8).log_prob(x)

    slope = jax.grad(loss)(jnp.zeros(2))
    assert np.isfinite(slope).all()
    assert slope[0] < 0 < slope[1]


# The bound


class Line(eqx.Module):
    """u ↦ N(slope u + offset, std²)."""

    slope: float
    offset: float
    std: float

    def __init__(self, slope, offset, std):
        self.slope, self.offset, self.std = float(slope), float(offset), float(std)

    def __call__(self, u):
        return Gaussian(self.slope * u + self.offset, jnp.asarray(self.std))


def linear(up, down):
    climb, fall = (tuple(Line(*n) for n in zip(*c, strict=True)) for c in (up, down))
    return hierarchy.Hierarchy(jnp.asarray, climb, fall, Gaussian(jnp.zeros(()), jnp.ones(())))


def draws(model, n, key=0):
    keys = jax.random.split(jax.random.key(key), n)
    return jax.jit(jax.vmap(lambda key: hierarchy.terms(model, jnp.asarray(X), key=key)))(keys)


def test_a_linear_chain_has_its_known_bound():
    """Term by term the sum is −log p(x, z) + log q(z | x); its mean is the negative ELBO."""
    found = draws(linear(UP, DOWN), 20_000)
    total = np.asarray(found.data + found.latents.sum(1))
    np.testing.assert_allclose(total, jax.vmap(lambda t: t.total)(found), rtol=1e-5)
    error = total.std(ddof=1) / np.sqrt(len(total))
    assert abs(total.mean() + chains.elbo(X, UP, DOWN)) < 4 * error
    assert error < 0.1


def test_with_the_exact_posterior_every_draw_is_the_evidence():
    found = draws(linear(chains.exact_encoder(DOWN), DOWN), 100)
    totals = np.asarray(found.data + found.latents.sum(1))
    np.testing.assert_allclose(totals, -chains.evidence(X, DOWN), rtol=1e-4)


def test_more_draws_bring_the_bound_nearer_to_the_evidence():
    model = linear(UP, DOWN)
    means = []
    for number in (1, 8, 64):
        bound = partial(hierarchy.importance_bound, model, jnp.asarray(X), draws=number)
        keys = jax.random.split(jax.random.key(1), 1000)
        means.append(
            float(jax.jit(jax.vmap(lambda key, bound=bound: bound(key=key)))(keys).mean())
        )
    assert means[0] > means[1] > means[2] > -chains.evidence(X, DOWN) - 0.02
    assert means[0] == pytest.approx(-chains.elbo(X, UP, DOWN), abs=0.3)
    assert means[2] == pytest.approx(-chains.evidence(X, DOWN), abs=0.1)


@cache
def small(latents=3, key=0, shape=(2, 3, 1), size=4):
    return hierarchy.hierarchy(
        shape, 5, latents=latents, size=size, width=16, key=jax.random.key(key)
    )


def images(n, shape=(2, 3, 1)):
    return np.random.default_rng(0).integers(0, 5, (n, *shape)).astype(np.uint8)


def test_a_latent_costs_no_less_than_what_is_free():
    model, batch, key = small(), images(8), jax.random.key(3)
    training_loss = eqx.filter_jit(hierarchy.training_loss)
    loss, mean = training_loss(model, batch, free_nats=0.0, key=key)
    assert mean.latents.shape == (3,)
    floor = float(mean.latents.max()) + 1
    free, same = training_loss(model, batch, free_nats=floor, key=key)
    assert free == pytest.approx(float(same.data) + 3 * floor, rel=1e-5)
    assert loss == pytest.approx(
        float(mean.data + jnp.maximum(mean.latents, 0).sum()), rel=1e-5
    )
    # What is free has no gradient.
    grad = eqx.filter_grad(lambda m: training_loss(m, batch, free_nats=floor, key=key)[0])(
        model
    )
    assert not np.any(grad.down[2].net.layers[0].weight)
    assert np.any(grad.down[0].net.layers[0].weight)


def test_samples_are_images():
    keys = jax.random.split(jax.random.key(0), 20)
    model = small()
    found = jax.jit(jax.vmap(lambda key: hierarchy.sample(model, key=key)))(keys)
    assert found.shape == (20, 2, 3, 1)
    assert 0 <= found.min() < found.max() <= 4


def test_what_is_no_hierarchy():
    model = small(2)
    with pytest.raises(ValueError, match="2 up and 1 down"):
        hierarchy.Hierarchy(model.embed, model.up, model.down[:1], model.prior)
    with pytest.raises(ValueError, match="latents must be at least 1, got 0"):
        small(0)


# The codes


def test_grids_cover_what_both_chains_draw():
    model = small()
    bottom, _, top = bit_swap.latent_grids(model, images(50), cells=32, key=jax.random.key(0))
    assert bottom.edges.shape == top.edges.shape == (4, 31)
    assert bottom.centres.shape == (4, 32)
    widths = np.diff(bottom.edges, axis=1)
    np.testing.assert_allclose(widths, np.tile(widths[:, :1], 30), rtol=1e-6)
    masses = np.diff(1 / (1 + np.exp(-top.edges)), axis=1)
    np.testing.assert_allclose(masses, 1 / 32, rtol=1e-9)


def coded(model, xs, order, lanes, cells=128):
    grids = bit_swap.latent_grids(model, xs, cells=cells, key=jax.random.key(1))
    moves = bit_swap.hierarchy_moves(model, grids, lanes=lanes, order=order)
    stack, on = codec.Stack(lanes), np.ones(lanes, bool)
    rounds = xs.reshape(-1, lanes, *xs.shape[1:])
    for batch in rounds:
        codec.encode(moves, stack, batch, on)
    net, loan = stack.heights.sum(), codec.initial_bits(stack.ledger).mean()
    back = np.stack([codec.decode(moves, stack, on) for _ in rounds][::-1])
    assert np.array_equal(back, rounds)
    assert stack.is_restored
    return net, loan


def test_both_orders_code_for_the_bound():
    """And Bit-Swap's borrows less than half of what BB-ANS's does."""
    model, xs = small(4), images(100)
    keys = jax.random.split(jax.random.key(9), (12, len(xs)))
    total = jax.vmap(
        jax.vmap(lambda x, key: hierarchy.terms(model, x, key=key).total), (None, 0)
    )
    drawn = np.asarray(jax.jit(total)(xs, keys)) / np.log(2)
    path = drawn.sum(1).std(ddof=1)  # of all images, from one draw of latents to another
    loans = []
    for order in (codec.bb_ans, codec.bit_swap):
        net, loan = coded(model, xs, order, 5)
        assert abs(net - drawn.sum(1).mean()) < 5 * path + 0.005 * net
        loans.append(loan)
    assert loans[1] < loans[0] / 2


def test_a_single_latent_has_one_order():
    model, xs = small(1), images(20)
    assert coded(model, xs, codec.bb_ans, 1) == coded(model, xs, codec.bit_swap, 1)


def test_every_latent_needs_a_grid():
    model = small(2)
    grids = bit_swap.latent_grids(model, images(10), key=jax.random.key(0))
    with pytest.raises(ValueError, match="2 latents need as many grids, got 1"):
        bit_swap.hierarchy_moves(model, grids[:1], lanes=1, order=codec.bit_swap)
