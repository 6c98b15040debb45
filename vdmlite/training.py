"""Training: one step in the library, the loop with the caller.

`train` is a generator: `for state, terms in train(optimiser, init(vdm, optimiser), …)`
leaves it to the caller what to log, when to plot and when to stop.
"""

from collections.abc import Iterable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Num

from ._types import AnyArray, Key, Scalar, ScalarLike
from .bound import VLB, batch_vlb, bits_per_dim, spread_times, vlb
from .model import VDM
from .schedule import AbstractSchedule


class TrainState(eqx.Module):
    """All that training carries from one step to the next."""

    vdm: VDM
    average: VDM
    """The exponential moving average of the weights: the model to evaluate and sample."""
    opt_state: optax.OptState
    step: Int[Array, ""]


def init(vdm: VDM, optimiser: optax.GradientTransformation) -> TrainState:
    """Return the state before the first step."""
    # The average starts as a copy: two names for one buffer could not be donated.
    average = jax.tree.map(lambda a: jnp.array(a) if eqx.is_array(a) else a, vdm)
    opt_state = optimiser.init(eqx.filter(vdm, eqx.is_inexact_array))
    return TrainState(vdm, average, opt_state, jnp.zeros((), int))


class _Seen(AbstractSchedule):
    """A schedule as one example of a batch sees it: its ends, and one point between them."""

    start: Scalar
    stop: Scalar
    share: Float[Array, "*n"]
    rate: Float[Array, "*n"]
    """The slope of the share."""

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return an end, for t = 0 or 1."""
        return jnp.where(jnp.asarray(t) < 0.5, self.start, self.stop)

    def slope(self, t: ScalarLike) -> tuple[Scalar, Scalar]:
        """Return (γ, dγ/dt) at the one point."""
        del t
        reach = self.stop - self.start
        return self.start + reach * self.share, reach * self.rate


def _see(schedule: AbstractSchedule, times: Float[Array, " n"]) -> _Seen:
    """Return what a batch sees of a schedule: one pair of ends, n points."""
    start, stop = schedule(0.0), schedule(1.0)

    def point(t: Scalar) -> tuple[Scalar, Scalar]:
        gamma, slope = schedule.slope(t)
        return (gamma - start) / (stop - start), slope / (stop - start)

    return _Seen(start, stop, *jax.vmap(point)(times))


def training_gradient(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    steps: int | None = None,
    key: Key,
) -> tuple[VLB, VDM]:
    """Return a batch's terms in nats, each example's, and the gradient that training descends.

    It is the gradient of the mean bound in bits per dimension, but for one thing: in
    continuous time the shape of the schedule between its ends can't change the bound, so
    there it is the gradient of E[ℓ²], ℓ the diffusion loss of one example, and descending
    it lowers the variance of one draw at a random time (Kingma et al. 2021, appendix I.2).

    By the chain rule ∂ℓ² = 2ℓ ∂ℓ: what comes back from the network is weighed by 2ℓ for
    each example before it goes on into the schedule. One backward pass is enough.
    `conditions`, one for each example, are those of `VDM.given`.

    Raises:
        ValueError: as `batch_vlb` does.
    """
    vdm.check(data, batch=True)

    def mean_bound(vdm: VDM) -> tuple[Scalar, VLB]:
        terms = batch_vlb(vdm, data, conditions, steps=steps, key=key)
        return bits_per_dim(jnp.mean(terms.loss), vdm.shape), terms

    def mean_bound_as_seen(vdm_and_seen: tuple[VDM, _Seen]) -> tuple[Scalar, VLB]:
        vdm, seen = vdm_and_seen

        def one(x, condition, t, key, share, rate) -> VLB:
            point = _Seen(seen.start, seen.stop, share, rate)
            return vlb(vdm.under(point).given(condition), x, t, key=key)

        terms = jax.vmap(one)(data, conditions, times, keys, seen.share, seen.rate)
        return bits_per_dim(jnp.mean(terms.loss), vdm.shape), terms

    if steps is not None:
        (_, terms), grads = eqx.filter_value_and_grad(mean_bound, has_aux=True)(vdm)
        return terms, grads
    time_key, noise_key = jax.random.split(key)
    times = spread_times(data.shape[0], key=time_key)
    keys = jax.random.split(noise_key, data.shape[0])
    seen, to_schedule = eqx.filter_vjp(lambda s: _see(s, times), vdm.schedule)
    descend = eqx.filter_value_and_grad(mean_bound_as_seen, has_aux=True)
    (_, terms), (grads, back) = descend((vdm, seen))
    weight = 2 * bits_per_dim(terms.diffusion, vdm.shape)
    weighed = _Seen(back.start, back.stop, weight * back.share, weight * back.rate)
    return terms, grads.under(to_schedule(weighed)[0])


@eqx.filter_jit
def train_step(
    optimiser: optax.GradientTransformation,
    state: TrainState,
    batch: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    steps: int | None = None,
    decay: float = 0.999,
    key: Key,
) -> tuple[TrainState, VLB]:
    """Descend the mean bound of a batch in bits per dimension; return the terms in nats.

    `steps` is T as in `vlb`, `conditions` are those of `VDM.given`. The noise is drawn from
    `fold_in(key, state.step)`, so that a step can be repeated exactly.
    """
    data, step_key = jnp.asarray(batch), jax.random.fold_in(key, state.step)
    terms, grads = training_gradient(state.vdm, data, conditions, steps=steps, key=step_key)
    return apply_gradient(optimiser, state, grads, decay=decay), terms.mean()


def apply_gradient(
    optimiser: optax.GradientTransformation, state: TrainState, grads: VDM, *, decay: float
) -> TrainState:
    """Return the state after one step along the gradients.

    The average keeps the share min(decay, (1 + n)/(10 + n)) of itself at step n, lest a
    short run remember its start.
    """
    params = eqx.filter(state.vdm, eqx.is_inexact_array)
    updates, opt_state = optimiser.update(grads, state.opt_state, params)  # pyright: ignore[reportArgumentType]
    vdm = eqx.apply_updates(state.vdm, updates)
    keep = jnp.minimum(decay, (1 + state.step) / (10 + state.step))

    def mix(old, new):
        return (
            old + (1 - keep).astype(old.dtype) * (new - old)
            if eqx.is_inexact_array(old)
            else new
        )

    average = jax.tree.map(mix, state.average, vdm)
    return TrainState(vdm, average, opt_state, state.step + 1)


def train(
    optimiser: optax.GradientTransformation,
    state: TrainState,
    batches: Iterable[Num[AnyArray, " n *shape"]],
    *,
    steps: int | None = None,
    decay: float = 0.999,
    key: Key,
) -> Iterator[tuple[TrainState, VLB]]:
    """Yield the state and the batch's mean terms, in nats, after every step.

    Raises:
        ValueError: a batch that is none for this model; the message has the values.
    """
    for batch in batches:
        state.vdm.check(batch, batch=True)
        state, terms = train_step(optimiser, state, batch, steps=steps, decay=decay, key=key)
        yield state, terms
