"""The bound: what a model pays, in nats, to describe an example.

    −log p(x) ≤ prior + reconstruction + diffusion        (Kingma et al. 2021, §3.5)

Single examples and single draws: average over keys and times to estimate the bound. The
diffusion losses of finite T and of T → ∞ are one, but for the weight of a noise level.
"""

import math
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ._types import (
    AnyArray,
    Count,
    Key,
    Scalar,
    ScalarLike,
    check_key,
    check_shape,
    count,
    real,
)
from .gaussian import kl
from .model import VDM, check_model
from .process import marginal
from .schedule import AbstractSchedule

Nats = TypeVar("Nats")


class VLB(eqx.Module):
    """The three terms of the bound in nats; their sum is `loss`, and lower is better."""

    prior: Float[Array, "*batch"]
    reconstruction: Float[Array, "*batch"]
    diffusion: Float[Array, "*batch"]

    @property
    def loss(self) -> Float[Array, "*batch"]:
        """The negative variational lower bound: prior + reconstruction + diffusion."""
        return self.prior + self.reconstruction + self.diffusion

    def mean(self) -> "VLB":
        """Return each term's mean over the batch."""
        return jax.tree.map(jnp.mean, self)


class SchedulePoint(eqx.Module):
    """All that one draw of the bound takes from a schedule: four numbers."""

    gamma_0: Float[Array, "*batch"]
    gamma_1: Float[Array, "*batch"]
    gamma_t: Float[Array, "*batch"]
    weight: Float[Array, "*batch"]
    """Of ½ ‖ε − ε̂‖² at γ_t: γ′(t) for T → ∞, and T expm1(γ_t − γ_s) for T steps."""


def schedule_point(
    schedule: AbstractSchedule, t: ScalarLike, timesteps: Count | None = None
) -> SchedulePoint:
    """Return what the bound takes from a schedule at time t; a falling one's weight is NaN.

    With T = `timesteps`, t is rounded up to the next of 1/T, 2/T, …, 1, and s = t − 1/T.
    """
    check_shape(t, (), "the time t")
    if timesteps is None:
        gamma_t, weight = schedule.slope(t)
    else:
        steps, t = count(timesteps, "timesteps"), real(t)
        # i/T times T may come out a hair above i: less than a hair down, before rounding up.
        step = jnp.clip(jnp.ceil(t * steps * (1 - 2 * jnp.finfo(t.dtype).eps)), 1, steps)
        gamma_s, gamma_t = schedule((step - 1) / steps), schedule(step / steps)
        weight = steps * jnp.expm1(gamma_t - gamma_s)
    weight = jnp.where(weight >= 0, weight, jnp.nan)
    return SchedulePoint(schedule(0.0), schedule(1.0), gamma_t, weight)


def prior_loss(vdm: VDM, x: Float[Array, "*shape"]) -> Scalar:
    """Return KL(q(z_1 | x) ‖ N(0, I)): what is left of x at the noisy end."""
    _check_example(vdm, x)
    return kl(marginal(x, vdm.schedule(1.0)), vdm.prior)


def reconstruction_loss(vdm: VDM, data: Num[AnyArray, "*shape"], *, key: Key) -> Scalar:
    """Return −log p(data | z_0) for one z_0 ~ q(z_0 | x): what is lost at the clean end."""
    _check_example(vdm, data)
    return _reconstruction_loss(vdm, data, vdm.schedule(0.0), key=key)


def _check_example(vdm: VDM, data: Any) -> None:
    check_model(vdm)
    check_shape(data, vdm.shape, "the example")


def _reconstruction_loss(
    vdm: VDM, data: Num[AnyArray, "*shape"], gamma_0: ScalarLike, *, key: Key
) -> Scalar:
    z_0 = marginal(vdm.decoder.embed(data), gamma_0).sample(key=key)
    log_prob = vdm.decoder.log_prob(data, z_0, gamma_0)
    check_shape(log_prob, (), f"the log_prob of a {type(vdm.decoder).__name__}")
    return -log_prob


def continuous_diffusion_loss(
    vdm: VDM, x: Float[Array, "*shape"], t: ScalarLike, *, key: Key
) -> Scalar:
    """Return ½ γ′(t) ‖ε − ε̂(z_t; γ_t)‖², whose mean over t ~ U(0, 1) and ε is L_∞ (§5)."""
    _check_example(vdm, x)
    return _diffusion_loss(vdm, x, schedule_point(vdm.schedule, t), key=key)


def discrete_diffusion_loss(
    vdm: VDM, x: Float[Array, "*shape"], t: ScalarLike, *, timesteps: Count, key: Key
) -> Scalar:
    """Return ½ T expm1(γ_t − γ_s) ‖ε − ε̂(z_t; γ_t)‖² with s = t − 1/T, T = `timesteps`.

    Its mean over t ∈ {1/T, 2/T, …, 1} and ε is L_T, the sum of T Kullback-Leibler
    divergences (§4). Any t ∈ [0, 1] is rounded up to the next of these times.
    """
    _check_example(vdm, x)
    return _diffusion_loss(vdm, x, schedule_point(vdm.schedule, t, timesteps), key=key)


def _diffusion_loss(
    vdm: VDM, x: Float[Array, "*shape"], point: SchedulePoint, *, key: Key
) -> Scalar:
    return 0.5 * point.weight * squared_error(vdm, x, point.gamma_t, key=key)


def squared_error(
    vdm: VDM, x: Float[Array, "*shape"], gamma_t: ScalarLike, *, key: Key
) -> Scalar:
    """Return ‖ε − ε̂(z_t; γ_t)‖² for one ε ~ N(0, I), summed over all dimensions."""
    noise_key, net_key = jax.random.split(key)
    eps = jax.random.normal(noise_key, x.shape, x.dtype)
    guess = vdm.denoiser(marginal(x, gamma_t).at(eps), gamma_t, key=net_key)
    return jnp.sum((eps - guess.eps) ** 2)


def vlb(
    vdm: VDM,
    data: Num[AnyArray, "*shape"],
    t: ScalarLike,
    *,
    timesteps: Count | None = None,
    key: Key,
) -> VLB:
    """Return one draw of the bound for one example, in nats, with the diffusion term at t.

    `timesteps` is T, the number of reverse steps the bound is for; None means T → ∞. A
    network's dropout is at work here, unless `vdm` is `eqx.nn.inference_mode(vdm)`.

    Raises:
        TypeError: `vdm` is no VDM, `data` no array, `key` no key, `timesteps` no whole number.
        ValueError: `data` has not the model's shape, or no values for its decoder;
            `timesteps` is less than 1.
    """
    check_model(vdm)
    check_key(key)
    vdm.check(data)
    return vlb_at(vdm, data, schedule_point(vdm.schedule, t, timesteps), key=key)


def vlb_at(vdm: VDM, data: Num[AnyArray, "*shape"], point: SchedulePoint, *, key: Key) -> VLB:
    """Return `vlb` at a point of any schedule, nothing else of which is looked at."""
    reconstruction_key, diffusion_key = jax.random.split(key)
    x = vdm.decoder.embed(data)
    check_shape(x, vdm.shape, f"what a {type(vdm.decoder).__name__} embeds")
    diffusion = _diffusion_loss(vdm, x, point, key=diffusion_key)
    reconstruction = _reconstruction_loss(vdm, data, point.gamma_0, key=reconstruction_key)
    return VLB(kl(marginal(x, point.gamma_1), vdm.prior), reconstruction, diffusion)


def spread_times(n: Count, *, key: Key) -> Float[Array, " n"]:
    """Return n times (u + i/n) mod 1 with one u ~ U(0, 1): each uniform, together spread out.

    The low-discrepancy sampler of Kingma et al. 2021, appendix I.1.
    """
    n = count(n, "n")
    check_key(key)
    return (jax.random.uniform(key) + jnp.arange(n) / n) % 1.0


def batch_vlb(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    timesteps: Count | None = None,
    key: Key,
) -> VLB:
    """Return one draw of the bound for each example of a batch, times spread over the batch.

    `conditions`, one for each example, are those of `VDM.given`.

    Raises:
        TypeError, ValueError: as `vlb` does; an empty batch.
    """
    check_model(vdm)
    check_key(key)
    vdm.check(data, conditions, batch=True)
    n = data.shape[0]
    time_key, noise_key = jax.random.split(key)
    t = spread_times(n, key=time_key)
    keys = jax.random.split(noise_key, n)

    def one(x, condition, t, key) -> VLB:
        return vlb(vdm.given(condition), x, t, timesteps=timesteps, key=key)

    return jax.vmap(one)(data, conditions, t, keys)


def bits_per_dim(nats: Nats, shape: tuple[int, ...]) -> Nats:
    """Return nats / (D ln 2), D the number of dimensions of an example of the given shape.

    `nats` is a number, an array, or a tree of them, such as a `VLB`.
    """
    unit = math.prod(shape) * math.log(2)
    return jax.tree.map(lambda a: a / unit, nats)
