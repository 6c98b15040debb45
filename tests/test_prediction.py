"""One guess, four names: each reading means what it says and gives back what it was given."""

import jax.numpy as jnp
import numpy as np
import pytest
from oracles import EPS, READINGS, close, over

pytestmark = pytest.mark.quick

X, NOISE = jnp.array([[0.3, -0.9], [0.5, 0.0]]), jnp.array([[-1.2, 0.4], [0.1, 2.0]])
each_gamma = pytest.mark.parametrize("gamma", [-7.0, 0.0, 1.3, 7.0])


def scales(gamma):
    return 1 / np.sqrt(1 + np.exp(gamma)), 1 / np.sqrt(1 + np.exp(-gamma))


@over(READINGS, "entry")
@each_gamma
def test_all_names_agree_for_known_x_and_eps(entry, gamma):
    reading, output = entry
    a, s = scales(gamma)
    z = jnp.asarray(a * X + s * NOISE)
    guess = reading(jnp.asarray(output(X, NOISE, a, s)), z, gamma)
    # x̂ from ε̂ divides by α, ε̂ from x̂ by σ: roundings grow by that much, no more.
    close(guess.x, X, ulps=16, scale=3 / a)
    close(guess.eps, NOISE, ulps=16, scale=3 / s)
    close(guess.v, a * NOISE - s * X, ulps=16, scale=3 / min(a, s))
    close(guess.score, -NOISE / s, ulps=16, scale=3 / s**2)


@pytest.mark.parametrize("name", READINGS)
@each_gamma
def test_definition_and_read_back(name, gamma):
    reading, _ = READINGS[name]
    a, s = scales(gamma)
    output, z = NOISE * 0.7 + 0.1, X + 0.2  # any numbers at all
    guess = reading(output, z, gamma)
    size = np.abs(a * guess.x).max() + 1
    np.testing.assert_allclose(a * guess.x + s * guess.eps, z, rtol=0, atol=16 * EPS * size)
    close(getattr(guess, name), output, ulps=16, scale=3 / min(a, s))
    assert guess.gamma == gamma
