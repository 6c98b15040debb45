"""A small fully connected network for toys and tiny images."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Key, ScalarLike, check_key
from .fourier import GAMMA_FEATURES, fourier_features, gamma_features


class MLP(eqx.Module):
    """(z, γ) ↦ an array of `out_shape` (by default that of z), zero before training.

    Every hidden layer gets γ as 16 slow sinusoids; residual from the second layer on.
    `exponents` adds `fourier_features` of z to the input.
    """

    linear_in: eqx.nn.Linear
    hidden: tuple[eqx.nn.Linear, ...]
    projections: tuple[eqx.nn.Linear, ...]
    linear_out: eqx.nn.Linear
    exponents: tuple[int, ...] = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        out_shape: tuple[int, ...] | None = None,
        width: int = 128,
        depth: int = 3,
        exponents: Sequence[int] = (),
        key: Key,
    ):
        self.exponents = tuple(exponents)
        self.out_shape = shape if out_shape is None else tuple(out_shape)
        size = jnp.zeros(shape).size * (1 + 2 * len(self.exponents))
        check_key(key)
        in_key, out_key, *keys = jax.random.split(key, 2 + 2 * depth)
        self.linear_in = eqx.nn.Linear(size, width, key=in_key)
        self.hidden = tuple(eqx.nn.Linear(width, width, key=k) for k in keys[:depth])
        self.projections = tuple(
            eqx.nn.Linear(GAMMA_FEATURES, width, key=k) for k in keys[depth:]
        )
        last = eqx.nn.Linear(width, jnp.zeros(self.out_shape).size, key=out_key)
        self.linear_out = jax.tree.map(jnp.zeros_like, last)

    def __call__(
        self, z: Float[Array, "*shape"], gamma: ScalarLike, *, key: Key | None = None
    ) -> Float[Array, "*out"]:
        """Return the network's output for one example; `key` is unused, there is no dropout."""
        del key
        embedding = gamma_features(gamma)
        h = self.linear_in(fourier_features(z, self.exponents).reshape(-1))
        for hidden, projection in zip(self.hidden, self.projections, strict=True):
            h = h + hidden(jax.nn.silu(h + projection(embedding)))
        return self.linear_out(jax.nn.silu(h)).reshape(self.out_shape)
