"""Results side by side: what a function returned, as numbers, and whether two of them agree."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def leaves(value: Any) -> list[Any]:
    """Return the values that a function returned: those of a tuple, or the one."""
    return list(value) if isinstance(value, tuple) else [value]


def numbers(value: Any) -> np.ndarray:
    """Return real numbers in double precision.

    Raises:
        TypeError, ValueError: it is anything else.
    """
    # A list that holds itself would be unfolded until memory ends.
    if _is_deep(value):
        raise TypeError("lists in lists in lists are no array")
    array = np.asarray(value)
    # Text that reads like a number would pass through float64.
    if not (array.dtype == bool or jnp.issubdtype(array.dtype, jnp.number)):
        raise TypeError(f"{array.dtype} is no kind of number")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError("complex numbers are not compared")
    return array.astype(np.float64)


def _is_deep(value: Any, levels: int = 8) -> bool:
    """Return whether lists stand in each other for more than so many levels."""
    if not isinstance(value, (list, tuple)):
        return False
    return levels == 0 or any(_is_deep(one, levels - 1) for one in value)


def close(one: np.ndarray, other: np.ndarray, tolerance: float) -> bool:
    """Return whether two arrays are the same up to `tolerance` of the other's size."""
    if one.shape != other.shape:
        return False
    room = tolerance * np.max(np.abs(other[np.isfinite(other)]), initial=1e-6)
    return bool(np.isclose(one, other, 0, room, equal_nan=True).all())


def agree(got: Any, want: Any, tolerance: float) -> bool:
    """Return whether two results are the same up to `tolerance` of the expected size."""
    if len(leaves(got)) != len(leaves(want)):
        return False
    try:
        pairs = [
            (numbers(one), numbers(other))
            for one, other in zip(leaves(got), leaves(want), strict=True)
        ]
    except (TypeError, ValueError):
        return False
    return all(close(one, other, tolerance) for one, other in pairs)


def size(args: tuple) -> int:
    """Return how many numbers there are in the arguments."""
    return sum(np.size(value) for value in args if isinstance(value, (np.ndarray, jax.Array)))
