"""A hierarchical VAE whose latents form a Markov chain: the model of Bit-Swap.

    q:  x ──► z_1 ──► z_2 ──► … ──► z_L          trained, where a VDM's q is fixed
    p:  x ◄── z_1 ◄── z_2 ◄── … ◄── z_L

Every law depends on its neighbour alone, so that borrowing and pushing can take turns
(F. Kingma, Abbeel and Ho 2019); with L = 1 it is the VAE of BB-ANS (Townsend, Bird and Barber
2019). A *conditional* is a function from the neighbour to a law, an object with `sample` and
`log_prob`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Count, Key, Scalar, count
from ..decoder import LevelDecoder
from .logistic import DiscretisedLogistic, Logistic

Conditional = Callable[[Float[Array, "..."]], Any]


class Hierarchy(eqx.Module):
    """L latents above data: `up[i]` is q(z_{i+1} | z_i), `down[i]` is p(z_i | z_{i+1}).

    z_0 is x, as `embed` turns it into real numbers for q; `down[0]` gives a law of the data
    themselves.
    """

    embed: Callable[..., Float[Array, "..."]]
    up: tuple[Conditional, ...]
    down: tuple[Conditional, ...]
    prior: Any

    def __check_init__(self):
        if not self.up or len(self.up) != len(self.down):
            raise ValueError(
                "a hierarchy has one conditional up and one down for each of its latents, got "
                f"{len(self.up)} up and {len(self.down)} down"
            )


class Terms(NamedTuple):
    """One draw of the negative ELBO of one example, in nats: the sum of all its numbers."""

    data: Scalar
    """−log p(x | z_1)."""
    latents: Float[Array, " L"]
    """log q(z_i | z_{i−1}) − log p(z_i | z_{i+1}) for i = 1 … L; given z_{i−1} and z_{i+1} its
    mean is a divergence: how far what climbs is from what comes down."""

    @property
    def total(self) -> Scalar:
        """−log p(x, z) + log q(z | x)."""
        return self.data + jnp.sum(self.latents)


def terms(model: Hierarchy, x: Any, *, key: Key) -> Terms:
    """Draw z_1 … z_L from q and return what each contributes to the negative ELBO."""
    z = climb(model, x, key=key)
    below = [model.embed(x), *z]
    climbed = [up(below[i]).log_prob(z[i]) for i, up in enumerate(model.up)]
    came = [down(z[i]).log_prob(([x, *z])[i]) for i, down in enumerate(model.down)]
    came.append(model.prior.log_prob(z[-1]))
    return Terms(-came[0], jnp.stack(climbed) - jnp.stack(came[1:]))


def training_loss(
    model: Hierarchy, batch: Any, *, free_nats: float, key: Key
) -> tuple[Scalar, Terms]:
    """Return the loss of a batch and the means of its terms, in nats.

    The loss is the negative ELBO, but that a latent's term counts as `free_nats` where it is
    less: so no latent is given up early, when it costs more than it explains (free bits,
    D. Kingma et al. 2016).
    """
    keys = jax.random.split(key, len(batch))
    each = jax.vmap(lambda x, key: terms(model, x, key=key))(batch, keys)
    mean = jax.tree.map(lambda a: a.mean(0), each)
    return mean.data + jnp.sum(jnp.maximum(mean.latents, free_nats)), mean


def importance_bound(model: Hierarchy, x: Any, *, draws: Count, key: Key) -> Scalar:
    """Return −log of the mean of p(x, z)/q(z | x) over `draws` chains, in nats.

    On average at most the negative ELBO, and at least −log p(x) (Burda et al. 2016).
    """
    keys = jax.random.split(key, count(draws, "draws"))
    totals = jax.lax.map(lambda key: terms(model, x, key=key).total, keys)
    return jnp.log(len(totals)) - jax.nn.logsumexp(-totals)


def sample(model: Hierarchy, *, key: Key) -> Any:
    """Draw z_L, and what hangs on it, down to the data."""
    down_key, data_key = jax.random.split(key)
    return model.down[0](fall(model, key=down_key)[0]).sample(key=data_key)


def climb(model: Hierarchy, x: Any, *, key: Key) -> Float[Array, " L *size"]:
    """Draw z_1 … z_L from q."""
    z, found = model.embed(x), []
    for up, one in zip(model.up, jax.random.split(key, len(model.up)), strict=True):
        found.append(z := up(z).sample(key=one))
    return jnp.stack(found)


def fall(model: Hierarchy, *, key: Key) -> list[Float[Array, "*size"]]:
    """Draw z_L … z_1 from p; return z_1 first."""
    law: Any = model.prior
    found = []
    keys = jax.random.split(key, len(model.down))
    for down, one in zip((*reversed(model.down[1:]), None), keys, strict=True):
        found.append(law.sample(key=one))
        law = None if down is None else down(found[-1])
    return found[::-1]


class StandardLogistic(eqx.Module):
    """Logistics of mean 0 and scale 1, which are not trained: `size` numbers."""

    size: int = eqx.field(static=True)

    def sample(self, *, key: Key) -> Float[Array, " size"]:
        """Draw one example."""
        return jax.random.logistic(key, (self.size,))

    def log_prob(self, z: Float[Array, " size"]) -> Scalar:
        """Return log p(z) in nats, summed over all numbers."""
        return Logistic(jnp.zeros_like(z), jnp.ones_like(z)).log_prob(z)


def q_scale(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 0.1 + 0.9 sigmoid(raw + 2): a scale between 0.1 and 1."""
    return 0.1 + 0.9 * jax.nn.sigmoid(raw + 2)


def p_scale(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 0.1 + 0.9 softplus(raw + log(e − 1)): a scale above 0.1, and 1 at raw = 0."""
    return 0.1 + 0.9 * jax.nn.softplus(raw + jnp.log(jnp.e - 1))


class LogisticNet(eqx.Module):
    """z ↦ the Logistic of a neighbour with `size` numbers, by a fully connected network."""

    net: eqx.nn.MLP
    scale_of: Callable[..., Float[Array, "..."]] = eqx.field(static=True)

    def __init__(self, c_in: int, size: int, *, scale_of: Callable, width: int, key: Key):
        self.net = eqx.nn.MLP(c_in, 2 * size, width, 2, jax.nn.silu, key=key)
        self.scale_of = scale_of

    def __call__(self, z: Float[Array, "..."]) -> Logistic:
        """Return the law given z, of any shape."""
        mean, raw = jnp.split(self.net(z.ravel()), 2)
        return Logistic(mean, self.scale_of(raw))


class PixelNet(eqx.Module):
    """z ↦ a discretised logistic for each pixel, whose scale is learned but not read off z."""

    net: eqx.nn.MLP
    raw: Float[Array, "*shape"]
    levels: int = eqx.field(static=True)

    def __init__(self, c_in: int, shape: tuple[int, ...], levels: int, *, width: int, key: Key):
        self.net = eqx.nn.MLP(c_in, int(np.prod(shape)), width, 2, jax.nn.silu, key=key)
        # Of a type of its own: a weak one changes in the first update, and all compiles anew.
        self.raw, self.levels = jnp.full(shape, -2.0, jnp.result_type(float)), levels

    def __call__(self, z: Float[Array, " c_in"]) -> DiscretisedLogistic:
        """Return the law given z."""
        law = Logistic(self.net(z).reshape(self.raw.shape), jax.nn.softplus(self.raw) + 1e-3)
        return DiscretisedLogistic(law, self.levels)


def hierarchy(
    shape: tuple[int, ...],
    levels: int,
    *,
    latents: Count = 4,
    size: int = 16,
    width: int = 128,
    key: Key,
) -> Hierarchy:
    """Return an untrained hierarchy over images: `latents` latents, each of `size` numbers."""
    number, dims = count(latents, "latents"), int(np.prod(shape))
    keys = jax.random.split(key, 2 * number)
    make = partial(LogisticNet, size=size, width=width)
    sizes = [dims] + [size] * (number - 1)
    up = [make(c_in=n, scale_of=q_scale, key=k) for n, k in zip(sizes, keys, strict=False)]
    down = [make(c_in=size, scale_of=p_scale, key=k) for k in keys[number + 1 :]]
    data = PixelNet(size, shape, levels, width=width, key=keys[number])
    embed = LevelDecoder(levels).embed
    return Hierarchy(embed, tuple(up), (data, *down), StandardLogistic(size))
