"""Sampling from the score alone: Langevin dynamics, annealed, and as a corrector.

A walk that follows ∇ log q(z) uphill and is shaken on the way comes to rest in q(z) itself.
The steps here are for `walk`, `sample` and `draw`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, Scalar, ScalarLike, count, is_concrete, number
from ..denoiser import AbstractDenoiser
from ..process import alpha, sigma
from ..sampling import AbstractStep, Step


def langevin_move(
    denoiser: AbstractDenoiser,
    z: Float[Array, "*shape"],
    gamma: ScalarLike,
    *,
    size: ScalarLike,
    key: Key,
) -> Float[Array, "*shape"]:
    """Return z + ½ δ ∇ log q(z) + √δ ε with δ = size · σ², a move at one noise level.

    Repeated, it draws from q(z), exactly so in the limit size → 0; at level γ its width is
    in proportion to σ (Song and Ermon 2019, algorithm 1).
    """
    score = denoiser(z, gamma).score
    delta = size * sigma(gamma) ** 2
    eps = jax.random.normal(key, z.shape, z.dtype)
    return z + 0.5 * delta * score + jnp.sqrt(delta) * eps


class Hold(AbstractStep):
    """z_s = (α_s/α_t) z_t: no step but the change of scale, for a corrector to do the rest."""

    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s."""
        del denoiser, key
        return alpha(gamma_s) / alpha(gamma_t) * z_t


class Corrected(AbstractStep):
    """A step to z_s, then Langevin moves at that level, which mend what it did to q(z_s).

    With `Ancestral` or `DDIM` these are predictor and corrector (Song et al. 2021, algorithm
    1); with `Hold` it is annealed Langevin dynamics (Song and Ermon 2019).
    """

    step: Step
    moves: int = eqx.field(static=True, default=1, converter=lambda n: count(n, "moves"))
    size: Scalar = eqx.field(default=0.1, converter=number)

    def __check_init__(self):
        if is_concrete(self.size) and not self.size > 0:
            raise ValueError(f"a corrector's moves have a size above 0, got {self.size}")

    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s."""
        step_key, move_key = jax.random.split(key)
        z_s = self.step(denoiser, z_t, gamma_s, gamma_t, key=step_key)

        def move(z: Float[Array, "*shape"], key: Key) -> tuple:
            return langevin_move(denoiser, z, gamma_s, size=self.size, key=key), None

        return jax.lax.scan(move, z_s, jax.random.split(move_key, self.moves))[0]
