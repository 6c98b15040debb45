"""The error along γ: where the bound is spent, and what any schedule would make of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from ._types import AnyArray, Count, Key, check_key, count
from .bound import squared_error
from .evaluation import in_batches
from .model import VDM, check_model
from .schedule import AbstractSchedule, FixedLinear


class ErrorCurve(eqx.Module):
    """m(γ) = ‖ε − ε̂(z_γ; γ)‖² along γ: its mean over data and noise, with its error."""

    gammas: Float[np.ndarray, " n"]
    mean: Float[np.ndarray, " n"]
    error: Float[np.ndarray, " n"]
    square: Float[np.ndarray, " n"]
    """The mean of m(γ)²."""

    @property
    def loss(self) -> float:
        """½ ∫ E m dγ, the continuous diffusion loss in nats, by the trapezoid rule."""
        return float(0.5 * np.trapezoid(self.mean, self.gammas))

    @property
    def spent(self) -> Float[np.ndarray, " n"]:
        """The share of that loss which is spent below each γ, from 0 to 1."""
        pieces = 0.5 * (self.mean[1:] + self.mean[:-1]) * np.diff(self.gammas)
        return np.concatenate([[0.0], np.cumsum(pieces)]) / np.sum(pieces)

    def variance(self, schedule: AbstractSchedule) -> float:
        """Return the variance of ½ γ′ m(γ) at one uniform time under a schedule, in nats².

        E[ℓ²] − E[ℓ]², with E[ℓ²] = ¼ ∫ γ′ E[m²] dγ: no further draws are needed.

        Raises:
            ValueError: the schedule has other ends than the curve.
        """
        first, last = (float(schedule(t)) for t in (0.0, 1.0))
        if not np.allclose([first, last], self.gammas[[0, -1]], atol=1e-3):
            raise ValueError(
                f"the curve runs from γ = {self.gammas[0]:g} to {self.gammas[-1]:g}, "
                f"the schedule from {first:g} to {last:g}"
            )
        grid = jnp.asarray((np.arange(20_000) + 0.5) / 20_000, jnp.result_type(float))
        gammas, slopes = map(np.asarray, jax.vmap(schedule.slope)(grid))
        square = 0.25 * np.mean(slopes**2 * np.interp(gammas, self.gammas, self.square))
        return float(square - self.loss**2)

    @property
    def least_variance(self) -> float:
        """The variance under the best schedule between these ends, in nats².

        It draws γ with density p*(γ) ∝ √E[m²], and then E[ℓ²] = ¼ (∫ √E[m²] dγ)².
        """
        root = np.trapezoid(np.sqrt(self.square), self.gammas)
        return float(0.25 * root**2 - self.loss**2)


def error_curve(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    gammas: Float[AnyArray, " m"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    draws: Count = 256,
    batch_size: Count = 512,
    key: Key,
) -> ErrorCurve:
    """Measure ‖ε − ε̂‖² at rising values of γ, from `draws` examples with a noise each.

    The examples are evenly spread over the data, each taken once, or as often as any other but
    for one time. All γ share them, so that the curve is smooth and its errors go up and down
    together. The error is that of a mean over all data like these: draws of one example count
    as one. (Of a single example in all, it is the error of the noise alone.)

    Raises:
        TypeError: as `vlb` does.
        ValueError: as `vlb` does; fewer than 2 draws; nothing to measure; γ does not rise.
    """
    m, rows = error_draws(
        vdm, data, gammas, conditions, draws=draws, batch_size=batch_size, key=key
    )
    levels = np.asarray(gammas, np.float64)
    return ErrorCurve(levels, m.mean(1), standard_error(m, rows), (m**2).mean(1))


def error_draws(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    gammas: Float[AnyArray, " m"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    draws: Count = 256,
    batch_size: Count = 512,
    key: Key,
) -> tuple[Float[np.ndarray, "m draws"], Int[np.ndarray, " draws"]]:
    """Return each draw of ‖ε − ε̂‖² behind an `error_curve`, and the example it is of.

    Raises:
        TypeError, ValueError: as `error_curve` does.
    """
    check_model(vdm)
    check_key(key)
    vdm.check(data, conditions, batch=True)
    # The schedule is not looked at: under any other one nothing is compiled anew.
    vdm, gammas = eqx.nn.inference_mode(vdm.under(FixedLinear())), np.asarray(gammas)
    draws, n = count(draws, "draws", 2), len(data)
    if len(gammas) < 1 or not np.all(np.diff(gammas) > 0):
        raise ValueError(f"the values of γ must rise from each to the next, got {gammas}")
    rows = np.arange(draws) * n // draws if draws < n else np.arange(draws) % n

    def draw(some: np.ndarray) -> Float[AnyArray, " batch"]:
        which = some % draws
        given = None if conditions is None else conditions[rows[which]]
        level = jnp.asarray(gammas[some // draws], jnp.result_type(float))
        return _errors(vdm, data[rows[which]], given, level, which, key)

    batches = in_batches(draw, 0, draws * len(gammas), count(batch_size, "batch_size"))
    return np.concatenate(list(batches)).astype(np.float64).reshape(-1, draws), rows


def standard_error(
    m: Float[np.ndarray, "gammas draws"], rows: Int[np.ndarray, " draws"]
) -> Float[np.ndarray, " gammas"]:
    """Return the standard error of each row's mean; draws of one example are one cluster."""
    clusters = rows if np.ptp(rows) else np.arange(len(rows))
    away, groups = m - m.mean(1, keepdims=True), int(clusters.max()) + 1
    sums = np.stack([np.bincount(clusters, a, groups) for a in away])
    used = len(np.unique(clusters))
    return np.sqrt((sums**2).sum(1) * used / (used - 1)) / m.shape[1]


@eqx.filter_jit
def _errors(vdm, data, conditions, gammas, index, key):
    """Return ‖ε − ε̂‖² for each example of a batch, at its own γ and number of a noise."""

    def one(x, condition, gamma, j):
        x = vdm.decoder.embed(x)
        noise_key = jax.random.fold_in(key, j)
        return squared_error(vdm.given(condition), x, gamma, key=noise_key)

    return jax.vmap(one)(data, conditions, gammas, index)
