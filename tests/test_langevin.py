"""Langevin moves: at rest where theory says, and correctors that mend a coarse walk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import agrees, gaussian

import vdmlite as vdm
from vdmlite.neighbours.langevin import Corrected, Hold, langevin_move

N = 20_000  # independent coordinates: one example is a whole population
DATA = gaussian(0.5, mean=0.3, shape=(N,))
EXACT = vdm.GaussianDenoiser(DATA)


def at(gamma: float) -> tuple[float, float]:
    """The mean and the variance of q(z)."""
    alpha2 = float(vdm.alpha2(gamma))
    return 0.3 * alpha2**0.5, 0.25 * alpha2 + 1 - alpha2


@pytest.mark.parametrize(("gamma", "size"), [(-3.0, 0.5), (0.0, 0.5), (0.0, 1.5), (4.0, 0.2)])
def test_it_comes_to_rest_at_the_known_variance(gamma, size, key):
    """For q = N(m, v) the moves are an autoregression, at rest with variance v/(1 − δ/4v)."""

    def move(z, k):
        return langevin_move(EXACT, z, gamma, size=size, key=k), None

    start = jax.random.normal(key, (N,))
    z, _ = jax.lax.scan(move, start, jax.random.split(key, 600))
    mean, variance = at(gamma)
    delta = size * float(vdm.sigma2(gamma))
    agrees(z, mean)
    agrees((z - mean) ** 2, variance / (1 - delta / 4 / variance))


def test_hold_keeps_z_but_for_its_scale(key):
    z = jnp.arange(3.0)
    held = Hold()(EXACT, z, -2.0, 1.0, key=key)
    np.testing.assert_allclose(held / vdm.alpha(-2.0), z / vdm.alpha(1.0), rtol=1e-5)


@pytest.mark.once
@pytest.mark.parametrize("step", [vdm.Ancestral(), vdm.DDIM(), Hold()])
def test_a_corrector_mends_a_coarse_walk(step, key):
    gammas = jnp.linspace(5.0, -4.0, 7)
    z = jax.random.normal(key, (N,))
    _, variance = at(-4.0)

    def off(step) -> float:
        last = vdm.walk(EXACT, z, gammas, step=step, key=key)[-1]
        return abs(float(jnp.var(last)) / variance - 1)

    alone, mended = off(step), off(Corrected(step, moves=200, size=0.3))
    assert alone > 0.1
    assert mended < 0.03


def test_annealing_finds_the_weights_that_plain_langevin_cannot(key):
    """Two modes far apart, .2 and .8: moves at one low level never cross between them."""
    weights, means = jnp.array([0.2, 0.8]), jnp.array([[-2.0], [2.0]])
    exact = vdm.MixtureDenoiser(vdm.Mixture(weights, means, jnp.array([0.2, 0.2])))
    gammas, n = jnp.linspace(6.0, -6.0, 60), 2000
    start_key, plain_key, walk_key = jax.random.split(key, 3)
    starts = jax.random.normal(start_key, (n, 1))
    annealed = Corrected(Hold(), moves=10, size=0.3)

    def plain(z, key):
        def move(z, k):
            return langevin_move(exact, z, -6.0, size=1.0, key=k), None

        return jax.lax.scan(move, z, jax.random.split(key, 600))[0]

    def walk(z, key):
        return vdm.walk(exact, z, gammas, step=annealed, key=key)[-1]

    stuck = jax.vmap(plain)(starts, jax.random.split(plain_key, n))
    found = jax.vmap(walk)(starts, jax.random.split(walk_key, n))
    agrees(1.0 * (stuck[:, 0] > 0), 0.5)
    assert abs(float(jnp.mean(found > 0)) - 0.8) < 0.04


@pytest.mark.parametrize(("moves", "size"), [(0, 0.1), (1, 0.0), (1, float("nan"))])
def test_a_corrector_that_does_nothing_raises(moves, size):
    with pytest.raises(ValueError, match=r"moves must be at least 1, got 0|size above 0, got "):
        Corrected(Hold(), moves=moves, size=size)


def test_a_corrected_step_goes_through_sample_and_draw(key):
    model = vdm.VDM(vdm.FixedLinear(-4.0, 5.0), EXACT, vdm.GaussianDecoder(), (N,))
    step = Corrected(vdm.DDIM(0.5), moves=2)
    one = vdm.sample(model, steps=20, step=step, key=key)
    two = vdm.draw(model, 2, steps=20, step=step, key=key)
    assert one.shape == (N,)
    assert two.shape == (2, N)
    assert not np.array_equal(two[0], two[1])
