"""The model p: noise, then many small reverse steps, then the decoder.

    z_1 ~ N(0, I)  ──►  p(z_s | z_t) = q(z_s | z_t, x = x̂(z_t))  ──►  p(x | z_0)

A record with three seams. It holds no loss, no sampler and no number of steps.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ._types import Key, ScalarLike
from .decoder import AbstractDecoder
from .denoiser import AbstractDenoiser
from .gaussian import Gaussian
from .prediction import Prediction
from .process import posterior
from .schedule import AbstractSchedule


class VDM(eqx.Module):
    """A variational diffusion model of examples of the given shape (Kingma et al. 2021)."""

    schedule: AbstractSchedule
    denoiser: AbstractDenoiser
    decoder: AbstractDecoder
    shape: tuple[int, ...] = eqx.field(static=True, converter=tuple)

    @property
    def prior(self) -> Gaussian:
        """p(z_1) = N(0, I)."""
        return Gaussian(jnp.zeros(self.shape), jnp.ones(()))

    def under(self, schedule: AbstractSchedule) -> "VDM":
        """Return this model with another schedule, which the denoiser need not be told of."""
        return dataclasses.replace(self, schedule=schedule)

    def given(self, condition: Num[Array, "*c"] | None) -> "VDM":
        """Return this model of the examples that have a condition, a label or a flag.

        None leaves the model as it is.

        Raises:
            TypeError: its denoiser takes no condition, as a `NetDenoiser` does.
        """
        if condition is None:
            return self
        kind = type(self.denoiser)
        if "condition" not in kind.__annotations__:
            raise TypeError(f"a {kind.__name__} takes no condition; a NetDenoiser does")
        told: Any = dataclasses.replace(self.denoiser, condition=condition)
        return dataclasses.replace(self, denoiser=told)

    def predict(
        self, z_t: Float[Array, "*shape"], t: ScalarLike, *, key: Key | None = None
    ) -> Prediction:
        """Return the denoiser's guess at time t."""
        return self.denoiser(z_t, self.schedule(t), key=key)

    def reverse(self, z_t: Float[Array, "*shape"], s: ScalarLike, t: ScalarLike) -> Gaussian:
        """Return p(z_s | z_t) for s < t: the posterior with the guess x̂ for x (§3.3)."""
        gamma_s, gamma_t = self.schedule(s), self.schedule(t)
        x_hat = self.denoiser(z_t, gamma_t).x
        return posterior(z_t, x_hat, gamma_s, gamma_t)

    def check(self, data: Any, *, batch: bool = False) -> None:
        """Raise ValueError unless `data` is one example of this model, or a batch of them.

        Values are looked at only where they can be seen, that is outside `jit` and `vmap`.
        """
        got = jnp.shape(data)
        if batch and got[1:] != self.shape:
            raise ValueError(
                f"a batch for this model has shape (n, {', '.join(map(str, self.shape))}), "
                f"got {got}"
            )
        if not batch and got != self.shape:
            hint = ""
            if got[1:] == self.shape:
                hint = "; this looks like a batch: use batch_vlb, or jax.vmap over examples"
            raise ValueError(f"one example has shape {self.shape}, got {got}{hint}")
        self.decoder.check(data)
