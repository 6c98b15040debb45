"""Measuring a model: its bound on a whole data set, where it is spent, and how sure we are.

The error of an evaluation is its Monte-Carlo error, that of the times and the noise drawn,
for exactly the examples given. A draw depends on the key and its number: neither on the
size of the batches nor on where an interrupted run was taken up again.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ._types import AnyArray, Key, Scalar
from .bound import VLB, spread_times, squared_error, vlb
from .files import whole_file
from .model import VDM
from .schedule import AbstractSchedule

SAVE_EVERY = 30.0
"""Seconds between two saves of an evaluation that keeps a file."""


class Evaluation(eqx.Module):
    """The bound of a data set in nats, from several passes over it."""

    passes: VLB
    """Each term's mean over each pass, of shape (draws,)."""
    size: int
    """How many draws of the bound make a pass: examples · times."""
    variance: float
    """Of one draw of the whole bound, at an example and a time by chance, in nats²."""

    @property
    def mean(self) -> VLB:
        """Each term's mean."""
        return self.passes.mean()

    @property
    def error(self) -> VLB:
        """The standard error of each term's mean, from the spread of the passes."""
        return jax.tree.map(_standard_error, self.passes)

    @property
    def loss_error(self) -> Scalar:
        """The standard error of the whole bound's mean."""
        return _standard_error(self.passes.loss)

    @property
    def spread_variance(self) -> float:
        """What `variance` would be if draws at spread times were independent, in nats².

        That is, `size` times the variance of a pass. It is smaller where times explain much
        of the variance, and known to a fraction √(2/(draws − 1)).
        """
        return self.size * float(jnp.var(self.passes.loss, ddof=1))

    def minus(self, other: "Evaluation") -> tuple[Scalar, Scalar]:
        """Return by how much this bound lies above another, pass by pass, and the error."""
        gaps = self.passes.loss - other.passes.loss
        return jnp.mean(gaps), _standard_error(gaps)


def evaluate(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    *,
    steps: int | None = None,
    draws: int = 8,
    times: int = 1,
    batch_size: int = 512,
    file: str | os.PathLike | None = None,
    key: Key,
) -> Evaluation:
    """Estimate the mean bound over a data set from `draws` independent passes, in nats.

    A pass sees every example `times` times. Its times are spread over the whole pass, and
    those of each example are evenly spread as well. `steps` is T as in `vlb`; there is no
    dropout. With a `file`, draws are kept there now and then, and a repeated call goes on
    from them.

    Raises:
        ValueError: as `vlb` does; fewer than 2 draws; an empty data set or batch; a file of
            another model, data set or setting.
    """
    vdm.check(data, batch=True)
    if draws < 2:
        raise ValueError(f"a standard error needs at least 2 draws, got {draws}")
    vdm = eqx.nn.inference_mode(vdm)
    n = len(data)
    if min(n, batch_size, times) < 1:
        raise ValueError(
            f"nothing to evaluate: {n} examples, {times} times each, in batches of {batch_size}"
        )
    size, (time_key, noise_key) = n * times, jax.random.split(key)
    comb = jax.vmap(lambda k: spread_times(size, key=k))(jax.random.split(time_key, draws))
    comb, rows = np.asarray(comb).reshape(-1), np.arange(draws * size) % n

    def draw(some: np.ndarray) -> VLB:
        return _draws(vdm, data[rows[some]], comb[some], some, steps, noise_key)

    kept = _Kept(file, (vdm, np.asarray(data), steps, draws, times, jax.random.key_data(key)))
    found = [kept.terms]
    for terms in _in_batches(draw, kept.terms.shape[1], draws * size, batch_size):
        found.append(np.stack([terms.prior, terms.reconstruction, terms.diffusion]))
        kept.save(found)
    terms = np.concatenate(found, 1).astype(np.float64).reshape(3, draws, size)
    kept.save(found, last=True)
    passes = VLB(*jnp.asarray(terms.mean(-1), jnp.result_type(float)))
    return Evaluation(passes, size, float(terms.sum(0).var()))


def compare_schedules(
    vdm: VDM,
    schedules: Mapping[str, AbstractSchedule],
    data: Num[AnyArray, " n *shape"],
    *,
    key: Key,
    **options,
) -> dict[str, Evaluation]:
    """Evaluate one model under many schedules, with the same examples, times and noise.

    `options` are those of `evaluate`, but `file`; `Evaluation.minus` gives the paired
    differences.
    """
    if "file" in options:
        raise ValueError("a file keeps the draws under one schedule: call evaluate for each")
    return {
        name: evaluate(vdm.under(schedule), data, key=key, **options)
        for name, schedule in schedules.items()
    }


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
        grid = (jnp.arange(20_000) + 0.5) / 20_000
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
    *,
    draws: int = 256,
    batch_size: int = 512,
    key: Key,
) -> ErrorCurve:
    """Measure ‖ε − ε̂‖² at rising values of γ, from `draws` examples with a noise each.

    All γ share them, so that the curve is smooth and its errors, of examples and noise, go up
    and down together.

    Raises:
        ValueError: as `vlb` does; fewer than 2 draws; nothing to measure; γ does not rise.
    """
    vdm.check(data, batch=True)
    vdm, gammas = eqx.nn.inference_mode(vdm), np.asarray(gammas)
    if draws < 2 or min(len(data), len(gammas), batch_size) < 1:
        raise ValueError(
            f"nothing to measure: {len(data)} examples, {len(gammas)} values of γ, {draws} "
            f"draws (at least 2), in batches of {batch_size}"
        )
    if not np.all(np.diff(gammas) > 0):
        raise ValueError("the values of γ must rise from each to the next")

    def draw(some: np.ndarray) -> Float[AnyArray, " batch"]:
        which = some % draws
        level = jnp.asarray(gammas[some // draws], jnp.result_type(float))
        return _errors(vdm, data[which % len(data)], level, which, key)

    found = np.concatenate(list(_in_batches(draw, 0, draws * len(gammas), batch_size)))
    m = found.astype(np.float64).reshape(-1, draws)
    error = m.std(1, ddof=1) / np.sqrt(draws)
    return ErrorCurve(gammas.astype(np.float64), m.mean(1), error, (m**2).mean(1))


@eqx.filter_jit
def _draws(vdm, data, times, index, steps, key) -> VLB:
    """Return draw number `index` of the bound for each example of a batch."""

    def one(x, t, j):
        return vlb(vdm, x, t, steps=steps, key=jax.random.fold_in(key, j))

    return jax.vmap(one)(data, times, index)


@eqx.filter_jit
def _errors(vdm, data, gammas, index, key):
    """Return ‖ε − ε̂‖² for each example of a batch, at its own γ and number of a noise."""

    def one(x, gamma, j):
        x = vdm.decoder.embed(x)
        return squared_error(vdm, x, gamma, key=jax.random.fold_in(key, j))

    return jax.vmap(one)(data, gammas, index)


def _in_batches(draw: Callable, start: int, stop: int, batch_size: int) -> Iterator:
    """Yield draw(numbers) for start … stop in batches, the last one filled up and cut.

    So all batches have one shape, and `draw` is compiled once.
    """
    batch_size = min(batch_size, stop)
    for first in range(start, stop, batch_size):
        some = np.arange(first, first + batch_size)
        values = draw(np.minimum(some, stop - 1))
        yield jax.tree.map(lambda a: np.asarray(a)[: stop - first], values)  # noqa: B023


class _Kept:
    """The draws that a file keeps, if there is one; `of` is all that they depend on."""

    def __init__(self, file: str | os.PathLike | None, of: tuple):
        self.file, self.saved = None if file is None else Path(file), time.monotonic()
        self.terms, self.fingerprint = np.zeros((3, 0), np.float32), ""
        if self.file is None:
            return
        if not self.file.parent.is_dir():
            raise ValueError(f"there is no folder {self.file.parent} to keep draws in")
        self.fingerprint = _fingerprint(of)
        if self.file.exists():
            with np.load(self.file, allow_pickle=False) as found:
                if str(found["fingerprint"]) != self.fingerprint:
                    raise ValueError(f"{self.file} is of another model, data set or setting")
                self.terms = found["terms"]

    def save(self, found: list[np.ndarray], *, last: bool = False) -> None:
        """Write what was found, whole or not at all, if it is time to."""
        if self.file is None or not (last or time.monotonic() - self.saved > SAVE_EVERY):
            return
        with whole_file(self.file) as target:
            np.savez(target, fingerprint=self.fingerprint, terms=np.concatenate(found, 1))
        self.saved = time.monotonic()


def _fingerprint(of: tuple) -> str:
    """Return a digest of all arrays and settings in a tree, the same in any process."""
    leaves, structure = jax.tree.flatten(of)
    arrays = [np.asarray(leaf) for leaf in leaves if eqx.is_array(leaf)]
    others = [leaf for leaf in leaves if not eqx.is_array(leaf)]
    words = f"{structure} {others} {[(a.dtype, a.shape) for a in arrays]}"
    words = re.sub(r" at 0x\w+", "", words)  # a function's place differs from run to run
    return hashlib.sha256(
        b"".join([words.encode(), *(a.tobytes() for a in arrays)])
    ).hexdigest()


def _standard_error(values: Float[Array, " n"]) -> Scalar:
    return jnp.std(values, ddof=1) / np.sqrt(len(values))
