"""Training: one step in the library, the loop with the caller.

`train` is a generator: `for state, terms in train(optimiser, init(vdm, optimiser), …)`
leaves it to the caller what to log, when to plot and when to stop.
"""

from collections.abc import Iterable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Num

from ._types import AnyArray, Key
from .bound import VLB, batch_vlb, bits_per_dim
from .model import VDM


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


@eqx.filter_jit
def train_step(
    optimiser: optax.GradientTransformation,
    state: TrainState,
    batch: Num[AnyArray, " n *shape"],
    *,
    steps: int | None = None,
    decay: float = 0.999,
    key: Key,
) -> tuple[TrainState, VLB]:
    """Descend the mean bound of a batch in bits per dimension; return the terms in nats.

    `steps` is T as in `vlb`. The noise is drawn from `fold_in(key, state.step)`, so that
    a step can be repeated exactly. The average forgets at rate min(decay, (1 + n)/(10 + n))
    at step n, lest a short run remember its start.
    """
    data, step_key = jnp.asarray(batch), jax.random.fold_in(key, state.step)

    def loss(vdm):
        terms = batch_vlb(vdm, data, steps=steps, key=step_key)
        return bits_per_dim(jnp.mean(terms.loss), vdm.shape), terms.mean()

    (_, terms), grads = eqx.filter_value_and_grad(loss, has_aux=True)(state.vdm)
    params = eqx.filter(state.vdm, eqx.is_inexact_array)
    updates, opt_state = optimiser.update(grads, state.opt_state, params)
    vdm = eqx.apply_updates(state.vdm, updates)
    keep = jnp.minimum(decay, (1 + state.step) / (10 + state.step))

    def mix(old, new):
        return keep * old + (1 - keep) * new if eqx.is_inexact_array(old) else new

    average = jax.tree.map(mix, state.average, vdm)
    return TrainState(vdm, average, opt_state, state.step + 1), terms


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
