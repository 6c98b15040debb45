"""A hierarchical VAE as a codec: BB-ANS (Townsend, Bird and Barber 2019) and Bit-Swap.

A latent is a real number, and gets cells of known mass (F. Kingma, Abbeel and Ho 2019, §3.3).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from .._types import AnyArray, Count, Key, count
from ..codec.laws import AbstractLaw, Categories
from ..codec.moves import Move, Order, Values
from ..codec.vdm import ROUND, double_precision, in_double
from .hierarchy import Hierarchy, climb, fall
from .logistic import Logistic, log_mass


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
        return jnp.stack([climb(model, x, key=up_key), jnp.stack(fall(model, key=down_key))])

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
