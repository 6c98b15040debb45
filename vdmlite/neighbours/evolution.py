"""Evolution strategies: a slope without derivatives (Salimans et al. 2017).

    ∇_φ E[f(φ + σ n)] = E[f(φ + σ n) n] / σ,   n ~ N(0, I)

Only values of f are asked for: it may be a whole life of learning, or not differentiable at
all. The noise comes in pairs n, −n, and values count by their ranks.
"""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from .._types import Count, Key, Scalar, ScalarLike, check_key, count

Fitness = Callable[..., Scalar]
"""fitness(phi, key=key), a number that should be large, of one vector φ."""


def centred_ranks(values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return −½ for the least value to ½ for the greatest, in equal steps; NaN is the least.

    Equal values have the mean of their ranks.
    """
    values = jnp.where(jnp.isnan(values), -jnp.inf, values)
    column, row = values[:, None], values[None, :]
    below = (row < column).sum(1) + 0.5 * ((row == column).sum(1) - 1)
    return below / max(len(values) - 1, 1) - 0.5


def slope(
    fitness: Fitness, phi: Float[Array, " d"], *, pairs: Count, std: ScalarLike, key: Key
) -> tuple[Float[Array, " d"], Float[Array, " n"]]:
    """Return an estimate of the slope of the expected rank, and the fitness of all tried.

    All are tried with the same key, so that luck does not tell them apart.
    """
    noise_key, key = jax.random.split(key)
    noise = jax.random.normal(noise_key, (count(pairs, "pairs"), len(phi)))
    tried = phi[None] + std * jnp.concatenate([noise, -noise])
    values = jax.vmap(lambda phi: fitness(phi, key=key))(tried)
    up, down = jnp.split(centred_ranks(values), 2)
    return (up - down) @ noise / (2 * len(noise) * std), values


def evolve(
    fitness: Fitness,
    phi: Float[Array, " d"],
    optimiser: optax.GradientTransformation,
    *,
    pairs: Count = 16,
    std: ScalarLike = 0.1,
    key: Key,
) -> Iterator[tuple[Float[Array, " d"], Float[Array, " n"]]]:
    """Yield φ after each generation, and the fitness of those tried in it, without an end."""
    check_key(key)

    @eqx.filter_jit
    def generation(phi, state, key):
        uphill, values = slope(fitness, phi, pairs=pairs, std=std, key=key)
        changes, state = optimiser.update(-uphill, state, phi)
        return phi + changes, state, values

    state, number = optimiser.init(phi), 0
    while True:
        phi, state, values = generation(phi, state, jax.random.fold_in(key, number))
        number += 1
        yield phi, values
