"""The gradient that training descends: of the bound, and of the variance of its estimate.

In continuous time the shape of the schedule between its ends can't change the bound (Kingma et
al. 2021, §5.1), so there it is free to lower the variance (appendix I.2).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ._types import AnyArray, Count, Key, Scalar
from .bound import VLB, SchedulePoint, batch_vlb, bits_per_dim, spread_times, vlb_at
from .model import VDM, check_model
from .schedule import AbstractSchedule


class _Shares(eqx.Module):
    """A schedule at the times of a batch: its ends, and what lies between as shares of them."""

    start: Scalar
    stop: Scalar
    share: Float[Array, "*n"]
    rate: Float[Array, "*n"]
    """The slope of the share."""

    def point(self) -> SchedulePoint:
        """Return what the bound takes from the schedule."""
        reach = self.stop - self.start
        gamma_t, slope = self.start + reach * self.share, reach * self.rate
        weight = jnp.where(slope >= 0, slope, jnp.nan)  # as in `schedule_point`
        return SchedulePoint(self.start, self.stop, gamma_t, weight)


def _shares(schedule: AbstractSchedule, times: Float[Array, " n"]) -> _Shares:
    start, stop = schedule(0.0), schedule(1.0)
    gamma, slope = schedule.slope(times)
    return _Shares(start, stop, (gamma - start) / (stop - start), slope / (stop - start))


def training_gradient(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    timesteps: Count | None = None,
    key: Key,
) -> tuple[VLB, VDM]:
    """Return a batch's terms in nats, each example's, and the gradient that training descends.

    It is the gradient of the mean bound in bits per dimension, but for one thing: in
    continuous time the inside of the schedule gets the gradient of E[ℓ²], ℓ the diffusion
    loss of one example, and descending it lowers the variance of one draw at a random time.

    By the chain rule ∂ℓ² = 2ℓ ∂ℓ: what comes back from the network is weighed by 2ℓ for
    each example before it goes on into the schedule. One backward pass is enough.
    `conditions`, one for each example, are those of `VDM.given`.

    Raises:
        TypeError, ValueError: as `batch_vlb` does.
    """
    check_model(vdm)
    vdm.check(data, conditions, batch=True)

    def mean_bound(vdm: VDM) -> tuple[Scalar, VLB]:
        terms = batch_vlb(vdm, data, conditions, timesteps=timesteps, key=key)
        return bits_per_dim(jnp.mean(terms.loss), vdm.shape), terms

    def mean_bound_at(vdm_and_shares: tuple[VDM, _Shares]) -> tuple[Scalar, VLB]:
        vdm, shares = vdm_and_shares

        def one(x, condition, key, share, rate) -> VLB:
            point = _Shares(shares.start, shares.stop, share, rate).point()
            return vlb_at(vdm.given(condition), x, point, key=key)

        terms = jax.vmap(one)(data, conditions, keys, shares.share, shares.rate)
        return bits_per_dim(jnp.mean(terms.loss), vdm.shape), terms

    if timesteps is not None:
        (_, terms), grads = eqx.filter_value_and_grad(mean_bound, has_aux=True)(vdm)
        return terms, grads
    time_key, noise_key = jax.random.split(key)
    times = spread_times(data.shape[0], key=time_key)
    keys = jax.random.split(noise_key, data.shape[0])
    shares, to_schedule = eqx.filter_vjp(lambda s: _shares(s, times), vdm.schedule)
    descend = eqx.filter_value_and_grad(mean_bound_at, has_aux=True)
    (_, terms), (grads, back) = descend((vdm, shares))
    weight = 2 * bits_per_dim(terms.diffusion, vdm.shape)
    weighed = _Shares(back.start, back.stop, weight * back.share, weight * back.rate)
    return terms, grads.under(to_schedule(weighed)[0])
