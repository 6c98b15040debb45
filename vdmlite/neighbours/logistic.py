"""The logistic distribution: its CDF is a sigmoid, so the mass of every interval is known.

For one example, in nats.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from .._types import AnyArray, Key, Scalar
from ..decoder import LevelDecoder


class Logistic(eqx.Module):
    """Independent logistics of standard deviation π/√3 · scale."""

    mean: Float[Array, "*shape"]
    scale: Float[Array, "*shape"]

    def sample(self, *, key: Key) -> Float[Array, "*shape"]:
        """Draw one example."""
        return self.mean + self.scale * jax.random.logistic(key, self.mean.shape)

    def log_prob(self, x: Float[Array, "*shape"]) -> Scalar:
        """Return log p(x) in nats, summed over all dimensions."""
        u = (x - self.mean) / self.scale
        return jnp.sum(jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u) - jnp.log(self.scale))


def log_mass(
    law: Logistic, low: Float[Array, "*shape"], high: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Return log P(low < x < high) in nats for each dimension; the ends may be infinite.

    sigmoid(b) − sigmoid(a) = sigmoid(b) sigmoid(−a) (1 − e^{a − b}): no digit is lost, however
    far out or narrow the interval is.
    """
    bounded_below, bounded_above = jnp.isfinite(low), jnp.isfinite(high)
    # Finite throughout: where infinity goes in, no gradient comes out, though it isn't chosen.
    a, b = jnp.where(bounded_below, low, 0.0), jnp.where(bounded_above, high, 0.0)
    above_a = jax.nn.log_sigmoid((law.mean - a) / law.scale)
    below_b = jax.nn.log_sigmoid((b - law.mean) / law.scale)
    both = bounded_below & bounded_above
    gap = jnp.where(both, (b - a) / law.scale, 1.0)
    total = jnp.where(bounded_below, above_a, 0.0) + jnp.where(bounded_above, below_b, 0.0)
    return total + jnp.where(both, jnp.log(-jnp.expm1(-gap)), 0.0)


class DiscretisedLogistic(eqx.Module):
    """Integers 0 … V − 1: the mass of a logistic in each level's cell of [−1, 1].

    The first and the last cell reach to infinity (D. Kingma et al. 2016).
    """

    law: Logistic
    levels: int = eqx.field(static=True)

    def log_masses(self) -> Float[Array, "*shape levels"]:
        """Return the log-probability of every level of every pixel."""
        every = jnp.broadcast_to(jnp.arange(self.levels), (*self.law.mean.shape, self.levels))
        return jax.vmap(self._log_masses, -1, -1)(every)

    def log_prob(self, x: Integer[AnyArray, "*shape"]) -> Scalar:
        """Return log p(x) in nats, summed over all pixels."""
        return jnp.sum(self._log_masses(jnp.asarray(x)))

    def sample(self, *, key: Key) -> Integer[Array, "*shape"]:
        """Draw one example."""
        cells = jnp.floor((self.law.sample(key=key) + 1) / 2 * self.levels)
        return jnp.clip(cells, 0, self.levels - 1).astype(int)

    def _log_masses(self, x: Integer[Array, "*shape"]) -> Float[Array, "*shape"]:
        centre, half = LevelDecoder(self.levels).embed(x), 1 / self.levels
        low = jnp.where(x == 0, -jnp.inf, centre - half)
        high = jnp.where(x == self.levels - 1, jnp.inf, centre + half)
        return log_mass(self.law, low, high)
