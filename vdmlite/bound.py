"""The bound: what a model pays, in nats, to describe an example.

    −log p(x) ≤ prior + reconstruction + diffusion        (Kingma et al. 2021, §3.5)

Single examples and single draws: average over keys and times to estimate the bound. The
two diffusion losses differ in one line, which is the step from finite T to T → ∞.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ._types import AnyArray, Key, Scalar, ScalarLike
from .gaussian import kl
from .model import VDM
from .process import marginal


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


def prior_loss(vdm: VDM, x: Float[Array, "*shape"]) -> Scalar:
    """Return KL(q(z_1 | x) ‖ N(0, I)): what is left of x at the noisy end."""
    return kl(marginal(x, vdm.schedule(1.0)), vdm.prior)


def reconstruction_loss(vdm: VDM, data: Num[AnyArray, "*shape"], *, key: Key) -> Scalar:
    """Return −log p(data | z_0) for one z_0 ~ q(z_0 | x): what is lost at the clean end."""
    gamma_0 = vdm.schedule(0.0)
    z_0 = marginal(vdm.decoder.embed(data), gamma_0).sample(key=key)
    return -vdm.decoder.log_prob(data, z_0, gamma_0)


def continuous_diffusion_loss(
    vdm: VDM, x: Float[Array, "*shape"], t: ScalarLike, *, key: Key
) -> Scalar:
    """Return ½ γ′(t) ‖ε − ε̂(z_t; γ_t)‖², whose mean over t ~ U(0, 1) and ε is L_∞ (§5)."""
    gamma_t, slope = vdm.schedule.slope(t)
    return 0.5 * slope * squared_error(vdm, x, gamma_t, key=key)


def discrete_diffusion_loss(
    vdm: VDM, x: Float[Array, "*shape"], t: ScalarLike, steps: int, *, key: Key
) -> Scalar:
    """Return ½ T expm1(γ_t − γ_s) ‖ε − ε̂(z_t; γ_t)‖² with s = t − 1/T, T = `steps`.

    Its mean over t ∈ {1/T, 2/T, …, 1} and ε is L_T, the sum of T Kullback-Leibler
    divergences (§4). Any t ∈ [0, 1] is rounded up to the next of these times.
    """
    t = jnp.asarray(t)
    # i/T times T may come out a hair above i: less than a hair down, before rounding up.
    step = jnp.clip(jnp.ceil(t * steps * (1 - 2 * jnp.finfo(t.dtype).eps)), 1, steps)
    gamma_s, gamma_t = vdm.schedule((step - 1) / steps), vdm.schedule(step / steps)
    weight = steps * jnp.expm1(gamma_t - gamma_s)
    return 0.5 * weight * squared_error(vdm, x, gamma_t, key=key)


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
    steps: int | None = None,
    key: Key,
) -> VLB:
    """Return one draw of the bound for one example, in nats, with the diffusion term at t.

    `steps` is T, the number of reverse steps the bound is for; None means T → ∞. A network's
    dropout is at work here, unless `vdm` is `eqx.nn.inference_mode(vdm)`.

    Raises:
        ValueError: `data` has not the model's shape, or no values for its decoder;
            `steps` is not a positive number.
    """
    vdm.check(data)
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, or None for T → ∞, got {steps}")
    reconstruction_key, diffusion_key = jax.random.split(key)
    x = vdm.decoder.embed(data)
    if steps is None:
        diffusion = continuous_diffusion_loss(vdm, x, t, key=diffusion_key)
    else:
        diffusion = discrete_diffusion_loss(vdm, x, t, steps, key=diffusion_key)
    reconstruction = reconstruction_loss(vdm, data, key=reconstruction_key)
    return VLB(prior_loss(vdm, x), reconstruction, diffusion)


def spread_times(n: int, *, key: Key) -> Float[Array, " n"]:
    """Return n times (u + i/n) mod 1 with one u ~ U(0, 1): each uniform, together spread out.

    The low-discrepancy sampler of Kingma et al. 2021, appendix I.1.
    """
    return (jax.random.uniform(key) + jnp.arange(n) / n) % 1.0


def batch_vlb(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    steps: int | None = None,
    key: Key,
) -> VLB:
    """Return one draw of the bound for each example of a batch, times spread over the batch.

    `conditions`, one for each example, are those of `VDM.given`.

    Raises:
        ValueError: as `vlb` does.
    """
    vdm.check(data, batch=True)
    n = data.shape[0]
    time_key, noise_key = jax.random.split(key)
    t = spread_times(n, key=time_key)
    keys = jax.random.split(noise_key, n)

    def one(x, condition, t, key) -> VLB:
        return vlb(vdm.given(condition), x, t, steps=steps, key=key)

    return jax.vmap(one)(data, conditions, t, keys)


def bits_per_dim(
    nats: Float[Array, "*batch"], shape: tuple[int, ...]
) -> Float[Array, "*batch"]:
    """Return nats / (D ln 2) for examples of the given shape, D its number of dimensions."""
    return nats / (np.prod(shape) * np.log(2))
