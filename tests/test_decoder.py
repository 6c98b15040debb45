"""Decoders: a law over data, the way there and back, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import DECODERS, EPS, agrees, close, over
from scipy import stats

from vdmlite import GaussianDecoder, LevelDecoder
from vdmlite.decoder import level_values

pytestmark = pytest.mark.quick

Z = jnp.array([[0.1, -0.7], [0.9, 0.0]])


def scale(gamma):
    return 1 / np.sqrt(1 + np.exp(gamma))


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_levels_are_centres_of_equal_cells(levels):
    expected = np.linspace(-1, 1, 2 * levels + 1)[1::2]  # 256: ±1/256, ±3/256, … ±255/256
    close(level_values(levels), expected)


@pytest.mark.parametrize("gamma", [-6.0, -1.0, 2.0])
def test_level_log_prob_is_its_definition_and_normalised(gamma):
    decoder, values = LevelDecoder(5), -1 + (2 * np.arange(5) + 1) / 5
    gap = np.asarray(Z, np.float64)[..., None] / scale(gamma) - values
    p = np.exp(-0.5 * np.exp(-gamma) * (gap**2 - (gap**2).min(-1, keepdims=True)))
    log_p = np.log(p / p.sum(-1, keepdims=True))
    size = np.abs(log_p).max()
    data = np.array([[0, 4], [2, 1]])
    expected = np.take_along_axis(log_p, data[..., None], -1).sum()
    close(decoder.log_prob(jnp.asarray(data), Z, gamma), expected, scale=size)
    pixel = jax.vmap(lambda k: decoder.log_prob(k[None], Z[0, :1], gamma))(jnp.arange(5))
    close(jnp.exp(pixel).sum(), 1.0, scale=size)


def log_softmax_of_levels(z, gamma, levels):
    """Each level's log-probability by definition, in float64; complex z and γ will do.

    The logit of every level k less that of level d has the difference of squares
    (g − v_k)² − (g − v_d)² = (v_d − v_k)(2g − v_k − v_d), which keeps its digits.
    """
    values = 2 * (np.arange(levels) + 0.5) / levels - 1
    guess = (np.asarray(z) * np.sqrt(1 + np.exp(gamma)))[..., None, None]
    gaps = (values[:, None] - values) * (2 * guess - (values[:, None] + values))
    odds = -0.5 * np.exp(-gamma) * gaps
    most = odds.real.max(-1, keepdims=True)
    return -(most[..., 0] + np.log(np.exp(odds - most).sum(-1)))


def slopes_of_levels(z, gamma, levels):
    """The derivatives by z and by γ: a complex step is autodiff, exact in any precision."""
    step = 1e-200
    by_z = log_softmax_of_levels(z + 1j * step, gamma, levels).imag / step
    by_gamma = log_softmax_of_levels(z + 0j, gamma + 1j * step, levels).imag / step
    return by_z, by_gamma


# Within the grid, at its middle (a tie of two levels if their number is even), just past its
# ends, and far outside.
PLACES = np.array([0.0, 0.1, -0.7, 0.993, -1.05, 1.3, 4.0, -30.0, 1000.0])


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("gamma", [-13.3, -8.0, 0.0])
def test_level_log_prob_and_its_slopes_are_those_of_the_log_softmax(levels, gamma):
    dtype = jnp.result_type(float)
    z, gamma = PLACES.astype(dtype), np.asarray(gamma, dtype)
    decoder, some = LevelDecoder(levels), np.unique([0, 1, levels // 2, levels - 1])

    @jax.jit
    def look(z, gamma):
        def one(z, k):
            ask = jax.value_and_grad(lambda z, g: decoder.log_prob(k, z, g), (0, 1))
            value, slopes = ask(z, gamma)
            return jnp.stack([value, *slopes])

        return jax.vmap(lambda z: jax.vmap(lambda k: one(z, k))(jnp.asarray(some)))(z)

    got = np.asarray(look(jnp.asarray(z), jnp.asarray(gamma)), np.float64)
    assert np.isfinite(got).all()

    def expected(z):
        both = (
            log_softmax_of_levels(z, float(gamma), levels),
            *slopes_of_levels(z, float(gamma), levels),
        )
        return np.stack(both, -1)[:, some]

    z = z.astype(np.float64)
    want = expected(z)
    # z_0/α_0 is known to a few roundings of its size, or of 1 near the grid's middle: what
    # these are worth is added to the roundings of the result.
    move = 8 * EPS * (1 + np.abs(z))
    worth = np.abs(expected(z + move) - want) + np.abs(expected(z - move) - want)
    off = np.abs(got - want)
    assert np.all(off <= worth + 64 * EPS * (1 + np.abs(want))), (off / (worth + EPS)).max()
    if levels == 17:  # all levels together are certain
        whole = jax.vmap(
            lambda z: jax.vmap(lambda k: decoder.log_prob(k, z, gamma))(jnp.arange(17))
        )
        close(jnp.exp(whole(jnp.asarray(z, dtype))).sum(-1), np.ones(len(z)), ulps=1024)


@pytest.mark.parametrize("gamma", [-6.0, 2.0])
def test_gaussian_log_prob_is_its_definition(gamma):
    data, mean = np.array([[0.2, -0.5], [1.0, 0.1]]), np.asarray(Z) / scale(gamma)
    expected = stats.norm.logpdf(data, mean, np.exp(gamma / 2)).sum()
    got = GaussianDecoder().log_prob(jnp.asarray(data, jnp.result_type(float)), Z, gamma)
    close(got, expected, scale=np.exp(-gamma))


@over(DECODERS, "entry")
@pytest.mark.parametrize("gamma", [-13.3, -8.0])
def test_mode_inverts_embed_at_low_noise(entry, gamma):
    make, data = entry
    decoder = make()
    x = decoder.embed(data)
    assert x.dtype == jnp.result_type(float)
    noise = jnp.linspace(-1, 1, 6).reshape(2, 3)
    z = scale(gamma) * x + 1e-4 * noise
    back = decoder.mode(z, gamma)
    assert back.dtype.kind == data.dtype.kind
    np.testing.assert_allclose(back, data, atol=2e-4)
    # The mode is where log_prob is largest: any other data is less likely.
    best = decoder.log_prob(back, z, gamma)
    assert best > decoder.log_prob(jnp.asarray(data).at[0, 0].add(1), z, gamma)
    assert best > decoder.log_prob(jnp.asarray(data).at[0, 1].add(-1), z, gamma)


def test_samples_follow_log_prob(key):
    keys = jax.random.split(key, 4000)
    levels = LevelDecoder(3)
    drawn = np.asarray(jax.vmap(lambda k: levels.sample(Z, 0.0, key=k))(keys))
    pixels = jax.vmap(lambda k: jax.vmap(lambda z: levels.log_prob(k, z, 0.0))(Z.ravel()))
    p = np.exp(np.asarray(pixels(jnp.arange(3)))).T.reshape(2, 2, 3)
    agrees(drawn[..., None] == np.arange(3), p)
    drawn = np.asarray(jax.vmap(lambda k: GaussianDecoder().sample(Z, 0.0, key=k))(keys))
    mean = np.asarray(Z) / scale(0.0)
    agrees(drawn, mean)
    agrees((drawn - mean) ** 2, 1.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16])
def test_levels_of_any_integer_type(dtype):
    decoder, data = LevelDecoder(200), np.array([0, 150, 199], dtype)
    decoder.check(data)
    x = decoder.embed(data)
    close(x, (2 * data.astype(float) + 1) / 200 - 1)
    assert np.array_equal(decoder.mode(x, -20.0), data)
    assert decoder.log_prob(jnp.asarray(data), x, -20.0) > -1e-3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([0.5, 1.0]), "integers 0 … 4, got data of type float"),
        (np.array([True, False]), "got data of type bool"),
        (np.array([0, -1, 3]), "must lie in 0 … 4, got values from -1 to 3"),
        (np.array([[2, 5]]), "must lie in 0 … 4, got values from 2 to 5"),
    ],
)
def test_what_are_no_levels_raises_with_values(data, message):
    for values in (data, jnp.asarray(data, jnp.result_type(data))):
        with pytest.raises(ValueError, match=message):
            LevelDecoder(5).check(values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array([1, 2]), "real numbers, got data of type int"),
        (np.array([0.0, np.nan, np.nan]), "finite, got 2 such values as nan"),
        (np.array([-np.inf]), "finite, got 1 such values as -inf"),
    ],
)
def test_what_are_no_real_numbers_raises_with_values(data, message):
    for values in (data, jnp.asarray(data, jnp.result_type(data))):
        with pytest.raises(ValueError, match=message):
            GaussianDecoder().check(values)


@over(DECODERS, "entry")
def test_check_passes_data_and_does_not_look_under_jit(entry):
    make, data = entry
    decoder = make()
    decoder.check(data)
    decoder.check(jnp.asarray(data))
    far = jnp.asarray(data).at[0, 0].set(-9 if data.dtype == np.int32 else jnp.nan)
    with pytest.raises(ValueError, match="got"):
        decoder.check(far)
    jax.jit(decoder.check)(far)
    with pytest.raises(ValueError, match="got data of type"):  # types are seen even there
        jax.jit(decoder.check)(jnp.zeros(3, bool))


@pytest.mark.parametrize("levels", [1, 0, -3])
def test_fewer_than_two_levels_raise(levels):
    with pytest.raises(ValueError, match=f"levels must be at least 2, got {levels}"):
        LevelDecoder(levels)
