"""Batches: which images an update sees is a function of the seed and its number, nothing else.

So a run that is taken up again, be it on another number of machines, goes on with the very
batches it would have seen. A set that fits is on the devices as a whole, and only row numbers
go there with each update. Of one that does not, each machine reads the rows its own devices
need while they are still busy with the update before.

Beside arrays and NumPy's memory maps, `Rows` will do, which asks for no more than a shape and
`images[rows]`: such as a class around grain's `MapDataset`, which decodes in parallel.
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
    """Images that are read when an update needs them."""

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


class Batch(NamedTuple):
    """What one update is given: images, and the rows of them that it takes, part by part."""

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
