"""Training: one step in the library, the loop with the caller.

`train` is a generator: `for state, terms in train(init(vdm, optimiser), optimiser, batches, …)`
leaves it to the caller what to log, when to plot and when to stop.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Num

from ._types import AnyArray, Count, Key, check_key, check_kind, count_or_none
from .bound import VLB
from .gradient import training_gradient
from .model import VDM, check_model
from .schedule import gamma_grid

Gradient = Callable[..., tuple[VLB, VDM]]


class TrainState(eqx.Module):
    """All that training carries from one step to the next."""

    vdm: VDM
    average: VDM
    """The exponential moving average of the weights: the model to evaluate and sample."""
    opt_state: optax.OptState
    step: Int[Array, ""]


def init(vdm: VDM, optimiser: optax.GradientTransformation) -> TrainState:
    """Return the state before the first step.

    Raises:
        TypeError: `vdm` is no VDM.
        ValueError: its schedule falls somewhere.
    """
    check_model(vdm)
    gamma_grid(vdm.schedule, 64)
    # The average starts as a copy: two names for one buffer could not be donated.
    average = jax.tree.map(lambda a: jnp.array(a) if eqx.is_array(a) else a, vdm)
    opt_state = optimiser.init(eqx.filter(vdm, eqx.is_inexact_array))
    return TrainState(vdm, average, opt_state, jnp.zeros((), int))


def train_step(
    state: TrainState,
    optimiser: optax.GradientTransformation,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    timesteps: Count | None = None,
    decay: float = 0.999,
    gradient: Gradient = training_gradient,
    key: Key,
) -> tuple[TrainState, VLB]:
    """Descend the mean bound of a batch in bits per dimension; return the terms in nats.

    `timesteps` is T as in `vlb`, `conditions` are those of `VDM.given`. The noise is drawn
    from `fold_in(key, state.step)`, so that a step can be repeated exactly. The gradient is
    compiled once for all optimisers. Another loss than the bound is another `gradient`, called
    as `training_gradient` is.

    Raises:
        TypeError, ValueError: as `batch_vlb` does.
    """
    check_kind(state, TrainState, "init(vdm, optimiser)")
    check_key(key)
    state.vdm.check(data, conditions, batch=True)
    timesteps = count_or_none(timesteps, "timesteps")
    terms, grads = _gradient(gradient, state.vdm, data, conditions, timesteps, state.step, key)
    return _apply(state, optimiser, grads, jnp.asarray(decay, float)), terms


@eqx.filter_jit
def _gradient(gradient, vdm, data, conditions, timesteps, step, key) -> tuple[VLB, VDM]:
    step_key = jax.random.fold_in(key, step)
    terms, grads = gradient(vdm, data, conditions, timesteps=timesteps, key=step_key)
    return terms.mean(), grads


def apply_gradient(
    state: TrainState, optimiser: optax.GradientTransformation, grads: VDM, *, decay: Any
) -> TrainState:
    """Return the state after one step along the gradients.

    The average keeps the share min(decay, (1 + n)/(10 + n)) of itself at step n, lest a
    short run remember its start.
    """
    params = eqx.filter(state.vdm, eqx.is_inexact_array)
    updates, opt_state = optimiser.update(grads, state.opt_state, params)  # pyright: ignore[reportArgumentType]
    vdm = eqx.apply_updates(state.vdm, updates)
    n = state.step.astype(float)
    keep = jnp.minimum(decay, (1 + n) / (10 + n))

    def mix(old, new):
        return (
            old + (1 - keep).astype(old.dtype) * (new - old)
            if eqx.is_inexact_array(old)
            else new
        )

    average = jax.tree.map(mix, state.average, vdm)
    return TrainState(vdm, average, opt_state, state.step + 1)


@eqx.filter_jit
def _apply(state, optimiser, grads, decay) -> TrainState:
    return apply_gradient(state, optimiser, grads, decay=decay)


def train(
    state: TrainState,
    optimiser: optax.GradientTransformation,
    batches: Iterable,
    *,
    timesteps: Count | None = None,
    decay: float = 0.999,
    gradient: Gradient = training_gradient,
    key: Key,
) -> Iterator[tuple[TrainState, VLB]]:
    """Yield the state and the batch's mean terms, in nats, after every step.

    A batch is an array of examples, or a pair of such an array and their conditions; see
    `data.batches`. As many steps are made as there are batches. `timesteps` is T as in `vlb`,
    `gradient` as in `train_step`.

    Raises:
        TypeError, ValueError: a batch that is none for this model; the message has the values.
    """
    check_kind(state, TrainState, "init(vdm, optimiser)")
    knobs: dict[str, Any] = {"timesteps": timesteps, "decay": decay, "gradient": gradient}
    for batch in batches:
        data, conditions = batch if isinstance(batch, tuple | list) else (batch, None)
        state, terms = train_step(state, optimiser, data, conditions, **knobs, key=key)
        yield state, terms
