"""Denoisers: (z, γ) ↦ a guess of what made z. One is a network, the others are exact.

The exact ones know the data's distribution and return x̂ = E[x | z], the best guess there
is; with them every term of the bound has a known value before any network is trained.
"""

import dataclasses
import inspect
from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from ._types import Key, Scalar, ScalarLike, check_shape, real
from .decoder import level_logits, level_values
from .gaussian import Gaussian, Mixture
from .prediction import Prediction, from_eps, from_x
from .process import alpha, alpha2, sigma, sigma2


class AbstractDenoiser(eqx.Module):
    """A function (z, γ) ↦ Prediction, for one example. A denoiser of your own defines `guess`.

    It sees γ, never t.
    """

    @abstractmethod
    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return (x̂, ε̂) at z; `key` is for networks with dropout."""

    def __call__(
        self, z: Float[Array, "*shape"], gamma: ScalarLike, *, key: Key | None = None
    ) -> Prediction:
        """Return the guess (x̂, ε̂) at z.

        Raises:
            ValueError: x̂ or ε̂ has another shape than z.
        """
        found = self.guess(z, real(gamma), key=key)
        for name, part in (("x̂", found.x), ("ε̂", found.eps)):
            check_shape(part, z.shape, f"the guess {name} of a {type(self).__name__}")
        return found

    def given(self, condition: Num[ArrayLike, "*c"]) -> "AbstractDenoiser":
        """Return this denoiser for examples that have a condition: a label, a flag, an image.

        Raises:
            TypeError: it takes none, which is so unless a class says otherwise.
        """
        raise TypeError(
            f"a {type(self).__name__} takes no condition, got one of shape "
            f"{jnp.shape(condition)}; a NetDenoiser takes one"
        )


class NetDenoiser(AbstractDenoiser):
    """A network, and the way its output is read.

    `net(z, gamma, key=key)` returns an array that `reading(output, z, gamma)`, one of
    `from_x`, `from_eps`, `from_v`, `from_score`, `from_level_logits`, makes a `Prediction`.
    With a `condition` it is `net(z, gamma, condition, key=key)`.

    Raises:
        TypeError: the network can't be called so.
    """

    net: Callable[..., Float[Array, "..."]]
    reading: Callable[..., Prediction] = eqx.field(static=True, default=from_eps)
    condition: Num[Array, "*c"] | None = None

    def __check_init__(self):
        if not callable(self.net):
            raise TypeError(f"a network is a function, got a {type(self.net).__name__}")
        if not (_takes(self.net) or _takes(self.net, None)):
            raise TypeError(
                "a network is called as net(z, gamma, key=key), or net(z, gamma, condition, "
                f"key=key), but {_named(self.net)} takes {inspect.signature(self.net)}: one "
                "without dropout takes key=None and ignores it"
            )

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return the network's guess."""
        conditions = () if self.condition is None else (self.condition,)
        return self.reading(self.net(z, gamma, *conditions, key=key), z, gamma)

    def given(self, condition: Num[ArrayLike, "*c"]) -> "AbstractDenoiser":
        """Return this denoiser with a condition for its network.

        Raises:
            TypeError: the network takes none.
        """
        if not _takes(self.net, None):
            raise TypeError(f"{_named(self.net)} takes no condition after z and gamma")
        return dataclasses.replace(self, condition=jnp.asarray(condition))


def _takes(net: Callable, *conditions: None) -> bool:
    """Return whether a network can be called with so many conditions, if that can be seen."""
    try:
        signature = inspect.signature(net)
    except (TypeError, ValueError):  # some builtins have none
        return True
    try:
        signature.bind(None, None, *conditions, key=None)
    except TypeError:
        return False
    return True


def _named(net: Callable) -> str:
    return getattr(net, "__name__", type(net).__name__)


def from_level_logits(
    logits: Float[Array, "*shape levels"], z: Float[Array, "*shape"], gamma: ScalarLike
) -> Prediction:
    """Read what the network believes of each pixel before it looks at the pixel's own z.

    The logits are a prior over the pixel's levels, from its context; Bayes' rule adds the
    exact likelihood of the pixel's own latent, and x̂ is the posterior mean. The network
    need not learn what a formula already knows, and x̂ never leaves the data's range.
    """
    if logits.shape[:-1] != z.shape:
        raise ValueError(
            f"the level logits have shape {logits.shape}, expected {z.shape} and one more axis"
        )
    levels = logits.shape[-1]
    posterior = jax.nn.softmax(logits + level_logits(z, gamma, levels))
    return from_x(posterior @ level_values(levels).astype(z.dtype), z, gamma)


class GaussianDenoiser(AbstractDenoiser):
    """Exact for data N(mean, std²): ε̂ = σ (z − α mean)/(α² std² + σ²)."""

    data: Gaussian

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return E[x | z] and E[ε | z]."""
        del key
        mean, std = self.data.mean, self.data.std
        residual = (z - alpha(gamma) * mean) / (alpha2(gamma) * std**2 + sigma2(gamma))
        x = mean + alpha(gamma) * std**2 * residual
        return Prediction(x, sigma(gamma) * residual, gamma)


class MixtureDenoiser(AbstractDenoiser):
    """Exact for data from a mixture of Gaussians."""

    data: Mixture

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return E[x | z] and E[ε | z], averaged over the components that z may come from."""
        del key
        weights = jax.nn.softmax(self.diffused(gamma).component_log_prob(z))
        guesses = jax.vmap(lambda m, s: GaussianDenoiser(Gaussian(m, s))(z, gamma))(
            self.data.means, self.data.stds
        )
        x, eps = (jnp.tensordot(weights, a, axes=1) for a in (guesses.x, guesses.eps))
        return Prediction(x, eps, gamma)

    def diffused(self, gamma: ScalarLike) -> Mixture:
        """Return q(z), the mixture that the data becomes at noise level γ."""
        stds = jnp.sqrt(alpha2(gamma) * self.data.stds**2 + sigma2(gamma))
        return Mixture(self.data.weights, alpha(gamma) * self.data.means, stds)


class EmpiricalDenoiser(AbstractDenoiser):
    """Exact for data that is one of the given points: x̂ = Σ_i p(x = point_i | z) point_i."""

    points: Float[Array, " n *shape"]

    def __check_init__(self):
        if not jnp.issubdtype(self.points.dtype, jnp.floating):
            raise ValueError(
                f"points are real numbers, got {self.points.dtype}: for integer levels, those "
                "of jax.vmap(decoder.embed)"
            )

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return the mean of the points, each weighted by how likely it is to have made z."""
        del key
        log_prob = jax.vmap(
            lambda point: Gaussian(alpha(gamma) * point, sigma(gamma)).log_prob(z)
        )
        weights = jax.nn.softmax(log_prob(self.points))
        return from_x(jnp.tensordot(weights, self.points, axes=1), z, gamma)
