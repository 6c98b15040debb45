"""The shape vocabulary, and checks of what a user plugs in: each says what was expected."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

Key = PRNGKeyArray
"""A JAX random key: always an explicit, keyword-only argument."""

AnyArray = Array | np.ndarray
"""An array of JAX or of NumPy: what data comes in."""

Scalar = Float[Array, ""]
"""One real number, as an array."""

ScalarLike = Real[ArrayLike, ""]
"""One real number: of Python, of NumPy, or a scalar array; an integer will do."""

Count = Any
"""A whole number: of Python, of NumPy, or a scalar array."""


def is_concrete(x: object) -> bool:
    """Return whether `x` has values to look at, not an abstract value under `jit` or `vmap`."""
    return not isinstance(x, Tracer)


def real(x: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return numbers as an array of reals: integers become floats, floats keep their type."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.result_type(float))


def number(x: ScalarLike) -> Scalar:
    """Return a strongly typed real, so that a function compiled for one is for all."""
    return jnp.asarray(x, jnp.result_type(float))


def count(n: Count, name: str, least: int = 1) -> int:
    """Return `n` as a Python integer.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is less than `least`.
    """
    try:
        whole = operator.index(n)
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, got {n!r}") from error
    if whole < least:
        raise ValueError(f"{name} must be at least {least}, got {whole}")
    return whole


def count_or_none(n: Count | None, name: str) -> int | None:
    """Return `count(n, name)`, and None for None."""
    return None if n is None else count(n, name)


def check_shape(value: Any, expected: tuple[int, ...], what: str) -> None:
    """Raise ValueError unless a value has the shape expected; `what` names its maker."""
    if (got := jnp.shape(value)) != tuple(expected):
        raise ValueError(f"{what} has shape {got}, expected {tuple(expected)}")


def check_key(key: Any) -> None:
    """Raise TypeError if `key` is an integer, which JAX would refuse in words of its own."""
    if isinstance(key, int | np.integer):
        raise TypeError(f"key must be a JAX key, such as jax.random.key({key}), got {key}")


def check_kind(part: Any, kind: type, example: str) -> None:
    """Raise TypeError unless `part` is of a `kind`; `example` is one that would do."""
    if not isinstance(part, kind):
        got = f"the class {part.__name__}" if isinstance(part, type) else type(part).__name__
        raise TypeError(f"expected {kind.__name__}, such as {example}, got {got}")


def is_key(a: Any) -> bool:
    """Return whether an array is one of typed random keys."""
    return hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jax.dtypes.prng_key)
