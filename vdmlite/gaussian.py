"""Gaussians and mixtures of them: the only distributions a diffusion model is made of.

Everything below is for one example; `jax.vmap` makes a batch of it. Log densities and
divergences are in nats and summed over all dimensions.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._types import Key, Scalar, is_concrete


class Gaussian(eqx.Module):
    """N(mean, std²), independent in every dimension; `std` is one number or one for each."""

    mean: Float[Array, "*shape"]
    std: Float[Array, ""] | Float[Array, "*shape"]

    def at(self, eps: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Return mean + std · ε, the point that lies ε standard deviations from the mean."""
        return self.mean + self.std * eps

    def sample(self, *, key: Key) -> Float[Array, "*shape"]:
        """Draw one example."""
        return self.at(jax.random.normal(key, self.mean.shape, self.mean.dtype))

    def log_prob(self, x: Float[Array, "*shape"]) -> Scalar:
        """Return log N(x; mean, std²) in nats, summed over all dimensions."""
        eps = (x - self.mean) / self.std
        log_std = jnp.broadcast_to(jnp.log(self.std), eps.shape)
        return jnp.sum(-0.5 * eps**2 - log_std - 0.5 * jnp.log(2 * jnp.pi))


def kl(q: Gaussian, p: Gaussian) -> Scalar:
    """Return KL(q ‖ p) in nats, summed over all dimensions.

    With r = log(std_q² / std_p²) each dimension gives ½(eʳ − 1 − r + (Δmean / std_p)²);
    `expm1` keeps the digits when the two widths nearly agree.
    """
    log_ratio = jnp.broadcast_to(2 * (jnp.log(q.std) - jnp.log(p.std)), q.mean.shape)
    shift = (q.mean - p.mean) / p.std
    return 0.5 * jnp.sum(jnp.expm1(log_ratio) - log_ratio + shift**2)


class Mixture(eqx.Module):
    """Σ_k weights_k · N(means_k, stds_k² I): round Gaussians, of any example shape.

    A mixture stays a mixture when it is diffused, so every quantity of a diffusion model
    is known exactly for it: the ground truth of this package's tests and lessons.
    """

    weights: Float[Array, " k"]
    means: Float[Array, " k *shape"]
    stds: Float[Array, " k"]

    def __check_init__(self):
        count = self.means.shape[0]
        if self.weights.shape != (count,) or self.stds.shape != (count,):
            raise ValueError(
                f"a mixture of {count} means needs weights and stds of shape ({count},), got "
                f"{self.weights.shape} and {self.stds.shape}"
            )
        if is_concrete(self.weights):
            weights = np.asarray(self.weights)
            if (weights < 0).any() or not abs(weights.sum() - 1) < 1e-3:
                raise ValueError(
                    f"weights must be at least 0 and sum to 1, got a sum of {weights.sum():g} "
                    f"and a least weight of {weights.min():g}"
                )

    def component_log_prob(self, x: Float[Array, "*shape"]) -> Float[Array, " k"]:
        """Return log(weights_k · N(x; means_k, stds_k²)) for each component k, in nats."""
        log_prob = jax.vmap(lambda mean, std: Gaussian(mean, std).log_prob(x))
        return jnp.log(self.weights) + log_prob(self.means, self.stds)

    def log_prob(self, x: Float[Array, "*shape"]) -> Scalar:
        """Return log p(x) in nats."""
        return jax.nn.logsumexp(self.component_log_prob(x))

    def sample(self, *, key: Key) -> Float[Array, "*shape"]:
        """Draw one example."""
        which_key, noise_key = jax.random.split(key)
        k = jax.random.categorical(which_key, jnp.log(self.weights))
        return Gaussian(self.means[k], self.stds[k]).sample(key=noise_key)
