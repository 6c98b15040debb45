"""Sampling: walk from noise back to data, one reverse step at a time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Num

from ._types import Key
from .model import VDM


@eqx.filter_jit
def sample(vdm: VDM, steps: int, *, key: Key) -> Num[Array, "*shape"]:
    """Draw one example by `steps` ancestral steps, each a draw from p(z_s | z_t) (§3.3).

    The last latent goes through the decoder to its most likely data, as in the published
    VDM. For many examples: `jax.vmap(lambda k: sample(vdm, steps, key=k))(keys)`.
    """
    if steps < 1:
        raise ValueError(f"sampling needs at least 1 step, got {steps}")
    first_key, walk_key = jax.random.split(key)
    times = jnp.linspace(1.0, 0.0, steps + 1)

    def step(z_t, s_t_key):
        s, t, step_key = s_t_key
        return vdm.reverse(z_t, s, t).sample(key=step_key), None

    keys = jax.random.split(walk_key, steps)
    z_1 = vdm.prior.sample(key=first_key)
    z_0, _ = jax.lax.scan(step, z_1, (times[1:], times[:-1], keys))
    return vdm.decoder.mode(z_0, vdm.schedule(0.0))
