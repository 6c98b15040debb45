"""Data: toys whose density is true, images split for good, batches that lose nothing."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, agrees, close, mixture, over
from scipy import integrate, stats
from sklearn.datasets import load_digits

import vdmlite as vdm
from vdmlite import data

TOYS = {
    "ring": data.ring,
    "moons": data.moons,
    "swiss_roll": data.swiss_roll,
    "pinwheel": data.pinwheel,
}


def test_all_toys_are_tested():
    functions = [f for f in vars(data).values() if inspect.isfunction(f)]
    makers = {f.__name__ for f in functions if f.__annotations__.get("return") is vdm.Mixture}
    assert {name for name in makers if not name.startswith("_")} == set(TOYS)


@over(TOYS)
def test_a_toys_density_and_entropy_are_true(make, key):
    toy = make()
    step = float(toy.stds.min()) * 0.7
    line = jnp.arange(-2.6, 2.6, step)
    rows = jax.jit(lambda a: jax.lax.map(lambda u: jnp.exp(jax.vmap(toy.log_prob)(u)).sum(), a))
    grid = jnp.stack(jnp.meshgrid(line, line), -1)
    close(rows(grid).sum() * step**2, 1.0, ulps=max(128, 1e-7 / EPS))
    x = data.sample(toy, 4000, key=key)
    assert x.shape == (4000, 2)
    assert isinstance(x, np.ndarray)
    agrees(-np.asarray(jax.jit(jax.vmap(toy.log_prob))(jnp.asarray(x))), data.entropy(toy))
    assert 0.3 < np.abs(x).max(axis=0).min() < 2.6
    assert np.array_equal(x[:9], data.sample(toy, 4000, key=key)[:9])


def test_entropy_in_one_and_two_dimensions():
    one = vdm.Mixture(jnp.ones(1), jnp.zeros((1, 1)), jnp.full(1, 0.5))
    np.testing.assert_allclose(data.entropy(one), stats.norm(0, 0.5).entropy(), rtol=1e-9)
    two = vdm.Mixture(jnp.ones(1), jnp.zeros((1, 2)), jnp.full(1, 0.5))
    np.testing.assert_allclose(data.entropy(two), 2 * stats.norm(0, 0.5).entropy(), rtol=1e-9)
    apart = vdm.Mixture(jnp.full(2, 0.5), jnp.array([[-9.0], [9.0]]), jnp.array([0.5, 0.5]))
    expected = stats.norm(0, 0.5).entropy() + np.log(2)
    np.testing.assert_allclose(data.entropy(apart), expected, rtol=1e-9)
    three = vdm.Mixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.ones(1))
    with pytest.raises(ValueError, match=r"shape \(1,\) or \(2,\), got \(3,\)"):
        data.entropy(three)


def hashes(images):
    return {image.tobytes() for image in images}


def test_a_label_is_that_of_its_digit():
    images, (pixels, named) = data.digits(), load_digits(return_X_y=True)
    flat = [row.astype(np.uint8).tobytes() for row in pixels]
    label_of = dict(zip(flat, named, strict=True))
    for some, labels in zip((images.train, images.test), data.digit_labels(), strict=True):
        assert [label_of[image.tobytes()] for image in some] == labels.tolist()


def test_digits():
    train, test, levels = data.digits()
    assert train.shape == (1437, 8, 8, 1)
    assert test.shape == (360, 8, 8, 1)
    assert levels == 17
    assert train.dtype == np.uint8
    assert {train.min(), test.min()} == {0}
    assert {train.max(), test.max()} == {16}
    assert len(hashes(train)) + len(hashes(test)) == len(hashes(np.concatenate([train, test])))
    again = data.digits()
    assert np.array_equal(train, again.train)
    assert np.array_equal(test, again.test)


@pytest.mark.once
def test_mnist():
    train, test, levels = data.mnist()
    assert train.shape == (4500, 28, 28, 1)
    assert test.shape == (500, 28, 28, 1)
    assert levels == 256
    assert train.dtype == test.dtype == np.uint8
    assert train.max() == test.max() == 255
    assert not hashes(train) & hashes(test)
    assert 0.75 < (train == 0).mean() < 0.85  # what is not ink is black
    assert np.array_equal(test, data.mnist().test)


def test_patches():
    train, test, levels = data.patches()
    assert train.shape == (817, 32, 32, 3)
    assert test.shape == (126, 32, 32, 3)
    assert levels == 256
    assert train.dtype == test.dtype == np.uint8
    assert not hashes(train) & hashes(test)
    assert len(hashes(train)) > 800  # some of the photographs' borders are all black
    assert np.array_equal(train, data.patches().train)
    # Neighbours in the photograph are neighbours in the list: the cut scrambles no pixels.
    inner = np.abs(np.diff(train[0].astype(int), axis=1)).mean()
    seam = np.abs(train[0][:, -1].astype(int) - train[1][:, 0].astype(int)).mean()
    assert seam < 5 * inner + 5


@pytest.mark.parametrize(("n", "size"), [(12, 4), (10, 4), (5, 5)])
def test_batches_show_each_example_once_an_epoch(n, size, key):
    rows, per_epoch = np.arange(n)[:, None] * np.ones((1, 3), int), n // size
    stream = data.batches(rows, size, key=key)
    orders = set()
    for _ in range(4):
        epoch = np.concatenate(list(itertools.islice(stream, per_epoch)))
        assert epoch.shape == (per_epoch * size, 3)
        assert len(set(epoch[:, 0])) == per_epoch * size
        orders.add(tuple(epoch[:, 0]))
    assert len(orders) == 4  # every epoch has an order of its own


def test_batches_are_those_of_their_key(key):
    x = np.arange(20.0)[:, None]

    def first(key):
        return next(data.batches(x, 20, key=key)).ravel()

    assert np.array_equal(first(key), first(jax.random.key(0)))
    assert np.array_equal(first(key), first(jax.random.PRNGKey(0)))
    assert not np.array_equal(first(key), first(jax.random.key(1)))
    assert np.array_equal(x, np.arange(20.0)[:, None])


def test_batches_refuse_what_they_can_not_serve(key):
    x = np.zeros((4, 2))
    for size, told in ((0, "at least 1, got 0"), (5, r"1 … 4 \(the data\), got 5")):
        with pytest.raises(ValueError, match=told):
            data.batches(x, size, key=key)  # at once, not at the first batch
    x[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"holds 1 NaN, the first at index \[2, 1\]"):
        data.batches(x, 2, key=key)


def test_sample_draws_from_the_mixture(key):
    agrees(data.sample(mixture(), 4000, key=key), [0.4 * -0.8 + 0.35 * 0.6 + 0.25 * 0.4, 0.03])


def places_in_cell(images, levels, key):
    """Where in its cell each point lies: 0 at the lower edge, 1 at the upper."""
    points = data.dequantise(images, levels, key=key)
    assert isinstance(points, np.ndarray)
    assert points.shape == images.shape
    assert points.dtype == jnp.result_type(float)
    return (points.astype(np.float64) + 1) * levels / 2 - images


@pytest.mark.parametrize(("levels", "dtype"), [(2, np.int32), (17, np.uint8), (256, np.uint8)])
def test_dequantised_points_are_uniform_in_their_own_cells(levels, dtype, key):
    images = np.arange(levels, dtype=dtype).repeat(4096 // levels).reshape(-1, 2, 1)
    places = places_in_cell(images, levels, key)
    rounding = levels * EPS  # a point near an edge may be rounded onto it
    assert -rounding <= places.min() < 0.01
    assert 0.99 < places.max() <= 1 + rounding
    for power in (1, 2, 3):
        agrees(places.ravel() ** power, 1 / (1 + power))
    agrees((places[:, 0] - 0.5) * (places[:, 1] - 0.5), 0.0)  # each pixel by itself
    assert np.array_equal(places, places_in_cell(images, levels, key))
    assert not np.array_equal(places, places_in_cell(images, levels, jax.random.key(1)))


@pytest.mark.parametrize(
    "law",
    [stats.triang(0.3, -1, 2), stats.norm(0.1, 0.4)],
    ids=["triangular", "gaussian"],
)
def test_a_density_of_dequantised_levels_bounds_their_probability(law, key):
    """E_u[−log p] + log(V/2), by quadrature, is the mean over draws, and above −log P(k)."""
    gaps = []
    for levels in (4, 8, 16):
        edges = np.linspace(-1, 1, levels + 1)
        truth = -np.log(np.diff(law.cdf(edges)))
        bound = np.array(
            [
                integrate.quad(lambda u: -law.logpdf(u), *cell)[0] * levels / 2
                for cell in itertools.pairwise(edges)
            ]
        )
        bound += np.log(levels / 2)
        assert np.all(bound >= truth - 1e-9)
        gaps.append(np.exp(-truth) @ (bound - truth))
        images = np.broadcast_to(np.arange(levels), (2000, levels))
        points = data.dequantise(images, levels, key=key).astype(np.float64)
        agrees(np.log(levels / 2) - law.logpdf(points), bound)
    assert gaps[0] > 1e-3
    assert gaps[2] < 0.5 * gaps[1] < 0.25 * gaps[0]  # finer cells have flatter densities
