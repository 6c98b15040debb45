"""A hierarchical VAE whose latents form a Markov chain, and its codes: Bit-Swap's model.

    q:  x ──► z_1 ──► z_2 ──► … ──► z_L          trained, where a VDM's q is fixed
    p:  x ◄── z_1 ◄── z_2 ◄── … ◄── z_L

Every law depends on its neighbour alone, so that borrowing and pushing can take turns
(F. Kingma, Abbeel and Ho 2019); with L = 1 it is the VAE of BB-ANS (Townsend, Bird and Barber
2019). A *conditional* is a function from the neighbour to a law, an object with `sample` and
`log_prob`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._types import AnyArray, Count, Key, Scalar, count
from ..codec.laws import AbstractLaw, Categories
from ..codec.moves import Move, Order, Values
from ..codec.vdm import ROUND, double_precision, in_double
from ..decoder import LevelDecoder
from .logistic import DiscretisedLogistic, Logistic, log_mass

Conditional = Callable[[Float[Array, "..."]], Any]


class Hierarchy(eqx.Module):
    """L latents above data: `up[i]` is q(z_{i+1} | z_i), `down[i]` is p(z_i | z_{i+1}).

    z_0 is x, as `embed` turns it into real numbers for q; `down[0]` gives a law of the data
    themselves.
    """

    embed: Callable[..., Float[Array, "..."]]
    up: tuple[Conditional, ...]
    down: tuple[Conditional, ...]
    prior: Any

    def __check_init__(self):
        if not self.up or len(self.up) != len(self.down):
            raise ValueError(
                "a hierarchy has one conditional up and one down for each of its latents, got "
                f"{len(self.up)} up and {len(self.down)} down"
            )


class Terms(NamedTuple):
    """One draw of the negative ELBO of one example, in nats: the sum of all its numbers."""

    data: Scalar
    """−log p(x | z_1)."""
    latents: Float[Array, " L"]
    """log q(z_i | z_{i−1}) − log p(z_i | z_{i+1}) for i = 1 … L; given z_{i−1} and z_{i+1} its
    mean is a divergence: how far what climbs is from what comes down."""

    @property
    def total(self) -> Scalar:
        """−log p(x, z) + log q(z | x)."""
        return self.data + jnp.sum(self.latents)


def terms(model: Hierarchy, x: Any, *, key: Key) -> Terms:
    """Draw z_1 … z_L from q and return what each contributes to the negative ELBO."""
    z = _climb(model, x, key=key)
    below = [model.embed(x), *z]
    climbed = [up(below[i]).log_prob(z[i]) for i, up in enumerate(model.up)]
    came = [down(z[i]).log_prob(([x, *z])[i]) for i, down in enumerate(model.down)]
    came.append(model.prior.log_prob(z[-1]))
    return Terms(-came[0], jnp.stack(climbed) - jnp.stack(came[1:]))


def training_loss(
    model: Hierarchy, batch: Any, *, free_nats: float, key: Key
) -> tuple[Scalar, Terms]:
    """Return the loss of a batch and the means of its terms, in nats.

    The loss is the negative ELBO, but that a latent's term counts as `free_nats` where it is
    less: so no latent is given up early, when it costs more than it explains (free bits,
    D. Kingma et al. 2016).
    """
    keys = jax.random.split(key, len(batch))
    each = jax.vmap(lambda x, key: terms(model, x, key=key))(batch, keys)
    mean = jax.tree.map(lambda a: a.mean(0), each)
    return mean.data + jnp.sum(jnp.maximum(mean.latents, free_nats)), mean


def importance_bound(model: Hierarchy, x: Any, *, draws: Count, key: Key) -> Scalar:
    """Return −log of the mean of p(x, z)/q(z | x) over `draws` chains, in nats.

    On average at most the negative ELBO, and at least −log p(x) (Burda et al. 2016).
    """
    keys = jax.random.split(key, count(draws, "draws"))
    totals = jax.lax.map(lambda key: terms(model, x, key=key).total, keys)
    return jnp.log(len(totals)) - jax.nn.logsumexp(-totals)


def sample(model: Hierarchy, *, key: Key) -> Any:
    """Draw z_L, and what hangs on it, down to the data."""
    down_key, data_key = jax.random.split(key)
    return model.down[0](_fall(model, key=down_key)[0]).sample(key=data_key)


def _climb(model: Hierarchy, x: Any, *, key: Key) -> Float[Array, " L *size"]:
    """Draw z_1 … z_L from q."""
    z, found = model.embed(x), []
    for up, one in zip(model.up, jax.random.split(key, len(model.up)), strict=True):
        found.append(z := up(z).sample(key=one))
    return jnp.stack(found)


def _fall(model: Hierarchy, *, key: Key) -> list[Float[Array, "*size"]]:
    """Draw z_L … z_1 from p; return z_1 first."""
    law: Any = model.prior
    found = []
    keys = jax.random.split(key, len(model.down))
    for down, one in zip((*reversed(model.down[1:]), None), keys, strict=True):
        found.append(law.sample(key=one))
        law = None if down is None else down(found[-1])
    return found[::-1]


class StandardLogistic(eqx.Module):
    """Logistics of mean 0 and scale 1, which are not trained: `size` numbers."""

    size: int = eqx.field(static=True)

    def sample(self, *, key: Key) -> Float[Array, " size"]:
        """Draw one example."""
        return jax.random.logistic(key, (self.size,))

    def log_prob(self, z: Float[Array, " size"]) -> Scalar:
        """Return log p(z) in nats, summed over all numbers."""
        return Logistic(jnp.zeros_like(z), jnp.ones_like(z)).log_prob(z)


def q_scale(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 0.1 + 0.9 sigmoid(raw + 2): a scale between 0.1 and 1."""
    return 0.1 + 0.9 * jax.nn.sigmoid(raw + 2)


def p_scale(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return 0.1 + 0.9 softplus(raw + log(e − 1)): a scale above 0.1, and 1 at raw = 0."""
    return 0.1 + 0.9 * jax.nn.softplus(raw + jnp.log(jnp.e - 1))


class LogisticNet(eqx.Module):
    """z ↦ the Logistic of a neighbour with `size` numbers, by a fully connected network."""

    net: eqx.nn.MLP
    scale_of: Callable[..., Float[Array, "..."]] = eqx.field(static=True)

    def __init__(self, c_in: int, size: int, *, scale_of: Callable, width: int, key: Key):
        self.net = eqx.nn.MLP(c_in, 2 * size, width, 2, jax.nn.silu, key=key)
        self.scale_of = scale_of

    def __call__(self, z: Float[Array, "..."]) -> Logistic:
        """Return the law given z, of any shape."""
        mean, raw = jnp.split(self.net(z.ravel()), 2)
        return Logistic(mean, self.scale_of(raw))


class PixelNet(eqx.Module):
    """z ↦ a discretised logistic for each pixel, whose scale is learned but not read off z."""

    net: eqx.nn.MLP
    raw: Float[Array, "*shape"]
    levels: int = eqx.field(static=True)

    def __init__(self, c_in: int, shape: tuple[int, ...], levels: int, *, width: int, key: Key):
        self.net = eqx.nn.MLP(c_in, int(np.prod(shape)), width, 2, jax.nn.silu, key=key)
        # Of a type of its own: a weak one changes in the first update, and all compiles anew.
        self.raw, self.levels = jnp.full(shape, -2.0, jnp.result_type(float)), levels

    def __call__(self, z: Float[Array, " c_in"]) -> DiscretisedLogistic:
        """Return the law given z."""
        law = Logistic(self.net(z).reshape(self.raw.shape), jax.nn.softplus(self.raw) + 1e-3)
        return DiscretisedLogistic(law, self.levels)


def hierarchy(
    shape: tuple[int, ...],
    levels: int,
    *,
    latents: Count = 4,
    size: int = 16,
    width: int = 128,
    key: Key,
) -> Hierarchy:
    """Return an untrained hierarchy over images: `latents` latents, each of `size` numbers."""
    number, dims = count(latents, "latents"), int(np.prod(shape))
    keys = jax.random.split(key, 2 * number)
    make = partial(LogisticNet, size=size, width=width)
    sizes = [dims] + [size] * (number - 1)
    up = [make(c_in=n, scale_of=q_scale, key=k) for n, k in zip(sizes, keys, strict=False)]
    down = [make(c_in=size, scale_of=p_scale, key=k) for k in keys[number + 1 :]]
    data = PixelNet(size, shape, levels, width=width, key=keys[number])
    embed = LevelDecoder(levels).embed
    return Hierarchy(embed, tuple(up), (data, *down), StandardLogistic(size))


class Grid(NamedTuple):
    """The cells of a latent, for each of its numbers: the outermost are open."""

    edges: Float[np.ndarray, "size inner"]
    centres: Float[np.ndarray, "size cells"]


def latent_grids(
    model: Hierarchy, images: Integer[AnyArray, " n *shape"], *, cells: Count = 1024, key: Key
) -> list[Grid]:
    """Return the grid of each latent, z_1 first, as Bit-Swap has them.

    z_L: cells of equal mass under the prior. Those below: cells of equal width from the least
    to the largest of what q draws for the images and p draws by itself.
    """
    cells = count(cells, "cells", 2)

    @jax.vmap
    def both(x, key):
        up_key, down_key = jax.random.split(key)
        return jnp.stack([_climb(model, x, key=up_key), jnp.stack(_fall(model, key=down_key))])

    keys = jax.random.split(key, len(images))
    drawn = np.asarray(both(jnp.asarray(images), keys), np.float64)  # (n, 2, L, size)
    low, high = drawn.min((0, 1)), drawn.max((0, 1))
    places = np.arange(cells + 1) / cells
    found = []
    for a, b in zip(low[:-1], high[:-1], strict=True):
        ends = a[:, None] + (b - a)[:, None] * places
        found.append(Grid(ends[:, 1:-1], (ends[:, 1:] + ends[:, :-1]) / 2))
    size = low.shape[1]
    inner, middle = places[1:-1], (places[1:] + places[:-1]) / 2
    top = Grid(*(np.tile(np.log(p / (1 - p)), (size, 1)) for p in (inner, middle)))
    return [*found, top]


def hierarchy_moves(
    model: Hierarchy, grids: Sequence[Grid], *, lanes: Count, order: Order
) -> list[Move]:
    """Return the moves that code "x" in each lane by the cells of "z1" … "zL" on their grids.

    `order` is `codec.bit_swap` or `codec.bb_ans`.

    Raises:
        ValueError: there are not as many grids as latents.
    """
    if len(grids) != len(model.up):
        raise ValueError(f"{len(model.up)} latents need as many grids, got {len(grids)}")
    double = in_double(model)

    def value(i: int, values: Values) -> Float[np.ndarray, "lanes size"]:
        cells = values[f"z{i}"].astype(np.int64)
        return np.take_along_axis(grids[i - 1].centres[None], cells[..., None], -1)[..., 0]

    def q(i: int, values: Values) -> AbstractLaw:
        with double_precision():
            below = jnp.asarray(value(i, values) if i else values["x"].astype(np.int64))
            law = _laws(double.up[i], below if i else jax.vmap(double.embed)(below))
            return Categories(_cells(law, grids[i], tight=True))

    def p(i: int, values: Values) -> AbstractLaw:
        with double_precision():
            law = _laws(double.down[i], jnp.asarray(value(i + 1, values)))
            if i == 0:
                return Categories(np.asarray(jax.vmap(lambda one: one.log_masses())(law)))
            return Categories(_cells(law, grids[i - 1]))

    def top(_: Values) -> AbstractLaw:
        with double_precision():
            like = (lanes, double.prior.size)
            law = Logistic(jnp.zeros(like), jnp.ones(like))
            return Categories(_cells(law, grids[-1]))

    number = len(model.up)
    borrows = [Move(f"z{i + 1}", partial(q, i), borrows=True) for i in range(number)]
    pushes = [Move(f"z{i}" if i else "x", partial(p, i), borrows=False) for i in range(number)]
    return order(borrows, [*pushes, Move(f"z{number}", top, borrows=False)])


@eqx.filter_jit
def _laws(conditional, z):
    """Return the laws of all lanes, their numbers rounded so that processors agree."""
    laws = jax.vmap(conditional)(z)
    return jax.tree.map(lambda a: jnp.rint(a * ROUND) / ROUND, laws)


def _cells(law: Logistic, grid: Grid, *, tight: bool = False) -> Float[np.ndarray, "..."]:
    """Return the log-masses of the cells of a latent; `tight` leaves out the least of them.

    A thousand cells of the least mass that the coder has would be a draw from nowhere once in
    a while, and what is drawn from far out costs much.
    """
    masses = np.asarray(_masses(law, *map(jnp.asarray, _ends(grid))))
    least = masses.max(-1, keepdims=True) - 14
    return np.where(masses < least, -np.inf, masses) if tight else masses


def _ends(grid: Grid):
    return (
        np.pad(grid.edges, ((0, 0), (1, 0)), constant_values=-np.inf),
        np.pad(grid.edges, ((0, 0), (0, 1)), constant_values=np.inf),
    )


@jax.jit
def _masses(law: Logistic, low, high):
    one = jax.vmap(log_mass, (None, -1, -1), -1)
    return jax.vmap(lambda law: one(law, low, high))(law)
