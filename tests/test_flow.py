"""Flows: Jacobians, inverses, densities that add up to one; and codes by local bits-back."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vdmlite import codec
from vdmlite.codec.vdm import double_precision, in_double
from vdmlite.neighbours import flow as flows
from vdmlite.neighbours import local_bits_back

pytestmark = pytest.mark.once

SHAPE, LEVELS = (2, 3, 1), 5
BENDS = [flows.Affine(), flows.MixtureOfLogistics(3)]
each_bend = pytest.mark.parametrize("bend", BENDS, ids=lambda b: type(b).__name__)


def shaken(module, key, size=0.2):
    """The same module with other weights: at the start most are zero."""
    leaves, tree = jax.tree.flatten(module)
    keys = jax.random.split(key, len(leaves))
    moved = [
        a + size * jax.random.normal(k, a.shape) if eqx.is_inexact_array(a) else a
        for a, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


def of_points(bend, number=4, key=0):
    make = partial(flows.PointConditioner, width=8)
    masks = flows.point_masks(2, number)
    couplings = flows.couplings(masks, make, bend, key=jax.random.key(key))
    return shaken(flows.Flow((), couplings, ()), jax.random.key(key + 1))


def of_images(number, key=0, context=0, before=(), after=(), bend=BENDS[1]):
    make = partial(flows.ConvConditioner, width=8, context=context)
    masks = flows.image_masks(SHAPE, number)
    couplings = flows.couplings(masks, make, bend, key=jax.random.key(key))
    return shaken(flows.Flow(before, couplings, after), jax.random.key(key), 0.05)


class Context(eqx.Module):
    """Two channels that say what the image is."""

    def __call__(self, x):
        return jnp.concatenate([x / 4 - 0.5, x % 2], -1)


def images(n):
    return np.random.default_rng(0).integers(0, LEVELS, (n, *SHAPE))


def filled(x):
    """Images with a number from 0 to 1 added to each pixel."""
    return x + np.random.default_rng(1).random(x.shape)


def pixel_flow():
    return of_images(4, before=(flows.FromCells(LEVELS),))


def dequantisers():
    inner = of_images(2, key=3, context=2, after=(flows.ToUnit(),))
    return [flows.UniformDequantiser(), flows.VariationalDequantiser(inner, Context())]


def both(flow, points, context=None):
    """The determinant that the flow says, and that of its whole Jacobian."""

    def one(x):
        z, log_det = flow.forward(x, context)
        jacobian = jax.jacfwd(lambda v: flow.forward(v.reshape(x.shape), context)[0].ravel())
        return z, log_det, jnp.linalg.slogdet(jacobian(x.ravel()))[1]

    return jax.jit(jax.vmap(one))(points)


@each_bend
def test_the_determinant_is_that_of_the_whole_jacobian(bend):
    flow, points = of_points(bend), 2 * jax.random.normal(jax.random.key(2), (50, 2))
    z, said, whole = both(flow, points)
    np.testing.assert_allclose(said, whole, atol=2e-4)
    np.testing.assert_allclose(jax.jit(jax.vmap(flow.inverse))(z), points, atol=2e-4)
    assert np.abs(z - points).max() > 0.1


def test_so_it_is_for_images_with_attention_and_a_context():
    x = filled(images(5))
    flow = pixel_flow()
    z, said, whole = both(flow, jnp.asarray(x, float))
    np.testing.assert_allclose(said, whole, atol=3e-3)
    np.testing.assert_allclose(jax.jit(jax.vmap(flow.inverse))(z), x, atol=1e-4)
    inner, context = dequantisers()[1].flow, Context()(images(1)[0])
    eps = jax.random.normal(jax.random.key(0), (5, *SHAPE))
    u, said, whole = both(inner, eps, context)
    np.testing.assert_allclose(said, whole, atol=3e-3)
    assert 0 < u.min() < u.max() < 1
    other = jax.jit(jax.vmap(lambda e: inner.forward(e, 1 - context)[0]))(eps)
    assert np.abs(other - u).max() > 1e-4


@each_bend
def test_the_density_of_the_plane_adds_up_to_one(bend):
    flow, line = of_points(bend, number=2), np.linspace(-25, 25, 401)
    grid = jnp.stack(jnp.meshgrid(*[jnp.asarray(line, float)] * 2, indexing="ij"), -1)
    density = np.exp(jax.jit(jax.vmap(jax.vmap(flow.log_prob)))(grid))
    assert np.trapezoid(np.trapezoid(density, line), line) == pytest.approx(1, abs=2e-3)


def test_layers_in_turn_are_the_flow():
    flow = pixel_flow()
    x = jnp.asarray(images(1)[0] + 0.5, float)
    z, log_det = flow.forward(x)
    total = 0.0
    for layer in flow.layers():
        x, log_slope = layer.forward(x, None)
        assert not np.any(np.asarray(log_slope)[~np.asarray(layer.changed(SHAPE))])
        total += log_slope.sum()
    np.testing.assert_allclose(x, z, atol=1e-5)
    assert float(total) == pytest.approx(float(log_det), abs=1e-4)
    assert len(flow) == 4


def test_at_the_start_each_coupling_gives_mean_0_and_variance_1():
    x = jnp.asarray(filled(images(200)), float)
    flow = flows.with_data(pixel_flow(), x)
    z = jax.jit(jax.vmap(lambda x: flow.forward(x)[0]))(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(0), 1, atol=5e-3)


def test_so_do_both_flows_of_a_model_of_images(key):
    bend = flows.MixtureOfLogistics(2)
    model = flows.image_flow(
        (4, 4, 1), 5, bend=bend, variational=True, number=2, width=8, key=key
    )
    xs = np.random.default_rng(0).integers(0, 5, (200, 4, 4, 1)).astype(np.uint8)
    model = flows.with_images(model, xs, key=key)

    @jax.jit
    @jax.vmap
    def latent(x, key):
        return model.flow.forward(x + model.dequantiser.sample(x, key=key)[0])[0]

    z = latent(jnp.asarray(xs), jax.random.split(key, 200))
    np.testing.assert_allclose(z.mean(0), 0, atol=0.3)
    np.testing.assert_allclose(z.std(0), 1, atol=0.3)


@pytest.mark.parametrize("y", [-30.0, -3.0, 0.1, 8.0, 40.0])
def test_an_inverse_is_bisected_to_the_last_digits(y):
    with double_precision():
        bend = flows.MixtureOfLogistics(4)
        numbers = jnp.asarray(np.random.default_rng(0).normal(size=bend.numbers))
        x = bend.inverse(jnp.asarray(y, float), numbers)
        found, log_slope = bend.forward(x, numbers)
        assert found == pytest.approx(y, abs=1e-10 * np.exp(float(log_slope)) + 1e-10)


def exact_bits(flow, x):
    """−log₂ P(x) of two pixels, by quadrature over their cell."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    u = (nodes + 1) / 2
    grid = np.stack(np.meshgrid(u, u, indexing="ij"), -1).reshape(-1, 2)
    both = np.multiply.outer(weights / 2, weights / 2).ravel()
    density = np.exp(jax.jit(jax.vmap(flow.log_prob))(jnp.asarray(x + grid, float)))
    return -np.log2(both @ density)


def test_dequantised_bits_are_no_fewer_than_the_exact_ones():
    couplings = of_points(BENDS[1], number=2).couplings
    flow = flows.Flow((flows.FromCells(LEVELS),), couplings, ())
    model = flows.ImageFlow(flow, dequantisers()[0])
    x = np.array([1, 3])
    keys = jax.random.split(jax.random.key(0), 4000)
    loss = jax.jit(jax.vmap(lambda key: flows.dequantised_loss(model, x, key=key)))(keys)
    bits, error = loss.mean() / np.log(2), loss.std() / np.log(2) / np.sqrt(len(loss))
    exact = exact_bits(flow, x)
    assert bits > exact - 4 * error
    assert bits < exact + 1
    assert -np.log2(np.mean(np.exp(-loss))) == pytest.approx(exact, abs=0.05)


def ideal_bits(model, x, values):
    """−log₂ p(y_0) + log₂ q(u | x) of what was coded."""
    with double_precision():
        y_0 = jnp.asarray(values["y0"])
        flow, dequantiser = in_double(model)
        nats = -jax.vmap(flow.log_prob)(y_0)
        nats += jax.vmap(dequantiser.log_prob)(y_0 - x, jnp.asarray(x))
        return float(nats.sum() / np.log(2))


@pytest.mark.parametrize("which", [0, 1], ids=["uniform", "variational"])
@pytest.mark.parametrize(
    "moves_of", [local_bits_back.compositional_moves, local_bits_back.black_box_moves]
)
def test_images_come_back_for_the_flows_own_bits(which, moves_of):
    dequantiser, lanes, xs = dequantisers()[which], 3, images(24)
    # As for any trained flow z is near N(0, I): what lies 8 σ out is coded by other means.
    flow = flows.with_data(pixel_flow(), jnp.asarray(filled(images(200)), float))
    model = flows.ImageFlow(flow, dequantiser)
    moves = moves_of(model, SHAPE, lanes=lanes, sigma=2.0**-12)
    stack, on, ideal = codec.Stack(lanes), np.ones(lanes, bool), 0.0
    rounds = xs.reshape(-1, lanes, *SHAPE)
    for x in rounds:
        ideal += ideal_bits(model, x, codec.encode(moves, stack, x, on))
    net = stack.heights.sum()
    back = np.stack([codec.decode(moves, stack, on) for _ in rounds][::-1])
    assert np.array_equal(back, rounds)
    assert stack.is_restored
    assert net == pytest.approx(ideal, rel=0.01)
