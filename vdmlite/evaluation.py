"""Measuring a model: its bound on a whole data set, and how sure we are.

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
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from ._types import AnyArray, Count, Key, Scalar, check_key, count, count_or_none, is_key
from .bound import VLB, bits_per_dim, schedule_point, spread_times, vlb_at
from .model import VDM, check_model
from .schedule import AbstractSchedule, FixedLinear, gamma_grid
from .storage import VERSIONS, load, read_meta, save

SAVE_EVERY = 30.0
"""Seconds between two saves of an evaluation that keeps a file."""


class Estimate(NamedTuple):
    """A mean and its standard error: f"{estimate:.3f}" reads 1.867 ± 0.010."""

    mean: Scalar
    error: Scalar

    def __format__(self, spec: str) -> str:
        """Return both numbers, each in the format asked for."""
        return f"{float(self.mean):{spec or '.4g'}} ± {float(self.error):{spec or '.2g'}}"

    def __str__(self) -> str:
        """Return both numbers in few digits."""
        return format(self)


class Terms(NamedTuple):
    """An estimate of each term of the bound, and of the whole; the errors don't add up."""

    prior: Estimate
    reconstruction: Estimate
    diffusion: Estimate
    loss: Estimate


class Evaluation(eqx.Module):
    """The bound of a data set, from several passes over it."""

    passes: VLB
    """Each term's mean over each pass, in nats, of shape (draws,)."""
    size: int
    """How many draws of the bound make a pass: examples · times."""
    variance: float
    """Of one draw of the whole bound, at an example and a time by chance, in nats²."""
    shape: tuple[int, ...]
    """That of one example."""

    @property
    def nats(self) -> Terms:
        """The bound and its terms, in nats an example, each with its standard error."""
        return _terms(self.passes)

    @property
    def bits(self) -> Terms:
        """The bound and its terms, in bits per dimension, each with its standard error."""
        return bits_per_dim(self.nats, self.shape)

    @property
    def spread_variance(self) -> float:
        """What `variance` would be if draws at spread times were independent, in nats².

        That is, `size` times the variance of a pass. It is smaller where times explain much
        of the variance, and known to a fraction √(2/(draws − 1)).
        """
        return self.size * float(jnp.var(self.passes.loss, ddof=1))

    def minus(self, other: "Evaluation") -> Terms:
        """Return by how much this bound lies above another, in nats, paired pass by pass."""
        return _terms(jax.tree.map(jnp.subtract, self.passes, other.passes))


def _terms(passes: VLB) -> Terms:
    each = (passes.prior, passes.reconstruction, passes.diffusion, passes.loss)
    return Terms(*(Estimate(jnp.mean(a), jnp.std(a, ddof=1) / len(a) ** 0.5) for a in each))


def evaluate(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    timesteps: Count | None = None,
    draws: Count = 8,
    times: Count = 1,
    batch_size: Count = 512,
    file: str | os.PathLike | None = None,
    key: Key,
) -> Evaluation:
    """Estimate the mean bound over a data set from `draws` independent passes.

    A pass sees every example `times` times. Its times are spread over the whole pass, and
    those of each example are evenly spread as well. `timesteps` is T as in `vlb`; there is no
    dropout. With a `file`, draws are kept there now and then, and a repeated call goes on
    from them. Compiled once for all schedules.

    Raises:
        TypeError: as `vlb` does.
        ValueError: as `vlb` does; fewer than 2 draws; an empty data set or batch; a schedule
            that falls; a file of another model, data set or setting.
    """
    check_model(vdm)
    check_key(key)
    vdm.check(data, conditions, batch=True)
    gamma_grid(vdm.schedule, 64)
    timesteps, draws = count_or_none(timesteps, "timesteps"), count(draws, "draws", 2)
    size, batch_size = len(data) * count(times, "times"), count(batch_size, "batch_size")
    plan = _Plan(vdm, data, conditions, timesteps, draws, size, key)
    kept = _Kept(file, plan.known_by)
    found, start, stop = [kept.terms], kept.terms.shape[1], draws * size
    for terms in in_batches(plan.draw, start, stop, batch_size):
        found.append(np.stack([terms.prior, terms.reconstruction, terms.diffusion]))
        kept.save(found)
    kept.save(found, last=True)
    terms = np.concatenate(found, 1).astype(np.float64).reshape(3, draws, size)
    passes = VLB(*jnp.asarray(terms.mean(-1), jnp.result_type(float)))
    return Evaluation(passes, size, float(terms.sum(0).var()), vdm.shape)


class _Plan:
    """Every draw of an evaluation by its number: of which example, at which time."""

    def __init__(self, vdm, data, conditions, timesteps, draws, size, key):
        time_key, self.noise_key = jax.random.split(key)
        comb = jax.vmap(lambda k: spread_times(size, key=k))(jax.random.split(time_key, draws))
        self.times, self.rows = (
            np.asarray(comb).reshape(-1),
            np.arange(draws * size) % len(data),
        )
        self.schedule = vdm.schedule
        # The program sees a schedule's points alone, so that it is one for all schedules.
        self.vdm = eqx.nn.inference_mode(vdm.under(FixedLinear()))
        self.data, self.conditions, self.timesteps = data, conditions, timesteps
        self.numbers = [timesteps, draws, size, key]

    def given(self, some: np.ndarray) -> tuple:
        """Return what draws of these numbers are computed from."""
        beside = None if self.conditions is None else self.conditions[self.rows[some]]
        points = _points(self.schedule, self.times[some], self.timesteps)
        return self.vdm, self.data[self.rows[some]], beside, points, some, self.noise_key

    def draw(self, some: np.ndarray) -> VLB:
        """Return the draws of these numbers."""
        return _draws(*self.given(some))

    def known_by(self) -> list:
        """Return all that the draws depend on."""
        first = np.zeros(1, int)
        points = _program(_points, self.schedule, self.times[first], self.timesteps)
        programs = [points, _program(_draws, *self.given(first))]
        return [programs, self.schedule, self.vdm, self.data, self.conditions, self.numbers]


def compare_schedules(
    vdm: VDM,
    schedules: Mapping[str, AbstractSchedule],
    data: Num[AnyArray, " n *shape"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    key: Key,
    **options: Any,
) -> dict[str, Evaluation]:
    """Evaluate one model under many schedules, with the same examples, times and noise.

    `options` are those of `evaluate`, but `file`; `Evaluation.minus` gives the paired
    differences.
    """
    check_model(vdm)
    if "file" in options:
        raise ValueError("a file keeps the draws under one schedule: call evaluate for each")
    return {
        name: evaluate(vdm.under(schedule), data, conditions, key=key, **options)
        for name, schedule in schedules.items()
    }


@eqx.filter_jit
def _points(schedule, times, timesteps):
    return jax.vmap(lambda t: schedule_point(schedule, t, timesteps))(times)


@eqx.filter_jit
def _draws(vdm, data, conditions, points, index, key) -> VLB:
    """Return draw number `index` of the bound for each example of a batch."""

    def one(x, condition, point, j):
        return vlb_at(vdm.given(condition), x, point, key=jax.random.fold_in(key, j))

    return jax.vmap(one)(data, conditions, points, index)


def in_batches(draw: Callable, start: int, stop: int, batch_size: int) -> Iterator:
    """Yield draw(numbers) for start … stop in batches, the last one filled up and cut.

    So all batches have one shape, and `draw` is compiled once.
    """
    batch_size = min(batch_size, stop)
    for first in range(start, stop, batch_size):
        some = np.arange(first, first + batch_size)
        values = draw(np.minimum(some, stop - 1))
        yield jax.tree.map(lambda a: np.asarray(a)[: stop - first], values)  # noqa: B023


def _program(compiled: Any, *arguments: Any) -> str:
    """Return what XLA is given to compile, as text."""
    text = compiled.lower(*arguments).as_text()
    if re.search(r"xla\w*python\w*callback", text):
        raise ValueError("a model that calls back into Python may change: keep no file of it")
    return text


class _Kept:
    """The draws that a file keeps, if there is one; `of()` is all that they depend on."""

    def __init__(self, file: str | os.PathLike | None, of: Callable[[], Any]):
        self.file, self.saved = None if file is None else Path(file), time.monotonic()
        self.terms, self.fingerprint = np.zeros((3, 0), jnp.result_type(float)), ""
        if self.file is None:
            return
        if not self.file.parent.is_dir():
            raise ValueError(f"there is no folder {self.file.parent} to keep draws in")
        self.fingerprint = _fingerprint(of())
        if self.file.exists():
            meta = read_meta(self.file)
            if meta.get("fingerprint") != self.fingerprint:
                raise ValueError(
                    f"{self.file} is of another model, data set, setting or version"
                )
            self.terms = load(self.file, np.zeros((3, meta["draws"]), self.terms.dtype))

    def save(self, found: list[np.ndarray], *, last: bool = False) -> None:
        """Write what was found, whole or not at all, if it is time to."""
        if self.file is None or not (last or time.monotonic() - self.saved > SAVE_EVERY):
            return
        terms = np.concatenate(found, 1)
        save(self.file, terms, {"fingerprint": self.fingerprint, "draws": terms.shape[1]})
        self.saved = time.monotonic()


def _fingerprint(of: Any) -> str:
    """Return a digest of the arrays, numbers and texts in a tree, the same in any process.

    Functions in it are passed over: the texts are what XLA compiles of them, be they closures,
    lambdas or methods that were edited meanwhile.
    """
    digest = hashlib.sha256(repr((VERSIONS, jax.default_backend())).encode())
    for leaf in jax.tree.leaves(of):
        if eqx.is_array(leaf):
            array = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
            digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        elif isinstance(leaf, int | float | str):
            digest.update(f"{type(leaf).__name__} {leaf}\n".encode())
    return digest.hexdigest()
