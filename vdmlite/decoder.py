"""Decoders: the last step p(x | z_0), between the data as it comes and the numbers z lives in.

Each is the rule p(x | z_0) ∝ q(z_0 | x): with almost no noise left, believe the latent.
"""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Integer, Num

from ._types import AnyArray, Key, Scalar, ScalarLike, count, is_concrete, real
from .gaussian import Gaussian
from .process import alpha, snr


class AbstractDecoder(eqx.Module):
    """The way from data to x and from z_0 back to data, for one example."""

    @abstractmethod
    def check(self, data: Any) -> None:
        """Raise ValueError if values that can be seen are no data for this decoder."""

    @abstractmethod
    def embed(self, data: Num[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
        """Return x, the data as real numbers."""

    @abstractmethod
    def log_prob(
        self, data: Num[AnyArray, "*shape"], z_0: Float[Array, "*shape"], gamma_0: ScalarLike
    ) -> Scalar:
        """Return log p(data | z_0) in nats, summed over all dimensions."""

    @abstractmethod
    def sample(
        self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike, *, key: Key
    ) -> Num[Array, "*shape"]:
        """Draw data from p(data | z_0)."""

    @abstractmethod
    def mode(self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike) -> Num[Array, "*shape"]:
        """Return the most likely data given z_0."""


def level_values(levels: int) -> Float[Array, " levels"]:
    """Return 2(k + ½)/V − 1, the centres of V = `levels` equal cells of [−1, 1]."""
    return 2 * (jnp.arange(levels, dtype=jnp.result_type(float)) + 0.5) / levels - 1


def level_logits(
    z: Float[Array, "*shape"], gamma: ScalarLike, levels: int
) -> Float[Array, "*shape levels"]:
    """Return −½ SNR (z/α − value_k)², the log-likelihood of each level k up to a constant."""
    guess = jnp.broadcast_to((z / alpha(gamma))[..., None], (*z.shape, levels))
    values = jnp.broadcast_to(level_values(levels).astype(z.dtype), guess.shape)
    return -0.5 * snr(gamma) * (guess - values) ** 2


class LevelDecoder(AbstractDecoder):
    """Integers 0 … levels − 1, each pixel by itself.

    p(x_i = k | z_0) ∝ exp(−½ e^{−γ_0} (z_0/α_0 − value_k)²), as in the published VDM
    (Kingma et al. 2021, §3.3).
    """

    levels: int = eqx.field(static=True, converter=lambda n: count(n, "levels", 2))

    def check(self, data: Any) -> None:
        """Raise unless `data` is of an integer type and within 0 … levels − 1."""
        kind = jnp.result_type(data)
        if not jnp.issubdtype(kind, jnp.integer):
            raise ValueError(
                f"a LevelDecoder takes integers 0 … {self.levels - 1}, got data of type {kind}"
            )
        if is_concrete(data) and np.size(data):
            low, high = np.min(data), np.max(data)
            if low < 0 or high >= self.levels:
                raise ValueError(
                    f"levels must lie in 0 … {self.levels - 1}, got values from {low} to {high}"
                )

    def embed(self, data: Integer[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
        """Return the centre of each pixel's level, in (−1, 1); NaN for what isn't a level."""
        known, data = self._known(data), jnp.asarray(data)
        return jnp.where(known, level_values(self.levels)[data], jnp.nan)

    def log_prob(
        self,
        data: Integer[AnyArray, "*shape"],
        z_0: Float[Array, "*shape"],
        gamma_0: ScalarLike,
    ) -> Scalar:
        """Return log p(data | z_0) in nats, summed over all pixels; NaN if a level isn't one.

        Level by level: a softmax over all at once would hold `levels` numbers a pixel, and in
        a small model take more time and memory than the network does.
        """
        # From one level to the next, in noise widths σ_0/α_0 = e^{γ_0/2}.
        gap = 2 / self.levels * jnp.exp(-0.5 * real(gamma_0))
        place, nearest = self._place(z_0, gamma_0)
        offset = gap * (nearest - place)

        def log_weight(k: Num[ArrayLike, "*b"]) -> Float[Array, "*shape"]:
            """Return level k's log-likelihood less that of the nearest level: at most 0."""
            away = jnp.asarray(k, offset.dtype) - nearest
            return -gap * away * (offset + 0.5 * gap * away)

        @jax.checkpoint  # keeps nothing for the gradient, which can weigh the level again
        def add(total, k):
            return total + jnp.exp(log_weight(k)), None

        levels = jnp.arange(self.levels)
        total, _ = jax.lax.scan(add, jnp.zeros_like(offset), levels, unroll=8)
        log_p = log_weight(jnp.asarray(data)) - jnp.log(total)
        return jnp.sum(jnp.where(self._known(data), log_p, jnp.nan))

    def sample(
        self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike, *, key: Key
    ) -> Integer[Array, "*shape"]:
        """Draw a level for every pixel."""
        return jax.random.categorical(key, level_logits(z_0, gamma_0, self.levels))

    def mode(
        self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike
    ) -> Integer[Array, "*shape"]:
        """Return the level nearest to z_0/α_0."""
        return self._place(z_0, gamma_0)[1].astype(int)

    def _known(self, data: Integer[AnyArray, "*shape"]) -> Bool[Array, "*shape"]:
        """Return where data are levels: under `jit` others can't raise, but must not pass."""
        wide = jnp.asarray(data).astype(int)  # 256 is no uint8 to compare with
        return (wide >= 0) & (wide < self.levels)

    def _place(self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike):
        """Return where z_0/α_0 lies, counted in levels, and the level nearest to it."""
        place = (z_0 / alpha(gamma_0) + 1) * self.levels / 2 - 0.5
        return place, jnp.clip(jnp.round(place), 0, self.levels - 1)


class GaussianDecoder(AbstractDecoder):
    """Real numbers: p(x | z_0) = N(z_0/α_0, e^{γ_0}), for data that is continuous."""

    def check(self, data: Any) -> None:
        """Raise unless `data` is of a real type and finite."""
        kind = jnp.result_type(data)
        if not jnp.issubdtype(kind, jnp.floating):
            raise ValueError(f"a GaussianDecoder takes real numbers, got data of type {kind}")
        if is_concrete(data) and not np.isfinite(data).all():
            bad = np.asarray(data)[~np.isfinite(data)]
            raise ValueError(f"data must be finite, got {bad.size} such values as {bad[0]}")

    def embed(self, data: Float[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
        """Return the data unchanged."""
        return jnp.asarray(data)

    def log_prob(
        self, data: Float[AnyArray, "*shape"], z_0: Float[Array, "*shape"], gamma_0: ScalarLike
    ) -> Scalar:
        """Return log p(data | z_0) in nats, summed over all dimensions."""
        return self._gaussian(z_0, gamma_0).log_prob(jnp.asarray(data))

    def sample(
        self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike, *, key: Key
    ) -> Float[Array, "*shape"]:
        """Draw from N(z_0/α_0, e^{γ_0})."""
        return self._gaussian(z_0, gamma_0).sample(key=key)

    def mode(self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike) -> Float[Array, "*shape"]:
        """Return z_0/α_0."""
        return z_0 / alpha(gamma_0)

    def _gaussian(self, z_0: Float[Array, "*shape"], gamma_0: ScalarLike) -> Gaussian:
        return Gaussian(z_0 / alpha(gamma_0), jnp.exp(0.5 * real(gamma_0)))
