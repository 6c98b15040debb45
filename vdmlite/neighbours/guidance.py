"""Guidance: a denoiser that leans towards what a label says, more than the data does.

    classifier-free   ε̃ = ε̂(z) + w (ε̂(z | c) − ε̂(z))         (Ho and Salimans 2021)
    classifier        ε̃ = ε̂(z) − w σ ∇ log p(c | z)          (Dhariwal and Nichol 2021)

The scale w is 0 for a model without labels and 1 for the model given the label, in both
(Ho and Salimans write w for our w − 1). These two are models of the data. **Any other scale
is not**: in general no data becomes q(z) p(c | z)^w when it is noised, so what comes out is
not drawn from p(x) p(c | x)^w, and at large w it lies outside of the data. The bound of a
guided model is still a bound, of what it draws, which the data then are unlikely to be.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Num

from .._types import Key, Scalar, ScalarLike, is_concrete, number
from ..denoiser import AbstractDenoiser
from ..prediction import Prediction, from_eps
from ..process import sigma


class ClassifierFree(AbstractDenoiser):
    """Two denoisers, a conditional and an unconditional one, and the line through them."""

    conditional: AbstractDenoiser
    unconditional: AbstractDenoiser
    scale: Scalar = eqx.field(converter=number)

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return ε̂ + scale · (ε̂(c) − ε̂), read as a guess of the noise."""
        conditional, unconditional = (
            d(z, gamma, key=key).eps for d in (self.conditional, self.unconditional)
        )
        return from_eps(unconditional + self.scale * (conditional - unconditional), z, gamma)

    def given(self, condition: Num[ArrayLike, "*c"]) -> AbstractDenoiser:
        """Return it with this condition for the conditional denoiser."""
        return dataclasses.replace(self, conditional=self.conditional.given(condition))


class ClassifierGuided(AbstractDenoiser):
    """A denoiser pushed uphill on `log_prob(z, γ)`, a classifier's log p(c | z) in nats.

    The classifier has to know noisy z, and γ: one of clean data points nowhere. Any
    differentiable log-probability will do, of a label or of a measurement.
    """

    denoiser: AbstractDenoiser
    log_prob: Callable[[Float[Array, "*shape"], ScalarLike], Scalar]
    scale: Scalar = eqx.field(converter=number)

    def guess(
        self, z: Float[Array, "*shape"], gamma: Scalar, *, key: Key | None = None
    ) -> Prediction:
        """Return ε̂ − scale · σ ∇ log p(c | z), read as a guess of the noise."""
        uphill = jax.grad(lambda z: self.log_prob(z, gamma))(z)
        eps = self.denoiser(z, gamma, key=key).eps - self.scale * sigma(gamma) * uphill
        return from_eps(eps, z, gamma)


class LabelNet(eqx.Module):
    """(z, γ, label) ↦ the output of a net that sees the label in channels beside those of z.

    `make(shape)` returns that net, for inputs of z's shape but `width` more in the last axis.
    A label is 0 … labels − 1; None, or `labels`, stands for no label, which has a row of the
    table like any other. In training (when there is a key) a label is dropped with
    probability `dropout`, so that one net learns ε̂(z | c) and ε̂(z).
    """

    net: Callable[..., Float[Array, "..."]]
    table: Float[Array, "rows width"]
    dropout: float = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        make: Callable[[tuple[int, ...]], Callable[..., Float[Array, "..."]]],
        shape: tuple[int, ...],
        *,
        labels: int,
        width: int = 8,
        dropout: float = 0.1,
        key: Key,
    ):
        if labels < 1:
            raise ValueError(f"there must be 1 label or more, got {labels}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is the share of labels dropped, 0 … 1, got {dropout}")
        self.net = make((*shape[:-1], shape[-1] + width))
        self.table = jax.random.normal(key, (labels + 1, width))
        self.dropout, self.inference = dropout, False

    def __call__(
        self,
        z: Float[Array, "*shape"],
        gamma: ScalarLike,
        label: Int[Array, ""] | None = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "..."]:
        """Return the net's output.

        Raises:
            ValueError: there is no such label. Under `jit` the output is NaN instead.
        """
        nothing = len(self.table) - 1
        label = jnp.asarray(nothing if label is None else label)
        if is_concrete(label) and not 0 <= label <= nothing:
            raise ValueError(
                f"labels are 0 … {nothing - 1}, or {nothing} for none, got {label}"
            )
        if key is not None and not self.inference:
            drop_key, key = jax.random.split(key)
            label = jnp.where(jax.random.bernoulli(drop_key, self.dropout), nothing, label)
        # Under jit a wrong label can't raise, but it must not pass for another one either.
        row = jnp.where((label >= 0) & (label <= nothing), self.table[label], jnp.nan)
        told = jnp.broadcast_to(row, (*z.shape[:-1], len(row)))
        return self.net(beside(z, told), gamma, key=key)


def beside(z: Float[Array, "*shape"], more: Float[Array, "*more"]) -> Float[Array, "*both"]:
    """Return z with more channels, in which a network is told something at every place.

    Raises:
        ValueError: they have not the same places.
    """
    if z.shape[:-1] != more.shape[:-1]:
        raise ValueError(
            f"what is beside z has the shape of z but for channels, {z.shape[:-1]}, got "
            f"{more.shape[:-1]}"
        )
    return jnp.concatenate([z, more], axis=-1)
