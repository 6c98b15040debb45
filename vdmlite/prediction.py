"""One guess, four names: x̂, ε̂, v̂ and the score are the same knowledge of z = α x + σ ε.

    v = α ε − σ x        score = ∇ log q(z) = −ε/σ

A network may be trained to output any of them; `from_…` reads its output, and all the
rest of the package asks for whichever name a formula needs.
"""

import equinox as eqx
from jaxtyping import Array, Float

from ._types import ScalarLike
from .process import alpha, sigma


class Prediction(eqx.Module):
    """A guess (x̂, ε̂) of what made z at noise level γ, with α x̂ + σ ε̂ = z."""

    x: Float[Array, "*shape"]
    eps: Float[Array, "*shape"]
    gamma: ScalarLike

    @property
    def v(self) -> Float[Array, "*shape"]:
        """v̂ = α ε̂ − σ x̂ (Salimans and Ho 2022)."""
        return alpha(self.gamma) * self.eps - sigma(self.gamma) * self.x

    @property
    def score(self) -> Float[Array, "*shape"]:
        """The guess of ∇ log q(z), by Tweedie's formula −ε̂/σ."""
        return -self.eps / sigma(self.gamma)


def from_x(
    x: Float[Array, "*shape"], z: Float[Array, "*shape"], gamma: ScalarLike
) -> Prediction:
    """Read x̂: ε̂ = (z − α x̂)/σ."""
    return Prediction(x, (z - alpha(gamma) * x) / sigma(gamma), gamma)


def from_eps(
    eps: Float[Array, "*shape"], z: Float[Array, "*shape"], gamma: ScalarLike
) -> Prediction:
    """Read ε̂: x̂ = (z − σ ε̂)/α."""
    return Prediction((z - sigma(gamma) * eps) / alpha(gamma), eps, gamma)


def from_v(
    v: Float[Array, "*shape"], z: Float[Array, "*shape"], gamma: ScalarLike
) -> Prediction:
    """Read v̂, a rotation of (x̂, ε̂): x̂ = α z − σ v̂ and ε̂ = σ z + α v̂."""
    a, s = alpha(gamma), sigma(gamma)
    return Prediction(a * z - s * v, s * z + a * v, gamma)


def from_score(
    score: Float[Array, "*shape"], z: Float[Array, "*shape"], gamma: ScalarLike
) -> Prediction:
    """Read the score ∇ log q(z): ε̂ = −σ score."""
    return from_eps(-sigma(gamma) * score, z, gamma)
