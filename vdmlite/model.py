"""The model p: noise, then many small reverse steps, then the decoder.

    z_1 ~ N(0, I)  ──►  p(z_s | z_t) = q(z_s | z_t, x = x̂(z_t))  ──►  p(x | z_0)

A record with three seams. It holds no loss, no sampler and no number of steps.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from ._types import Key, ScalarLike, check_kind, count
from .decoder import AbstractDecoder
from .denoiser import AbstractDenoiser
from .gaussian import Gaussian
from .prediction import Prediction
from .process import posterior
from .schedule import AbstractSchedule


def _shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of an example as a tuple of Python integers."""
    try:
        return tuple(count(n, "each number of the shape") for n in shape)
    except TypeError as error:
        raise TypeError(
            f"shape is that of one example, such as (3,) or (8, 8, 1), got {shape!r}"
        ) from error


class VDM(eqx.Module):
    """A variational diffusion model of examples of the given shape (Kingma et al. 2021).

    Raises:
        TypeError: a part is of another kind, or a class where an instance is meant.
    """

    schedule: AbstractSchedule
    denoiser: AbstractDenoiser
    decoder: AbstractDecoder
    shape: tuple[int, ...] = eqx.field(static=True, converter=_shape)

    def __check_init__(self):
        check_kind(self.schedule, AbstractSchedule, "FixedLinear()")
        check_kind(self.denoiser, AbstractDenoiser, "NetDenoiser(net), where net is a network")
        check_kind(self.decoder, AbstractDecoder, "GaussianDecoder() or LevelDecoder(256)")

    @property
    def prior(self) -> Gaussian:
        """p(z_1) = N(0, I)."""
        return Gaussian(jnp.zeros(self.shape), jnp.ones(()))

    def under(self, schedule: AbstractSchedule) -> "VDM":
        """Return this model with another schedule, which the denoiser need not know of."""
        return dataclasses.replace(self, schedule=schedule)

    def given(self, condition: Num[ArrayLike, "*c"] | None) -> "VDM":
        """Return this model of the examples that have a condition: a label, a flag, an image.

        None leaves the model as it is.

        Raises:
            TypeError: its denoiser takes no condition.
        """
        if condition is None:
            return self
        return dataclasses.replace(self, denoiser=self.denoiser.given(condition))

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

    def check(self, data: Any, conditions: Any = None, *, batch: bool = False) -> None:
        """Raise unless `data` is one example of this model, or a batch with its conditions.

        Values are looked at only where they can be seen, that is outside `jit` and `vmap`.
        """
        if not isinstance(data, jax.Array | np.ndarray):
            raise TypeError(
                f"data is one array of NumPy or JAX, got a {type(data).__name__}: np.asarray "
                "makes one of a tensor or a list; labels go beside it, as conditions"
            )
        if not isinstance(conditions, jax.Array | np.ndarray | None):
            got = type(conditions).__name__
            raise TypeError(f"conditions are one array of NumPy or JAX, got a {got}")
        got = jnp.shape(data)
        if batch and got[1:] != self.shape:
            raise ValueError(
                f"a batch for this model has shape (n, {', '.join(map(str, self.shape))}), "
                f"got {got}"
            )
        if batch and got[0] == 0:
            raise ValueError(f"a batch has at least one example, got shape {got}")
        if conditions is not None and jnp.shape(conditions)[:1] != got[:1]:
            raise ValueError(
                f"there is one condition for each example: data has shape {got}, conditions "
                f"{jnp.shape(conditions)}"
            )
        if not batch and got != self.shape:
            hint = ""
            if got[1:] == self.shape:
                hint = "; this looks like a batch: use batch_vlb, or jax.vmap over examples"
            raise ValueError(f"one example has shape {self.shape}, got {got}{hint}")
        self.decoder.check(data)


def check_model(vdm: Any) -> None:
    """Raise TypeError unless `vdm` is a VDM, which a TrainState isn't but has two of."""
    check_kind(vdm, VDM, "state.average or state.vdm of a TrainState")
