"""Batches: the images of an update are a function of the seed and the update's number alone.

A run that is resumed, even on another number of machines, sees the batches that it would have
seen without the break. A small data set is copied to the devices once, and an update sends row
numbers only. From a large one, each machine reads the rows that its own devices need, while
they still compute the update before.

Images may be an array, a memory map of NumPy, or any `Rows`: an object with a shape and
`images[rows]`, such as a class around grain's `MapDataset`, which decodes in parallel.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, Num

from .._types import Key, Scalar
from .devices import copied, divided, place

ON_DEVICE = 2**30
"""The largest array of images, in bytes, that is put on the device as a whole."""


@runtime_checkable
class Rows(Protocol):
    """Images that are read only when an update needs them."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Int[np.ndarray, " n"], /) -> np.ndarray: ...


def rows_of(step: int, size: int, batch_size: int, *, seed: int) -> Int[np.ndarray, " batch"]:
    """Return which of `size` images update number `step` sees: every image once an epoch.

    Images that don't fill a last batch wait for another epoch's shuffle.

    Raises:
        ValueError: a batch larger than the data set.
    """
    if batch_size > size:
        raise ValueError(f"a batch of {batch_size} is more than the {size} images there are")
    epoch, number = divmod(step, size // batch_size)
    return _order(size, seed, epoch)[number * batch_size : (number + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(size)


def spread(images: Num[np.ndarray, " n h w c"], count: int) -> Num[np.ndarray, " m h w c"]:
    """Return `count` images, or all if there are fewer, from all over a set.

    Neighbours in a set are often alike: patches of one photograph, images of one class.
    """
    count = min(count, len(images))
    return images[np.arange(count) * len(images) // count]


class Batch(NamedTuple):
    """The images of one update: a pool of images, and the rows in it, part by part."""

    pool: Num[Array, " m h w c"]
    rows: Int[Array, "parts size"]


def source(
    images: Num[np.ndarray, " n h w c"] | Rows,
    batch_size: int,
    *,
    parts: int = 1,
    mesh: Mesh,
    seed: int,
) -> Callable[[int], Batch]:
    """Return the function from the number of an update to its batch, on the devices.

    Raises:
        ValueError: as `rows_of` does; a part that the devices can't divide evenly.
    """
    size = batch_size // parts
    if size % mesh.size:
        raise ValueError(
            f"{mesh.size} devices can't divide {size} images evenly (a batch of {batch_size} "
            f"in {parts} parts)"
        )
    rows_of(0, len(images), batch_size, seed=seed)
    whole = isinstance(images, np.ndarray) and images.nbytes <= ON_DEVICE
    pool = place(images, copied(mesh)) if whole else None

    def batch(step: int) -> Batch:
        rows = rows_of(step, len(images), batch_size, seed=seed)
        if pool is not None:
            return Batch(pool, place(rows.reshape(parts, size), divided(mesh, 1)))

        def read(index: Any) -> np.ndarray:
            return images[rows[index[0]]]

        shape = (batch_size, *images.shape[1:])
        some = jax.make_array_from_callback(shape, divided(mesh), read)
        return Batch(some, place(np.arange(batch_size).reshape(parts, size), divided(mesh, 1)))

    return batch


def augment(image: Num[Array, "n n c"], *, key: Key) -> tuple[Num[Array, "n n c"], Scalar]:
    """Return a square image flipped (half the time) and turned (half the time), and a flag.

    The flag is 1 if anything was done. A turn is by 90, 180 or 270 degrees. As in the
    published program; the paper adds swaps of colour channels.
    """
    flip_key, turn_key, angle_key = jax.random.split(key, 3)
    flip, turn = jax.random.bernoulli(flip_key), jax.random.bernoulli(turn_key)
    quarters = jnp.where(turn, jax.random.randint(angle_key, (), 1, 4), 0)
    image = jnp.where(flip, image[:, ::-1], image)
    turned = jax.lax.switch(quarters, [lambda a, k=k: jnp.rot90(a, k) for k in range(4)], image)
    return turned, (flip | turn).astype(jnp.result_type(float))
