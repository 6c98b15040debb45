"""A VDM as a codec: its T + 1 latents, and the moves that code examples through them.

    data ── z_0 ── z_1 ── … ── z_T        z_i is the latent at γ_i, the i-th of T + 1 levels

q is a Markov chain that begins at the data, so that both orders of `moves.py` are possible.
Kingma et al. 2021 (§6) announce BB-ANS's. Every latent lives on a grid of its own, as fine as
the narrowest law that it is drawn from asks for.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._types import Count, count
from ..decoder import AbstractDecoder, GaussianDecoder, LevelDecoder, level_values
from ..denoiser import AbstractDenoiser
from ..model import VDM, check_model
from ..process import marginal, posterior, transition
from ..schedule import AbstractSchedule, gamma_grid
from ..storage import cast
from .laws import AbstractLaw, Categories, GridGaussian, Lanes
from .moves import Move, Order, Values

BINS = 4
"""A grid has from 4 to 8 points to the narrowest standard deviation: more change no rate, and
have more to borrow."""
GAMMA = 256
"""Noise levels are multiples of 1/256: a file keeps each in two bytes."""
ROUND = 65536
"""What a network says is rounded to multiples of 1/65536, and is computed in double precision:
so another processor, whose last digits differ, decodes the same."""

Gammas = Integer[np.ndarray, " n"]
"""256 γ at each of the T + 1 noise levels."""


def coding_gammas(schedule: AbstractSchedule, steps: Count) -> Gammas:
    """Return 256 γ at `steps` + 1 even times, as whole numbers: the codec's noise levels.

    Raises:
        ValueError: two neighbours are the same, as there are too many steps; γ beyond ±127.
    """
    gammas = gamma_grid(schedule, count(steps, "steps"))
    whole = np.rint(np.asarray(gammas, np.float64) * GAMMA).astype(np.int64)
    if not (np.diff(whole) > 0).all():
        raise ValueError(f"{steps} steps are too many: noise levels must differ by 1/{GAMMA}")
    if np.abs(whole).max() >= 127 * GAMMA:
        raise ValueError(
            f"γ must lie within ±127, got {whole[0] / GAMMA} to {whole[-1] / GAMMA}"
        )
    return whole


def vdm_moves(
    vdm: VDM, gammas: Gammas, *, lanes: int, order: Order, spacing: float | None = None
) -> list[Move]:
    """Return the moves that code an example "x" in each lane, by the latents "z0" … "zT".

    `gammas` are those of `coding_gammas`, `order` is `bit_swap` or `bb_ans`. A LevelDecoder's
    data are levels; a GaussianDecoder's are multiples of `spacing`, a power of two.

    Raises:
        TypeError: another decoder, or a spacing that is missing or not wanted.
    """
    check_model(vdm)
    points = _points(vdm.decoder, spacing)
    chain, predict, top = _chain(gammas), predictor(vdm.denoiser), len(gammas) - 1
    narrowest = np.minimum(np.append(chain.std_down, 1), np.append(1, chain.std_up))
    steps = 2.0 ** np.floor(np.log2(narrowest / BINS))

    def q_first(values: Values) -> AbstractLaw:
        data = values["x"]
        mean = chain.alpha_0 * (data if spacing is not None else points[data.astype(np.int64)])
        return GridGaussian(mean, chain.sigma_0, steps[0], tight=True)

    def q(i: int, values: Values) -> AbstractLaw:
        mean = chain.up[i - 1] * values[f"z{i - 1}"]
        return GridGaussian(mean, chain.std_up[i - 1], steps[i], tight=True)

    def p_data(values: Values) -> AbstractLaw:
        guess, width = values["z0"] / chain.alpha_0, chain.sigma_0 / chain.alpha_0
        if spacing is not None:
            return GridGaussian(guess, width, spacing)
        return Categories(-0.5 * ((guess[..., None] - points) / width) ** 2)

    def p(i: int, values: Values) -> AbstractLaw:
        z_t = values[f"z{i + 1}"]
        mean = chain.keep[i] * z_t + chain.take[i] * predict(z_t, gammas[i + 1] / GAMMA)
        return GridGaussian(mean, chain.std_down[i], steps[i])

    def prior(_: Values) -> AbstractLaw:
        return GridGaussian(np.zeros((lanes, *vdm.shape)), 1.0, steps[top])

    borrows, pushes = [Move("z0", q_first, borrows=True)], [Move("x", p_data, borrows=False)]
    for i in range(top):
        borrows.append(Move(f"z{i + 1}", partial(q, i + 1), borrows=True))
        pushes.append(Move(f"z{i}", partial(p, i), borrows=False))
    pushes.append(Move(f"z{top}", prior, borrows=False))
    return order(borrows, pushes)


def _points(decoder: AbstractDecoder, spacing: float | None) -> Float[np.ndarray, " levels"]:
    """Return the values of the levels; there are none where data has a spacing."""
    if isinstance(decoder, LevelDecoder) and spacing is None:
        with double_precision():
            return np.asarray(level_values(decoder.levels))
    if isinstance(decoder, GaussianDecoder) and spacing is not None:
        return np.empty(0)
    raise TypeError(
        "data is coded by a LevelDecoder, or by a GaussianDecoder and the spacing of its "
        f"numbers, got a {type(decoder).__name__} and spacing={spacing}"
    )


class _Chain(NamedTuple):
    """The numbers that a chain's Gaussians are made of; entry i is of levels i and i + 1."""

    alpha_0: float
    sigma_0: float
    up: Float[np.ndarray, " steps"]
    std_up: Float[np.ndarray, " steps"]
    keep: Float[np.ndarray, " steps"]
    take: Float[np.ndarray, " steps"]
    std_down: Float[np.ndarray, " steps"]


def _chain(gammas: Gammas) -> _Chain:
    """Return the chain's numbers, read off from `process`, to single precision."""

    def one(s: Float[Array, ""], t: Float[Array, ""]):
        unit, zero = jnp.ones(()), jnp.zeros(())
        rise, known = transition(unit, s, t), posterior(zero, unit, s, t)
        return rise.mean, rise.std, posterior(unit, zero, s, t).mean, known.mean, known.std

    with double_precision():
        levels = jnp.asarray(gammas / GAMMA)
        first = marginal(jnp.ones(()), levels[0])
        found = (first.mean, first.std, *jax.vmap(one)(levels[:-1], levels[1:]))
        # Less than is known: the last digits, which differ between machines, go.
        rounded = [np.asarray(a).astype(np.float32).astype(np.float64) for a in found]
    return _Chain(float(rounded[0]), float(rounded[1]), *rounded[2:])


def predictor(denoiser: AbstractDenoiser) -> Callable[[Lanes, float], Lanes]:
    """Return (z, γ) ↦ x̂ for a latent in each lane, in double precision and then rounded.

    The same number of lanes has to go in on both sides, as XLA's sums may depend on it.
    """
    double = in_double(denoiser)

    def predict(z: Lanes, gamma: float) -> Lanes:
        with double_precision():
            x_hat = _guess(double, jnp.asarray(z), jnp.asarray(gamma, jnp.float64))
            return np.rint(np.asarray(x_hat) * ROUND) / ROUND

    return predict


@eqx.filter_jit
def _guess(denoiser, z, gamma):
    return jax.vmap(lambda z: denoiser(z, gamma).x)(z)


def in_double(module: Any) -> Any:
    """Return a module whose real numbers are in double precision."""
    with double_precision():
        return cast(module, jnp.float64)


def double_precision() -> AbstractContextManager:
    """Return a context in which JAX computes in float64, whatever it does outside."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # pyright: ignore  (in older versions)

    return enable_x64()
